"""Plain text for pretraining: files -> documents -> tokens -> packed rows -> masked batches.

Names are imported on first use, as in ``hf_ext.data``.
"""

from __future__ import annotations

from hf_ext.lazy import lazy_names

_HOMES = {
    "MaskingCollator": "collator",
    "PretrainingData": "pretraining_data",
    "PretrainingDataArguments": "arguments",
}
__all__ = sorted(_HOMES)
__getattr__ = lazy_names(__name__, _HOMES)
