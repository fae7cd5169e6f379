"""The model card: what a model is for, what it was trained on, how good it is, how it is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

CARD_FILE = "README.md"
MOST_ROWS = 100  # of a table
MOST_LABELS_NAMED = 20
LARGE = 1000.0  # from here on decimals tell nothing
METRIC_TYPES = ("accuracy", "f1", "precision", "recall", "mse", "mae", "pearson", "spearman", "perplexity")


@dataclass(frozen=True)
class CardTable:
    """A table of a card.

    Args:
        header: Names of the columns.
        rows: Cells; floats are written with four decimals.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def __str__(self) -> str:
        """Write it as Markdown; of many rows the first ones, and how many are left out."""
        numbers = [any(_is_number(cell) for cell in column) for column in zip(*self.rows, strict=True)]
        marks = ["---:" if number else "---" for number in numbers or [False] * len(self.header)]
        lines = [_line(self.header), _line(marks, escape=False), *map(_line, self.rows[:MOST_ROWS])]
        left_out = len(self.rows) - MOST_ROWS
        return "\n".join(lines) + (f"\n\n… and {left_out:,} more." if left_out > 0 else "")


@dataclass(frozen=True)
class ModelCard:
    """All that a card says. A section without anything to say is left out.

    Args:
        name: Name of the model.
        task: As the Hub calls it.
        purpose: What it does, one sentence.
        base_model: Name on the Hub of the model that was fine-tuned; None for a folder or from scratch.
        origin: How the training began, one sentence.
        dataset: Name on the Hub of the data; None for files.
        language: ISO 639-1, None if unknown.
        labels: What it can answer; empty for numbers and words.
        metrics: Split to figures, without prefix.
        compared: The same of other models on the same rows, shown below.
        main_metrics: Names of the figures that are shown, in order.
        tables: Heading to table, e.g. of the labels.
        data: The data, a row for each split.
        settings: What it was trained with, name to value.
        limits: Sentences on where it may fail.
        usage: Python that loads and uses it.
        command: Shell that uses it.
        widgets: Texts to try it with; they become public with the card.
        pictures: File to what it shows.
    """

    name: str
    task: str
    purpose: str
    base_model: str | None = None
    origin: str = ""
    dataset: str | None = None
    language: str | None = None
    labels: Sequence[str] = ()
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    compared: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    main_metrics: Sequence[str] = ()
    tables: Mapping[str, CardTable] = field(default_factory=dict)
    data: CardTable | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    limits: Sequence[str] = ()
    usage: str = ""
    command: str = ""
    widgets: Sequence[str] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Write the card: a head in YAML for the Hub, and Markdown."""
        sections = [
            f"# {self.name}",
            " ".join(part for part in (self.purpose, self.origin) if part),
            *self._section("Labels", self._label_text()),
            *self._section("How good it is", self._metric_text()),
            *(part for name, table in self.tables.items() for part in self._section(name, str(table), level=3)),
            *(f"![{what}]({file})" for file, what in self.pictures.items()),
            *self._section("How to use it", self._usage_text()),
            *self._section("Intended use and limits", "\n".join(f"- {limit}" for limit in self.limits)),
            *self._section("Training data", str(self.data) if self.data else ""),
            *self._section("Training", str(CardTable(("setting", "value"), list(self.settings.items())))),
        ]
        return f"---\n{self.head().to_yaml()}\n---\n\n" + "\n\n".join(part for part in sections if part) + "\n"

    def head(self) -> ModelCardData:
        """Give what the Hub reads: language, base model, task, data, widgets, figures."""
        return ModelCardData(
            language=self.language,
            library_name="transformers",
            pipeline_tag=self.task or None,
            tags=["hf_ext", "generated_from_trainer"],
            base_model=self.base_model,
            datasets=[self.dataset] if self.dataset else None,
            widget=[{"text": text} for text in self.widgets] or None,
            model_name=self.name,
            eval_results=self._results() or None,
        )

    def _results(self) -> list[EvalResult]:
        results = []
        for split, figures in self.metrics.items():
            for name in self.main_metrics:
                kind = next((kind for kind in METRIC_TYPES if name.startswith(kind)), None)
                if kind and _is_finite(figures.get(name)):
                    result = EvalResult(
                        task_type=self.task,
                        dataset_type=self.dataset or "files",
                        dataset_name=self.dataset or "own files",
                        dataset_split=split,
                        metric_type=kind,
                        metric_name=name.replace("_", " "),
                        metric_value=round(float(figures[name]), 4),
                    )
                    results.append(result)
        return results

    def _label_text(self) -> str:
        if not self.labels:
            return ""
        named = ", ".join(_code(label) for label in self.labels[:MOST_LABELS_NAMED])
        more = len(self.labels) - MOST_LABELS_NAMED
        return f"{len(self.labels):,} labels: {named}" + (f" and {more:,} more (`config.json`)." if more > 0 else ".")

    def _metric_text(self) -> str:
        shown = [name for name in self.main_metrics if any(name in figures for figures in self.metrics.values())]
        lines = [*self.metrics.items(), *self.compared.items()]
        rows = [[split, *(figures.get(name, "") for name in shown)] for split, figures in lines]
        return str(CardTable(("", *(name.replace("_", " ") for name in shown)), rows)) if shown else ""

    def _usage_text(self) -> str:
        blocks = (("python", self.usage), ("bash", self.command))
        return "\n\n".join(f"```{language}\n{code.strip()}\n```" for language, code in blocks if code)

    @staticmethod
    def _section(title: str, text: str, *, level: int = 2) -> Iterable[str]:
        return (f"{'#' * level} {title}", text) if text else ()


def _line(cells: Iterable[Any], *, escape: bool = True) -> str:
    texts = [_cell(cell) if escape else str(cell) for cell in cells]
    return f"| {' | '.join(texts)} |"


def _cell(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= LARGE else f"{cell:.4f}" if math.isfinite(cell) else "-"
    if _is_number(cell):
        return f"{cell:,}"
    text = " ".join(str(cell).split())
    for letter in "\\|<>*_`[]":
        text = text.replace(letter, f"\\{letter}")
    return text


def _code(label: str) -> str:
    """Write a label such that Markdown reads it as it stands."""
    text = " ".join(label.split()) or " "
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)
