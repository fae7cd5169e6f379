"""Files -> rows -> checks -> features -> batches; knows no model.

Names are imported on first use, so that a script that only prints its help does not load ``datasets``.
"""

from __future__ import annotations

from hf_ext.lazy import lazy_names

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
__getattr__ = lazy_names(__name__, _HOMES)
