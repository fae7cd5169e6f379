"""Training: knows no file, no column, no metric."""

from hf_ext.training.arguments import ExtTrainingArguments, check_output_dir
from hf_ext.training.averages.averaging import average_checkpoints
from hf_ext.training.averages.ema import WeightAverage
from hf_ext.training.trainer import ExtTrainer
from hf_ext.training.watch.loss_watch import NonFiniteLossError

__all__ = [
    "ExtTrainer",
    "ExtTrainingArguments",
    "NonFiniteLossError",
    "WeightAverage",
    "average_checkpoints",
    "check_output_dir",
]
