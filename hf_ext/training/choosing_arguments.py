"""The flags that say what is made of a model's answers once it is trained."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ChoosingArguments:
    """How the answers of a classifier are cut and calibrated, and how sure the figures of a prediction are."""

    tune_thresholds: str | None = field(
        default=None,
        metadata={
            "help": "Fit on the validation rows from which probability on a label holds, best by this metric.",
            "choices": ["f1", "f1_macro", "accuracy", "mcc"],
        },
    )
    calibrate: str | None = field(
        default=None,
        metadata={
            "help": "Fit on the validation rows what makes probabilities mean what they say: temperature.",
            "choices": ["temperature"],
        },
    )
    bootstrap_samples: int = field(
        default=0,
        metadata={"help": "Draw the test rows again so many times, for a 95 %% interval of the main metric; 0 is off."},
    )

    def __post_init__(self) -> None:
        if self.bootstrap_samples < 0:
            raise ValueError(f"--bootstrap_samples must not be negative, got {self.bootstrap_samples}.")
