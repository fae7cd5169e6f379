"""The Trainer internals that hf_ext touches, in one place, guarded by their signatures."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import transformers
from transformers import Trainer

# name -> parameters, as read in transformers 5.23.0
TOUCHED_METHODS: Mapping[str, tuple[str, ...]] = {
    "_save": ("self", "output_dir", "state_dict"),
    "_save_checkpoint": ("self", "model", "trial"),
    "_get_output_dir": ("self", "trial"),
    "save_model": ("self", "output_dir", "_internal_call"),
    "_push_from_checkpoint": ("self", "checkpoint_folder"),
    "_prepare_inputs": ("self", "inputs"),
    "get_batch_samples": ("self", "epoch_iterator", "num_batches", "device"),
    "_get_eval_sampler": ("self", "eval_dataset"),
    "_get_train_sampler": ("self", "train_dataset"),
    "_get_num_items_in_batch": ("self", "batch_samples", "device"),
    "get_train_dataloader": ("self",),
    "_remove_unused_columns": ("self", "dataset", "description"),
    "evaluation_loop": (
        *("self", "dataloader", "description", "prediction_loss_only", "ignore_keys"),
        "metric_key_prefix",
    ),
    "create_optimizer": ("self", "model"),
    "get_optimizer_cls_and_kwargs": ("args", "model"),
    "get_decay_parameter_names": ("self", "model"),
    "_get_learning_rate": ("self",),
    "log": ("self", "logs", "start_time"),
    "_save_optimizer_and_scheduler": ("self", "output_dir"),
    "_load_optimizer_and_scheduler": ("self", "checkpoint"),
    "_init_training_state": (
        *("self", "max_steps", "num_update_steps_per_epoch", "num_train_epochs", "resume_from_checkpoint", "trial"),
    ),
    "_issue_warnings_after_load": ("self", "load_result"),
    "training_step": ("self", "model", "inputs", "num_items_in_batch"),
    "train": ("self", "resume_from_checkpoint", "trial", "ignore_keys_for_eval"),
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
