"""What a training has logged, as series of numbers over its steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

END_OF_TRAINING = "train_runtime"
RATE = "learning_rate"


class Series(NamedTuple):
    """Figures of one name.

    Args:
        steps: Optimizer steps, rising.
        values: The figure at each of them; finite.
    """

    steps: list[int]
    values: list[float]

    def __bool__(self) -> bool:
        return bool(self.steps)


class History:
    """Read the log of a training.

    Of a figure that was logged twice at a step the later one counts. What was evaluated after the training belongs to
    it only where nothing was evaluated before its end: it may be the score of another step's weights.

    Args:
        log: Entries as in ``TrainerState.log_history``, each with its ``step``.
    """

    def __init__(self, log: Sequence[Mapping[str, Any]]) -> None:
        ends = [place for place, entry in enumerate(log) if END_OF_TRAINING in entry]
        self._training = list(log[: ends[-1]] if ends else log)
        self._everything = list(log)

    def __bool__(self) -> bool:
        """Tell whether a training has logged anything on its way."""
        trained = any(END_OF_TRAINING in entry or "loss" in entry for entry in self._everything)
        return trained and any("loss" in entry or "eval_loss" in entry for entry in self._training)

    def series(self, name: str) -> Series:
        """Give the figures of one name; those that are not finite are left out."""
        log = self._training
        if name.startswith("eval_") and not any(name in entry for entry in log):
            log = self._everything
        found = {int(entry["step"]): float(entry[name]) for entry in log if _is_number(entry.get(name))}
        steps = sorted(found)
        return Series(steps, [found[step] for step in steps])

    def named_losses(self) -> list[str]:
        """Name the losses that were logged beside ``loss``, in the order of the log."""
        names = (name for entry in self._training if "loss" in entry for name in entry)
        return [name for name in dict.fromkeys(names) if name.endswith("_loss") and not name.startswith("eval_")]

    def rates(self) -> dict[str, Series]:
        """Give the learning rates by the name of their group; under one name where all parameters learn alike."""
        names = (name for entry in self._training for name in entry if name.startswith(f"{RATE}/"))
        groups = {name.removeprefix(f"{RATE}/"): self.series(name) for name in dict.fromkeys(names)}
        return groups or {"all parameters": self.series(RATE)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
