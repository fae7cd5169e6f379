"""The flags of our training methods, one group a method, each with its own checks.

Importing this file loads neither torch nor transformers, since ``--help`` is written from it. What is chosen by name is
looked up when a group is filled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_ext.errors import did_you_mean
from hf_ext.training.batching.arguments import BatchingArguments
from hf_ext.training.choosing_arguments import ChoosingArguments
from hf_ext.training.hub_arguments import HubArguments
from hf_ext.training.lora_arguments import LoraArguments
from hf_ext.training.precision import PrecisionArguments
from hf_ext.training.tuning.arguments import TuningArguments


@dataclass
class AdversarialArguments:
    """Which perturbation is trained against, how strong it is, and when."""

    adversarial: str = field(
        default="none",
        metadata={"help": "Adversarial training: none, fgm, pgd, freelb, vat, awp, fgm_weight."},
    )
    adversarial_epsilon: float | None = field(
        default=None,
        metadata={"help": "Size of the perturbation (norm of a row's embeddings); unset is the method's default."},
    )
    adversarial_steps: int | None = field(
        default=None, metadata={"help": "Steps of pgd and freelb (default 3), power iterations of vat (default 1)."}
    )
    adversarial_alpha: float | None = field(
        default=None, metadata={"help": "Size of one step of pgd and freelb; unset is 2.5 * epsilon / steps."}
    )
    adversarial_start: float = field(
        default=0.0, metadata={"help": "When it begins: below 1 a fraction of the training, from 1 on an epoch."}
    )
    adversarial_every: int = field(default=1, metadata={"help": "Attack at every k-th optimizer step."})
    adversarial_fraction: float = field(
        default=1.0, metadata={"help": "Fraction of each batch that is attacked; .5 saves a quarter of the step."}
    )
    adversarial_weight: float = field(
        default=1.0, metadata={"help": "Weight of the adversarial loss beside the clean one."}
    )
    adversarial_norm: str = field(
        default="l2", metadata={"help": "Norm that epsilon and alpha are measured in.", "choices": ["l2", "linf"]}
    )
    adversarial_random_start: float = field(
        default=0.0, metadata={"help": "Norm of the random start of pgd and freelb; 0 starts at the clean embeddings."}
    )
    adversarial_same_dropout: bool = field(
        default=False, metadata={"help": "Use the dropout masks of the clean pass in the adversarial passes too."}
    )
    adversarial_skip_special_tokens: bool = field(
        default=False, metadata={"help": "Leave [CLS], [SEP] and other special tokens untouched, as padding always is."}
    )

    def __post_init__(self) -> None:
        if self.adversarial is None:  # as Python has it
            self.adversarial = "none"
        if self.adversarial != "none":
            from hf_ext.training.adversarial.methods import ADVERSARIES

            _check_name("adversarial", self.adversarial, ["none", *ADVERSARIES], kind="method")
        for name in ("adversarial_epsilon", "adversarial_alpha", "adversarial_weight"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"--{name} must be positive, got {value}.")
        if self.adversarial_steps is not None and self.adversarial_steps < 1:
            raise ValueError(f"--adversarial_steps must be at least 1, got {self.adversarial_steps}.")
        if self.adversarial_every < 1:
            raise ValueError(f"--adversarial_every must be at least 1, got {self.adversarial_every}.")
        if not 0 < self.adversarial_fraction <= 1:
            raise ValueError(f"--adversarial_fraction must be above 0 and at most 1, got {self.adversarial_fraction}.")
        for name in ("adversarial_start", "adversarial_random_start"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"--{name} must not be negative, got {getattr(self, name)}.")
        if self.adversarial_norm not in ("l2", "linf"):
            raise ValueError(f"--adversarial_norm is l2 or linf, got {self.adversarial_norm}.")
        if self.adversarial_fraction < 1 and self.adversarial_same_dropout:
            raise ValueError(
                "--adversarial_same_dropout needs the whole batch, since another number of rows draws other masks: "
                "leave out --adversarial_fraction."
            )


@dataclass
class OptimizationArguments:
    """Which parameters learn at which rate."""

    head_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of all above the encoder; unset is --learning_rate."}
    )
    crf_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of a CRF's transitions; unset is that of the head."}
    )
    layerwise_lr_decay: float | None = field(
        default=None,
        metadata={"help": "Each encoder layer learns at this fraction of the rate of the layer above; .9 is usual."},
    )
    learning_rate_mapping: dict | str | None = field(
        default=None,
        metadata={"help": "JSON, a regular expression of parameter names to its rate: '{\"LayerNorm\": 1e-3}'."},
    )
    min_lr_ratio: float | None = field(
        default=None,
        metadata={"help": "With --lr_scheduler_type cosine: the floor, as a fraction of the starting rate."},
    )

    def __post_init__(self) -> None:
        for name in ("head_learning_rate", "crf_learning_rate"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"--{name} must not be negative, got {value}.")
        if self.layerwise_lr_decay is not None and not 0 < self.layerwise_lr_decay <= 1:
            raise ValueError(f"--layerwise_lr_decay must be above 0 and at most 1, got {self.layerwise_lr_decay}.")
        if self.min_lr_ratio is not None and not 0 <= self.min_lr_ratio < 1:
            raise ValueError(f"--min_lr_ratio must be from 0 to below 1, got {self.min_lr_ratio}.")
        self.learning_rate_mapping = _read_rates(self.learning_rate_mapping)


@dataclass
class LossArguments:
    """What is minimised, and what each label counts in it."""

    loss: str | None = field(
        default=None,
        metadata={
            "help": "Loss: cross_entropy, focal, dice, poly1, bce, asymmetric, zlpr, mse, mae, huber; unset is the "
            "model's own."
        },
    )
    focal_gamma: float = field(default=2.0, metadata={"help": "focal: how little easy rows count; 0 is cross entropy."})
    class_weights: str | None = field(
        default=None,
        metadata={
            "help": "Weight of each label in the loss: balanced, a list in label order (1,2.5,1), or JSON "
            "{label: weight} or a file of it. With several labels a row: the weight of its positive rows."
        },
    )
    weighted_sampling: bool = field(
        default=False,
        metadata={"help": "Draw training rows, with replacement, so that every label comes equally often."},
    )
    multitask_alpha: float | None = field(
        default=None,
        metadata={"help": "Of a model with two heads: weight of the first loss; the second gets 1 - alpha."},
    )

    def __post_init__(self) -> None:
        if self.loss is not None:
            from hf_ext.training.losses.registry import LOSSES

            _check_name("loss", self.loss, LOSSES, kind="loss")
        if not self.focal_gamma >= 0:
            raise ValueError(f"--focal_gamma must not be negative, got {self.focal_gamma}.")
        if self.multitask_alpha is not None and not 0 <= self.multitask_alpha <= 1:
            raise ValueError(f"--multitask_alpha must be from 0 to 1, got {self.multitask_alpha}.")
        if isinstance(self.class_weights, list | tuple):  # as YAML has it
            self.class_weights = ",".join(map(str, self.class_weights))
        elif isinstance(self.class_weights, Mapping):
            self.class_weights = json.dumps({str(name): weight for name, weight in self.class_weights.items()})
        if self.weighted_sampling and self.class_weights:
            raise ValueError("--weighted_sampling and --class_weights count rare labels twice; leave one out.")


@dataclass
class RegularizationArguments:
    """What keeps the weights from following the training rows too closely."""

    rdrop_alpha: float = field(
        default=0.0, metadata={"help": "R-Drop: weight of the divergence between two dropout passes; 0 is off."}
    )
    ema_decay: float | None = field(
        default=None, metadata={"help": "Keep an exponential moving average of the weights; .999 is usual."}
    )
    ema_evaluate: bool = field(default=True, metadata={"help": "Evaluate with the averaged weights while training."})
    ema_save: bool = field(default=True, metadata={"help": "End with the averaged weights: they are saved and used."})
    average_checkpoints: int | None = field(
        default=None, metadata={"help": "After training, average the weights of this many checkpoints."}
    )
    average_checkpoints_by: str = field(
        default="last",
        metadata={"help": "Which: the last ones, or the best by metric_for_best_model.", "choices": ["last", "best"]},
    )

    def __post_init__(self) -> None:
        if not self.rdrop_alpha >= 0:
            raise ValueError(f"--rdrop_alpha must not be negative, got {self.rdrop_alpha}.")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"--ema_decay must lie between 0 and 1, got {self.ema_decay}.")
        if self.average_checkpoints is not None and self.average_checkpoints < 2:
            raise ValueError(f"--average_checkpoints must be at least 2, got {self.average_checkpoints}.")
        if self.average_checkpoints_by not in ("last", "best"):
            raise ValueError(f"--average_checkpoints_by is last or best, got {self.average_checkpoints_by}.")
        if self.average_checkpoints is not None and self.ema_decay is not None and self.ema_save:
            raise ValueError("--average_checkpoints and --ema_decay both decide the final weights; leave one out.")


@dataclass
class RunArguments:
    """How a run begins, when it stops early, and what it writes."""

    overwrite_output_dir: bool = field(
        default=False,
        metadata={"help": "Train into an output folder that already holds checkpoints or a trained model."},
    )
    resume_or_start: bool = field(
        default=False,
        metadata={"help": "With --resume_from_checkpoint last: begin anew where there is no whole checkpoint."},
    )
    resume_changed_run: bool = field(
        default=False,
        metadata={"help": "Resume although data, labels, batch, row order or versions differ from the checkpoint's."},
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
        default=True,
        metadata={"help": "Stop with an error at the first step whose loss is NaN or infinite, before it does harm."},
    )
    loss_window: int = field(default=100, metadata={"help": "Optimizer steps over which the shown mean loss is taken."})
    write_train_log: bool = field(
        default=True, metadata={"help": "Write every logged figure to train_log.jsonl in the output folder."}
    )
    write_report: bool = field(
        default=True,
        metadata={
            "help": "After the run draw pictures and list mistakes; validation rows are predicted once more for it, if "
            "there are no test rows with labels."
        },
    )

    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "On resume, restore callbacks too, such as the early-stopping patience."}
    )
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Hide NaN and infinite losses in the logs; off, since they show a dead run."}
    )
    ddp_timeout: int = field(
        default=300, metadata={"help": "Seconds that processes wait for one that does not answer before the run ends."}
    )

    def __post_init__(self) -> None:
        if self.loss_window < 1:
            raise ValueError(f"--loss_window must be at least 1, got {self.loss_window}.")
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ValueError(f"--early_stopping_patience must be at least 1, got {self.early_stopping_patience}.")
        if self.early_stopping_threshold < 0:
            raise ValueError(f"--early_stopping_threshold must not be negative, got {self.early_stopping_threshold}.")
        if self.ddp_timeout < 1:
            raise ValueError(f"--ddp_timeout must be at least 1 second, got {self.ddp_timeout}.")


ARGUMENT_GROUPS = (
    RunArguments,
    BatchingArguments,
    PrecisionArguments,
    AdversarialArguments,
    OptimizationArguments,
    LossArguments,
    RegularizationArguments,
    LoraArguments,
    ChoosingArguments,
    TuningArguments,
    HubArguments,
)


def _check_name(flag: str, name: str, known: Iterable[str], *, kind: str) -> None:
    if name not in known:
        raise ValueError(f"--{flag} {name}: there is no such {kind}; {did_you_mean(name, known)}")


def _read_rates(given: dict | str | None) -> dict[str, float] | None:
    """Turn the JSON of ``learning_rate_mapping`` into {regular expression: rate}."""
    if given is None or given == "":
        return None
    example = "'{\"regex\": 1e-4}'"
    try:
        mapping: Any = json.loads(given) if isinstance(given, str) else given
    except json.JSONDecodeError as error:
        raise ValueError(f"--learning_rate_mapping is no JSON ({error.msg}); write {example}.") from error
    if not isinstance(mapping, Mapping) or not mapping:
        raise ValueError(f"--learning_rate_mapping must be {example}, got {given!r}.")
    rates = {}
    for pattern, rate in mapping.items():
        try:
            rates[str(pattern)] = math.nan if isinstance(rate, bool) else float(rate)
        except (TypeError, ValueError):
            raise ValueError(f"--learning_rate_mapping: {rate!r} of {pattern!r} is no number.") from None
        if not 0 <= rates[str(pattern)] < math.inf:
            raise ValueError(
                f"--learning_rate_mapping: the rate of {pattern!r} must be a finite number, not negative, got {rate}."
            )
    return rates
