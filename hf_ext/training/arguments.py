"""TrainingArguments with the guards and defaults that a fine-tuning run wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import HubStrategy, IntervalStrategy

from hf_ext.errors import UserError

SMALLER_IS_BETTER = frozenset({"mse", "mae", "rmse"})
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


@dataclass(repr=False)  # a generated repr would print the Hub token, which the parent's hides
class ExtTrainingArguments(TrainingArguments):
    """How a run is trained: transformers' arguments and ours.

    Defaults that differ from the parent:

    - ``restore_callback_states_from_checkpoint`` is True: a resumed run keeps its early-stopping patience.
    - ``logging_nan_inf_filter`` is False: a NaN loss is shown as NaN (the parent reports 0.0 and trains on).
    - ``hub_strategy`` is ``end``: the parent's uploads during training contain a pickle with the Hub token.
    - ``greater_is_better`` is also False for ``mse``, ``mae`` and ``rmse`` when unset.
    - ``metric_for_best_model`` is ``loss`` when only ``early_stopping_patience`` is given.
    - ``use_cpu`` becomes True on a machine without an accelerator. Without it the parent refuses bf16 there, and
      several processes would each train a model of their own, unaware of one another.
    """

    overwrite_output_dir: bool = field(
        default=False,
        metadata={"help": "Train into an output folder that already holds checkpoints or a trained model."},
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Stop after this many evaluations without a better metric_for_best_model; unset never does."},
    )
    early_stopping_threshold: float = field(
        default=0.0, metadata={"help": "By how much (metric units) an evaluation must be better to count as better."}
    )
    eval_all_checkpoints: bool = field(
        default=False, metadata={"help": "After training, evaluate every checkpoint in the output folder."}
    )
    stop_on_nonfinite_loss: bool = field(
        default=True, metadata={"help": "Stop with an error as soon as the logged training loss is NaN or infinite."}
    )

    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "On resume, restore callbacks too, such as the early-stopping patience."}
    )
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Hide NaN and infinite losses in the logs; off, since they show a dead run."}
    )
    hub_strategy: HubStrategy | str = field(
        default="end",
        metadata={"help": "When push_to_hub uploads; only 'end', since earlier uploads hold a pickle with the token."},
    )

    def __post_init__(self) -> None:
        self._check_counts()
        self._settle_device()
        if self.early_stopping_patience is not None and self.metric_for_best_model is None:
            self.metric_for_best_model = "loss"
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = _greater_is_better(self.metric_for_best_model)
        super().__post_init__()
        if self.early_stopping_patience is not None and self.eval_strategy == IntervalStrategy.NO:
            raise ValueError("--early_stopping_patience needs evaluations: add --eval_strategy epoch (or steps).")
        if self.push_to_hub and self.hub_strategy != HubStrategy.END:
            raise ValueError(
                f"--hub_strategy {HubStrategy(self.hub_strategy).value} would upload training_args.bin with the Hub "
                "token in it; use --hub_strategy end."
            )

    def _check_counts(self) -> None:
        names = ["gradient_accumulation_steps", "per_device_train_batch_size", "per_device_eval_batch_size"]
        if self.early_stopping_patience is not None:
            names.append("early_stopping_patience")
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, got {getattr(self, name)}.")

    def _settle_device(self) -> None:
        if not torch.accelerator.is_available():
            self.use_cpu = True


def check_output_dir(args: ExtTrainingArguments) -> None:
    """Refuse to train over an earlier run's checkpoints or model.

    Nothing happens when the run does not train, resumes, or has leave to overwrite.

    Raises:
        UserError: If the output folder holds ``checkpoint-*`` folders or model weights.
    """
    if not args.do_train or args.resume_from_checkpoint or args.overwrite_output_dir:
        return
    folder = Path(args.output_dir or ".")
    found = next((path for pattern in ("checkpoint-*", *WEIGHT_FILES) for path in sorted(folder.glob(pattern))), None)
    if found is not None:
        raise UserError(
            f"the output folder already holds {found.name}",
            where=str(folder),
            fix="continue it with --resume_from_checkpoint, replace it with --overwrite_output_dir, "
            "or name another --output_dir",
        )


def _greater_is_better(metric: str) -> bool:
    name = metric.removeprefix("eval_")
    return name not in SMALLER_IS_BETTER and not name.endswith("loss")
