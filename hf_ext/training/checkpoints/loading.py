"""A checkpoint gives a model all of its weights and no others, or is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn
from transformers import Trainer

from hf_ext.errors import UserError

FIX = "resume with the model and the flags of the run that saved it, and with the same version of transformers"


def require_all_weights(trainer: Trainer, load_result: Any) -> None:
    """Refuse what ``load_state_dict`` could not place.

    Weights that share the memory of one that was found are found: a checkpoint holds tied weights once.

    Args:
        trainer: Whose model was loaded.
        load_result: What ``load_state_dict`` has answered.

    Raises:
        UserError: Naming the first weight that is missing in the checkpoint, or unknown to the model.
    """
    model: Any = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    memory = {name: tensor.data_ptr() for name, tensor in nn.Module.state_dict(model).items()}
    lacking = set(load_result.missing_keys)
    found = {place for name, place in memory.items() if name not in lacking}
    missing = [name for name in load_result.missing_keys if memory.get(name) not in found]
    missing = _without(missing, getattr(model, "_keys_to_ignore_on_load_missing", None))
    missing = _without(missing, getattr(model, "_keys_to_ignore_on_save", None))
    unexpected = _without(load_result.unexpected_keys, getattr(model, "_keys_to_ignore_on_load_unexpected", None))
    for names, fault in ((missing, "lacks"), (unexpected, "has weights that this model has not")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"the checkpoint {fault}: {names[0]}{more}", fix=FIX)


def _without(names: Iterable[str], patterns: Iterable[str] | None) -> list[str]:
    return [name for name in names if not any(re.search(pattern, name) for pattern in patterns or ())]
