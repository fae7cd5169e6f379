"""Tagged sentences: files -> sentences -> windows -> features -> batches, and predictions back to words.

Names are imported on first use, as in ``hf_ext.data``.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "MergedTags": "merging",
    "Sentence": "sentences",
    "TaggingCollator": "collator",
    "TaggingData": "tagging_data",
    "TaggingDataArguments": "arguments",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
