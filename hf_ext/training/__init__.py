"""Training: knows no file, no column, no metric."""

from hf_ext.training.arguments import ExtTrainingArguments, check_output_dir
from hf_ext.training.averaging import average_checkpoints
from hf_ext.training.ema import WeightAverage
from hf_ext.training.loss_watch import NonFiniteLossError
from hf_ext.training.trainer import ExtTrainer

__all__ = [
    "ExtTrainer",
    "ExtTrainingArguments",
    "NonFiniteLossError",
    "WeightAverage",
    "average_checkpoints",
    "check_output_dir",
]
