"""Which flags do nothing because the one that they belong to is not set."""

from __future__ import annotations

import logging
from typing import Any

from hf_ext.training.argument_groups import AdversarialArguments
from hf_ext.training.losses.registry import LOSSES

logger = logging.getLogger(__name__)

# A flag, the values with which it is off, and the flags that then do nothing.
IDLE_WITHOUT: dict[str, tuple[tuple[Any, ...], tuple[str, ...]]] = {
    "adversarial": (
        ("none",),
        tuple(name for name in AdversarialArguments.__dataclass_fields__ if name != "adversarial"),
    ),
    "ema_decay": ((None,), ("ema_evaluate", "ema_save")),
    "average_checkpoints": ((None,), ("average_checkpoints_by",)),
    "early_stopping_patience": ((None,), ("early_stopping_threshold",)),
    "lora_r": ((None,), ("lora_alpha", "lora_dropout", "lora_target_modules")),
    "push_to_hub": ((False,), ("push_files",)),
    "loss focal": ((None, *(name for name in LOSSES if name != "focal")), ("focal_gamma",)),
}


def warn_of_idle_flags(args: Any) -> None:
    """Log each flag that was set although the flag that it belongs to is not.

    Args:
        args: ``ExtTrainingArguments``, filled.
    """
    for leader, (idle, followers) in IDLE_WITHOUT.items():
        if getattr(args, leader.split()[0]) in idle:
            for name in followers:
                if getattr(args, name) != args.__dataclass_fields__[name].default:
                    logger.warning("--%s does nothing without --%s.", name, leader)
