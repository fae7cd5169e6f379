"""A checkpoint of LoRA goes on under the same small matrices, or not at all: peft leaves out what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers.utils import ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME

from hf_ext.errors import UserError
from hf_ext.training.averages.averaging import is_peft
from hf_ext.training.checkpoints.loading import FIX


def find_other_adapter(model: Any, folder: Path) -> list[str]:
    """Compare the adapter of a model with that of a checkpoint.

    Args:
        model: The model that is going to resume, unwrapped.
        folder: The checkpoint.

    Returns:
        A clause for each setting that differs although the weights fit: the scale ``alpha``.

    Raises:
        UserError: If only one of them has an adapter, or a weight is missing, unknown or of another shape.
    """
    has_adapter = (folder / ADAPTER_SAFE_WEIGHTS_NAME).is_file()
    if has_adapter != is_peft(model):
        said = "holds an adapter, and this run has none" if has_adapter else "holds no adapter, and this run has one"
        raise UserError(f"the checkpoint {said} (--lora_r)", where=str(folder), fix=FIX)
    if not has_adapter or len(model.peft_config) != 1:
        return []
    _require_same_weights(model, folder)
    saved = json.loads((folder / ADAPTER_CONFIG_NAME).read_text(encoding="utf-8")).get("lora_alpha")
    (settings,) = model.peft_config.values()
    own = getattr(settings, "lora_alpha", None)
    return [] if saved == own else [f"--lora_alpha was {saved} and is now {own}"]


def _require_same_weights(model: Any, folder: Path) -> None:
    from peft import get_peft_model_state_dict

    (adapter,) = model.peft_config
    own = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    shapes = {name: list(weight.shape) for name, weight in own.items()}
    with safe_open(folder / ADAPTER_SAFE_WEIGHTS_NAME, framework="pt") as file:
        saved = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - it is no mapping
    for name in sorted(shapes.keys() | saved.keys()):
        there, here = saved.get(name, "missing"), shapes.get(name, "missing")
        if there != here:
            raise UserError(
                f"the checkpoint has another adapter: {name} is {there} there and {here} here",
                where=str(folder),
                fix="resume with the --lora_r and --lora_target_modules of the run that saved it",
            )
