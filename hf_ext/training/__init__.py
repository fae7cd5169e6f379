"""Training: knows no file, no column, no metric.

Names are imported on first use, as in ``hf_ext.data``: a script that only prints its help loads no torch.
"""

from __future__ import annotations

from hf_ext.lazy import lazy_names

_HOMES = {
    "ExtTrainer": "trainer",
    "ExtTrainingArguments": "arguments",
    "NonFiniteLossError": "watch.loss_watch",
    "WeightAverage": "averages.ema",
    "average_checkpoints": "averages.averaging",
    "check_output_dir": "arguments",
}
__all__ = sorted(_HOMES)
__getattr__ = lazy_names(__name__, _HOMES)
