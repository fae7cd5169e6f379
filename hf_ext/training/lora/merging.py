"""The end of a training with LoRA: the adapter by itself, and a model that needs none."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import Trainer

from hf_ext.training.averages.averaging import is_peft
from hf_ext.training.checkpoints.model_folder import swapped_in
from hf_ext.training.lora.adapter import ADAPTER

ADAPTER_FOLDER = "adapter"
PEFT_CARD = "README.md"  # of headings without a text; the card of the model stands one folder above


def merge_lora(trainer: Trainer, *, keep: bool = False) -> Any | None:
    """Save the adapter of a trainer's model, then add it to the matrices that it stands beside.

    Every step after it sees a plain model of the class that was loaded: ``W + alpha / r * B A`` in the place of ``W``.

    Args:
        trainer: Has trained; its model is exchanged.
        keep: Merge a copy, for whoever wants to load other adapters of this run afterwards.

    Returns:
        With ``keep`` the model with its adapter; else, and where there is none, None.
    """
    model: Any = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    if not is_peft(model):
        return None
    if trainer.args.should_save:
        save_adapter(model, Path(trainer.args.output_dir or ".") / ADAPTER_FOLDER)
    merged = (copy.deepcopy(model) if keep else model).merge_and_unload()
    _use_model(trainer, merged.requires_grad_(True))
    return model if keep else None


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter of a ``PeftModel``, with the modules that were trained in full, for ``PeftModel``'s own loader.

    Args:
        model: The model with its adapter.
        folder: Where it belongs; an earlier adapter there is replaced.
    """
    settings = model.peft_config[ADAPTER]
    settings.base_model_name_or_path = getattr(model.get_base_model(), "name_or_path", None)
    try:
        with swapped_in(folder) as place:
            model.save_pretrained(str(place), save_embedding_layers=False)
            (place / PEFT_CARD).unlink(missing_ok=True)
    finally:
        settings.base_model_name_or_path = ""


@contextmanager
def unmerged(trainer: Trainer, model: Any | None) -> Iterator[Any]:
    """Let a trainer work with the model that ``merge_lora`` has kept, and afterwards with the merged one again.

    Args:
        trainer: Whose model has been merged.
        model: What ``merge_lora`` has given; None changes nothing.

    Yields:
        The model that the trainer works with, unwrapped.
    """
    merged: Any = trainer.model
    if model is not None:
        _use_model(trainer, model)
    try:
        yield trainer.accelerator.unwrap_model(trainer.model)
    finally:
        if model is not None:
            _use_model(trainer, merged)


def _use_model(trainer: Trainer, model: Any) -> None:
    trainer.model = trainer.model_wrapped = trainer.callback_handler.model = model
