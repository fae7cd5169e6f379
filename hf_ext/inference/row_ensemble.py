"""Several classifiers of the same labels that answer as one, such as the models of folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_ext.evaluation.decision_rule import DecisionRule
from hf_ext.evaluation.pooling import pool_logits
from hf_ext.inference.row_classifier import Cells, RowClassifier
from hf_ext.models.schema import TextSchema


@dataclass(frozen=True)
class RowEnsemble(RowClassifier):
    """Answer rows by the mean of the members' probabilities; of numbers by the mean number.

    Temperature and thresholds are those of the first member: models of folds have the same ones.

    Args:
        members: The classifiers; engine, tokenizer and schema are those of the first.
    """

    members: tuple[RowClassifier, ...] = ()

    @classmethod
    def of(cls, members: Sequence[RowClassifier]) -> RowEnsemble:
        """Put classifiers together.

        Raises:
            ValueError: If their labels differ.
        """
        first = members[0]
        if any(member.schema.labels != first.schema.labels for member in members):
            raise ValueError("the members of an ensemble must have the same labels in the same order.")
        return cls(first.engine, first.tokenizer, first.schema, members=tuple(members))

    def logits(self, rows: Sequence[Cells]) -> NDArray[np.float64]:
        """Give logits ``(N, L)`` whose probabilities are the mean of those of the members."""
        found = [member.logits(rows) for member in self.members]
        return pool_logits(found, self.schema.labels.problem_type, temperature=super().rule.temperature)

    @property
    def rule(self) -> DecisionRule:
        """The thresholds of the members; their temperature is in the logits."""
        return DecisionRule(thresholds=super().rule.thresholds)

    def reading(self, text: TextSchema) -> RowEnsemble:
        """Give the same models reading texts as another schema says."""
        return RowEnsemble.of([member.reading(text) for member in self.members])
