"""Plain text for pretraining: files -> documents -> tokens -> packed rows -> masked batches.

Names are imported on first use, as in ``hf_ext.data``.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "MaskingCollator": "collator",
    "PretrainingData": "pretraining_data",
    "PretrainingDataArguments": "arguments",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
