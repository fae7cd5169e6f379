"""The Trainer internals that hf_ext touches, in one place, guarded by their signatures."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import transformers
from transformers import Trainer

# name -> parameters, as read in transformers 5.23.0
TOUCHED_METHODS: Mapping[str, tuple[str, ...]] = {
    "_save": ("self", "output_dir", "state_dict"),
    "_prepare_inputs": ("self", "inputs"),
    "get_batch_samples": ("self", "epoch_iterator", "num_batches", "device"),
    "_get_eval_sampler": ("self", "eval_dataset"),
    "prediction_step": ("self", "model", "inputs", "prediction_loss_only", "ignore_keys"),
    "compute_loss": ("self", "model", "inputs", "return_outputs", "num_items_in_batch"),
}


def signature_differences(trainer_class: type = Trainer) -> list[str]:
    """Name every touched method whose parameters are not the ones that we were written against.

    Returns:
        One sentence a method; empty when all is as expected.
    """
    differences = []
    for name, expected in TOUCHED_METHODS.items():
        method = getattr(trainer_class, name, None)
        found = tuple(inspect.signature(method).parameters) if method is not None else None
        if found != expected:
            differences.append(f"{name} takes {found}, expected {expected}")
    return differences


def require_known_trainer() -> None:
    """Fail loudly when the installed transformers changed what we override.

    Raises:
        RuntimeError: If any touched method differs.
    """
    differences = signature_differences()
    if differences:
        raise RuntimeError(
            f"transformers {transformers.__version__} changed what hf_ext overrides: {'; '.join(differences)}; "
            "install the version in constraints.txt."
        )
