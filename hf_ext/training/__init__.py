"""Training: knows no file, no column, no metric.

Names are imported on first use, as in ``hf_ext.data``: a script that only prints its help loads no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "ExtTrainer": "trainer",
    "ExtTrainingArguments": "arguments",
    "NonFiniteLossError": "watch.loss_watch",
    "WeightAverage": "averages.ema",
    "average_checkpoints": "averages.averaging",
    "check_output_dir": "arguments",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
