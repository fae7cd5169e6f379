"""The flags of a search for flags."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TuningArguments:
    """Which flags are searched for, and how long."""

    tune: str | None = field(
        default=None,
        metadata={
            "help": "Search for the flags that do best on the validation rows: a YAML file, a flag a line, with a list "
            "of choices or {low, high, log, step}. Ends with best.yaml; the test rows are left alone."
        },
    )
    tune_trials: int = field(default=20, metadata={"help": "Runs of the search, those of a resumed one counted."})
    tune_timeout: float | None = field(
        default=None, metadata={"help": "Seconds after which the search begins no further run; unset never stops it."}
    )
    tune_pruning: bool = field(
        default=False,
        metadata={
            "help": "End a run early whose best evaluation so far is below the median of the earlier runs at the same "
            "evaluation; the first five are never ended."
        },
    )

    def __post_init__(self) -> None:
        if self.tune_trials < 1:
            raise ValueError(f"--tune_trials must be at least 1, got {self.tune_trials}.")
        if self.tune_timeout is not None and not self.tune_timeout > 0:
            raise ValueError(f"--tune_timeout must be positive, got {self.tune_timeout}.")
