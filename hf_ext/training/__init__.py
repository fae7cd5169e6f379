"""Training: knows no file, no column, no metric."""

from hf_ext.training.arguments import ExtTrainingArguments, check_output_dir
from hf_ext.training.callbacks import NonFiniteLossCallback
from hf_ext.training.trainer import ExtTrainer

__all__ = ["ExtTrainer", "ExtTrainingArguments", "NonFiniteLossCallback", "check_output_dir"]
