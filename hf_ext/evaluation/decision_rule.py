"""What a classifier's config says of its answers: the temperature of probabilities, and from where on a label holds.

Both are numbers fitted on validation rows after training; the weights know nothing of them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

CONFIG_KEY = "decision_rule"


@dataclass(frozen=True)
class DecisionRule:
    """How logits become probabilities and answers.

    Args:
        temperature: Logits are divided by it before they become probabilities.
        thresholds: The probability from which on a label holds: one for each of several labels, in their order; of two
            exclusive labels one, that of label 1. Empty means 0.5, or the likeliest label.

    Raises:
        ValueError: If the temperature is not a positive number, or a threshold does not lie in 0 .. 1.
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be a positive number, got {self.temperature}.")
        wrong = [value for value in self.thresholds if not 0 <= value <= 1]
        if wrong:
            raise ValueError(f"thresholds must lie in 0 .. 1, got {wrong[0]}.")

    @classmethod
    def from_config(cls, config: Any) -> DecisionRule:
        """Read the rule of a saved model; the usual one where there is none."""
        stored = getattr(config, CONFIG_KEY, None) or {}
        return cls(float(stored.get("temperature", 1.0)), tuple(map(float, stored.get("thresholds", ()))))

    @property
    def stored(self) -> dict[str, Any]:
        """The rule as ``config.json`` holds it, under ``CONFIG_KEY``."""
        return asdict(self) | {"thresholds": list(self.thresholds)}


def forget_rule(config: Any) -> None:
    """Take the rule out of the config of a model that is trained further: it was fitted to other weights."""
    if getattr(config, CONFIG_KEY, None) is not None:
        delattr(config, CONFIG_KEY)


USUAL = DecisionRule()
