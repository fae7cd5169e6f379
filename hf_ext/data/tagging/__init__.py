"""Tagged sentences: files -> sentences -> windows -> features -> batches, and predictions back to words.

Names are imported on first use, as in ``hf_ext.data``.
"""

from __future__ import annotations

from hf_ext.lazy import lazy_names

_HOMES = {
    "MergedTags": "merging",
    "Sentence": "sentences",
    "TaggingCollator": "collator",
    "TaggingData": "tagging_data",
    "TaggingDataArguments": "arguments",
}
__all__ = sorted(_HOMES)
__getattr__ = lazy_names(__name__, _HOMES)
