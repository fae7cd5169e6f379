"""Files -> rows -> checks -> features -> batches; knows no model.

Names are imported on first use, so that a script that only prints its help does not load ``datasets``.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "ClassificationCollator": "collators",
    "ClassificationData": "classification",
    "DataArguments": "arguments",
    "RowSplit": "preparation",
    "Table": "rows",
    "prepare_demo": "demo",
    "read_rows": "files",
    "stream_rows": "files",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
