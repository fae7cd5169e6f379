"""What a search may try for each flag: some choices, or all numbers of a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Choices:
    """One of some values.

    Args:
        values: What may be chosen; None leaves the flag at its default.

    Raises:
        ValueError: If there is nothing to choose, or a value stands there twice.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("there is nothing to choose from")
        kinds = [(type(value), value) for value in self.values]  # True is no 1
        for place, kind in enumerate(kinds):
            if kind in kinds[:place]:
                raise ValueError(f"{kind[1]!r} stands there twice")

    @property
    def extremes(self) -> Sequence[Value]:
        """Every value, for checks."""
        return self.values

    def suggest(self, trial: optuna.Trial, name: str) -> Value:
        """Ask a trial for a value of the flag."""
        return trial.suggest_categorical(name, list(self.values))


@dataclass(frozen=True)
class NumberRange:
    """A number between two, both of which may be chosen; a whole one where both are whole numbers (``3``, not ``3.0``).

    Args:
        low: The smallest.
        high: The largest.
        log: Whether the logarithm is what is drawn evenly: each power of ten is as likely as the next.
        step: Distance of the numbers that may be chosen, counted from the smallest; unset takes all.

    Raises:
        ValueError: If the range is empty, or the numbers contradict one another.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low is {self.low} and high {self.high}: there is nothing between them")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above 0, got {self.low}")
        if self.log and self.step is not None:
            raise ValueError("log and step contradict one another")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(f"step must be above 0 and at most {self.high - self.low}, got {self.step}")

    @property
    def extremes(self) -> Sequence[Value]:
        """The smallest and the largest number, for checks."""
        return self.low, self.high

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are chosen."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))

    def suggest(self, trial: optuna.Trial, name: str) -> Value:
        """Ask a trial for a number for the flag."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


SearchSpace = Mapping[str, Choices | NumberRange]


def suggest_values(space: SearchSpace, trial: optuna.Trial) -> dict[str, Value]:
    """Ask a trial for a value of every flag; asked again, it gives the same ones."""
    return {name: part.suggest(trial, name) for name, part in space.items()}
