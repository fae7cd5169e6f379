"""What a classifier answers for each row, as it is written: decisions, and probabilities in half precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hf_ext.evaluation.decision_rule import USUAL, DecisionRule
from hf_ext.evaluation.decisions import THRESHOLD, decide, probabilities
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL


@dataclass(frozen=True)
class Answers:
    """The answers for N rows.

    Args:
        decisions: Label indices ``(N,)``, 0/1 rows ``(N, L)`` or numbers ``(N,)``.
        probabilities: Of each label, ``(N, L)``; None for numbers.
        score: The probability of the chosen label in more digits, ``(N,)``, which still tells sure answers apart; None
            where the probabilities have them, or where any number of labels is chosen.
        logits: Where the order of all rows is to be scored, ``(N, L)``; else None.
    """

    decisions: NDArray[Any]
    probabilities: NDArray[Any] | None = None
    score: NDArray[Any] | None = None
    logits: NDArray[Any] | None = None

    @classmethod
    def from_logits(cls, logits: ArrayLike, problem_type: str, rule: DecisionRule = USUAL) -> Answers:
        """Read the answers off logits ``(N, L)`` by the rule of their model, with probabilities in double precision."""
        chances = None if problem_type == REGRESSION else probabilities(logits, problem_type, rule.temperature)
        return cls(decide(logits, problem_type, **rule.stored), chances)

    @classmethod
    def from_batches(cls, batches: Sequence[Mapping[str, NDArray[Any]]]) -> Answers:
        """Join what ``answer_batch`` gave, batch by batch in the order of the rows; needs a batch."""
        return cls(**{name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]})

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.decisions)


def answer_batch(
    outputs: Any, problem_type: str, *, keep_logits: bool = False, rule: DecisionRule = USUAL
) -> dict[str, Tensor]:
    """Read the answers for a batch off its logits, where they are, before they are gathered.

    Args:
        outputs: Logits ``(B, L)``, alone or first in a tuple.
        problem_type: One of transformers' three names.
        keep_logits: Whether the logits are needed beside them.
        rule: That of the model.

    Returns:
        The arguments of ``Answers`` that the kind of task has. ``probabilities`` are float16, from 0.0001 on right to
        0.05 %; ``score`` is float32.
    """
    logits = (outputs[0] if isinstance(outputs, tuple) else outputs).detach()
    logits = logits.float() if logits.itemsize < 4 else logits
    wide = logits if logits.device.type == "mps" else logits.double()
    if problem_type == REGRESSION:
        return {"decisions": logits.reshape(-1)}
    wide = wide / rule.temperature
    chances = wide.sigmoid() if problem_type == MULTI_LABEL else wide.softmax(-1)
    answers = {"probabilities": chances.half()}
    if problem_type == SINGLE_LABEL:
        reaches = chances[:, 1] >= rule.thresholds[0] if rule.thresholds else None
        answers["decisions"] = logits.argmax(-1) if reaches is None else reaches.long()
        answers["score"] = chances.gather(-1, answers["decisions"][:, None]).squeeze(-1).float()
    else:
        thresholds = chances.new_tensor(rule.thresholds or (THRESHOLD,))  # (L,) or (1,)
        answers["decisions"] = (chances >= thresholds).to(torch.int8)
    return answers | ({"logits": logits} if keep_logits else {})
