"""Texts, pairs and rows with columns to labels or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_ext.data.checks.rows import check_number
from hf_ext.data.collators import ClassificationCollator
from hf_ext.data.columns import Columns
from hf_ext.data.features import FeatureEncoder, limit_length
from hf_ext.data.rows import to_cell
from hf_ext.errors import UserError, did_you_mean
from hf_ext.evaluation.answers import Answers
from hf_ext.evaluation.decision_rule import DecisionRule
from hf_ext.evaluation.reports import describe_answers
from hf_ext.inference.engine import Engine
from hf_ext.models.positions import count_positions
from hf_ext.models.schema import TaskSchema, TextSchema

Cells = dict[str, str]
TEXT_COLUMN = "text"  # what a model that hf_ext has not saved calls its only text


@dataclass(frozen=True)
class RowClassifier:
    """Answer rows as ``run_classification.py --do_predict`` does.

    Args:
        engine: The model.
        tokenizer: Its tokenizer.
        schema: Labels and columns.
    """

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    schema: TaskSchema

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row must have."""
        text, table = self._named.text, self._named.columns
        names = [*text.columns, *([text.pair_column] if text.pair_column else []), *text.columns_as_text]
        beside = [*(column.name for column in table.categorical), *(column.name for column in table.numeric)]
        return tuple(dict.fromkeys([*names, *beside]))

    def read(self, item: Any, where: str) -> Cells:
        """Take one input: a text, a pair of texts, or a mapping from column names to cells.

        Args:
            item: The input; cells may be text, numbers or None.
            where: Its place, for messages.

        Raises:
            ValueError: If it does not have what this model reads.
        """
        text = self._named.text
        if isinstance(item, str):
            item = {text.columns[0]: item}
        elif isinstance(item, tuple):
            if text.pair_column is None or len(item) != 2:
                raise ValueError(f"{where}: a tuple of {len(item)} came, but this model reads {self._listed}.")
            item = {text.columns[0]: item[0], text.pair_column: item[1]}
        elif not isinstance(item, Mapping):
            raise ValueError(f"{where}: expected a text, a pair or a mapping, got {type(item).__name__}.")
        lacking = next((name for name in self.columns if name not in item), None)
        if lacking is not None:
            hint = did_you_mean(lacking, map(str, item))
            raise ValueError(f"{where}: no column {lacking!r}; this model reads {self._listed} – {hint}")
        cells = {name: to_cell(item[name], name, where) for name in self.columns}
        for name, cell in cells.items():
            if not isinstance(cell, str):
                raise UserError(f"column {name!r} holds a list", where=where, fix="give one text or number")
        for column in self._named.columns.numeric:
            check_number(cells[column.name], column.name, where)
        return {name: str(cell) for name, cell in cells.items()}

    def answer(self, rows: Sequence[Cells]) -> list[dict[str, Any]]:
        """Answer rows that ``read`` has taken.

        Returns:
            For each row ``prediction`` (a label, a list of labels, or a number), and unless it is a number ``score``
            and ``probabilities`` by label.
        """
        if not rows:
            return []
        labels = self.schema.labels
        return describe_answers(Answers.from_logits(self.logits(rows), labels.problem_type, self.rule), labels)

    def logits(self, rows: Sequence[Cells]) -> NDArray[Any]:
        """Give the model's logits ``(N, L)`` for rows that ``read`` has taken; needs a row."""
        outputs = self.engine.run(self.encode(rows), ClassificationCollator(self.tokenizer), _logits)
        return np.stack([row for (row,) in outputs])

    @property
    def rule(self) -> DecisionRule:
        """How logits become probabilities and answers."""
        return DecisionRule.from_config(self.engine.model.config)

    def encode(self, rows: Sequence[Cells]) -> list[dict[str, Any]]:
        """Turn rows into features, as ``FeatureEncoder`` makes them."""
        encoded = self._encoder({name: [row[name] for row in rows] for name in self.columns})
        return [dict(zip(encoded, cells, strict=True)) for cells in zip(*encoded.values(), strict=True)]

    def with_columns(self, columns: Columns) -> RowClassifier:
        """Give the same model reading columns under the names that a file has for them."""
        return self.reading(replace(self.schema.text, columns=columns.text, pair_column=columns.pair))

    def reading(self, text: TextSchema) -> RowClassifier:
        """Give the same model reading texts as another schema says."""
        return replace(self, schema=replace(self.schema, text=text))

    @cached_property
    def _named(self) -> TaskSchema:
        text = self.schema.text
        return self.schema if text.columns else replace(self.schema, text=replace(text, columns=(TEXT_COLUMN,)))

    @property
    def _listed(self) -> str:
        return f"the column{'s' if len(self.columns) > 1 else ''} {', '.join(self.columns)}"

    @cached_property
    def max_length(self) -> int:
        """The longest sequence in tokens; longer ones are cut."""
        return limit_length(self._named.text.max_length, self.tokenizer, count_positions(self.engine.model))[0]

    @cached_property
    def _encoder(self) -> FeatureEncoder:
        return FeatureEncoder(self.tokenizer, self._named, self.max_length)


def _logits(output: Any) -> tuple[Tensor]:
    return (output.logits,)
