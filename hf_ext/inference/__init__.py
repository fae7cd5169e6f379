"""A saved folder answers: from Python, for whole files, through transformers' pipelines, as ONNX, on a web page.

Names are imported on first use, as in ``hf_ext.data``.
"""

from __future__ import annotations

from hf_ext.lazy import lazy_names

_HOMES = {
    "Predictor": "predictor",
    "export_onnx": "export",
    "predict_file": "file_prediction",
}
__all__ = sorted(_HOMES)
__getattr__ = lazy_names(__name__, _HOMES)
