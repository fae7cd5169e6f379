"""What the data looks like, as plain data: labels, text columns, table columns.

Both sides know these schemas: the data modules use them to turn cells into numbers, the models take their
sizes from them. They are fitted on the training split only and live in ``config.json``; nothing is pickled.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
PROBLEM_TYPES = (SINGLE_LABEL, MULTI_LABEL, REGRESSION)

IGNORED_LABEL = -100
UNKNOWN_CATEGORY = 0  # the id of every category that training has not seen
MISSING_NUMBERS = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})

LARGEST_NUMBER = 3.4e38  # of float32, in which models compute

Row = Mapping[str, Any]


@dataclass(frozen=True)
class LabelSchema:
    """The labels of a task, in the order of the model's outputs.

    Args:
        problem_type: One of transformers' three names (``PROBLEM_TYPES``).
        names: The label of each output, as text; empty for regression.
    """

    problem_type: str = SINGLE_LABEL
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.problem_type not in PROBLEM_TYPES:
            raise ValueError(f"problem_type must be one of {PROBLEM_TYPES}, got {self.problem_type!r}.")

    @classmethod
    def fit(cls, labels: Iterable[str | Sequence[str]], problem_type: str = SINGLE_LABEL) -> LabelSchema:
        """Collect the distinct labels of the training split, as text, sorted.

        Args:
            labels: One label a row, or a list of labels a row for multi-label tasks.
            problem_type: The kind of task; for regression the labels are not looked at.
        """
        if problem_type == REGRESSION:
            return cls(problem_type)
        names: set[str] = set()
        for label in labels:
            names.update([label] if isinstance(label, str) else label)
        return cls(problem_type, tuple(sorted(names)))

    @property
    def num_labels(self) -> int:
        """The width of the logits: the number of names, or 1 for regression."""
        return 1 if self.problem_type == REGRESSION else len(self.names)

    @property
    def id2label(self) -> dict[int, str]:
        """Output index to name, as ``config.id2label`` wants it."""
        return dict(enumerate(self.names or ("LABEL_0",)))

    def encode(self, label: str | Sequence[str] | float) -> int | float | list[float]:
        """Turn one row's label into what the loss takes.

        Returns:
            The index of the name; a 0/1 list of length ``num_labels`` for multi-label tasks; a float for regression.

        Raises:
            ValueError: If a name is not in the schema, or a regression target is not a finite number.
        """
        if self.problem_type == REGRESSION:
            number = parse_number(label)
            if math.isnan(number):
                raise ValueError(f"the target {label!r} is missing")
            return number
        if self.problem_type == MULTI_LABEL:
            chosen = {self._index(name) for name in label}  # type: ignore[union-attr]
            return [1.0 if i in chosen else 0.0 for i in range(self.num_labels)]
        return self._index(label)  # type: ignore[arg-type]

    def _index(self, name: str) -> int:
        try:
            return self.names.index(name)
        except ValueError:
            known = ", ".join(self.names[:10]) + (", …" if len(self.names) > 10 else "")
            raise ValueError(f"label {name!r} is not one of the {len(self.names)} known labels ({known})") from None


@dataclass(frozen=True)
class CategoricalColumn:
    """A column of categories: category ``i`` has id ``i + 1``, anything else has id 0."""

    name: str
    categories: tuple[str, ...]

    @property
    def size(self) -> int:
        """The number of ids, the unknown bucket included."""
        return len(self.categories) + 1


@dataclass(frozen=True)
class NumericColumn:
    """A column of numbers with the mean and population standard deviation of its training cells."""

    name: str
    mean: float = 0.0
    std: float = 1.0
    has_missing: bool = False


@dataclass(frozen=True)
class TabularSchema:
    """The table columns beside the text, fitted on the training split only."""

    categorical: tuple[CategoricalColumn, ...] = ()
    numeric: tuple[NumericColumn, ...] = ()

    @classmethod
    def fit(
        cls,
        rows: Iterable[Row],
        *,
        categorical: Sequence[str] = (),
        numeric: Sequence[str] = (),
        min_category_count: int = 1,
    ) -> TabularSchema:
        """Read the categories and the statistics of the named columns in one pass.

        Args:
            rows: The training rows, cells as text.
            categorical: Names of the columns of categories; an empty cell is a category like any other.
            numeric: Names of the columns of numbers; an empty cell is missing and leaves the statistics alone.
            min_category_count: Rarer categories share the unknown bucket, which is thereby trained.

        Raises:
            ValueError: If a numeric cell is neither empty nor a finite number, or a column has no number at all.
        """
        counts: dict[str, Counter[str]] = {name: Counter() for name in categorical}
        moments = {name: _Moments() for name in numeric}
        for row in rows:
            for name, counter in counts.items():
                counter[row[name]] += 1
            for name, moment in moments.items():
                moment.add(parse_number(row[name]))
        return cls(
            categorical=tuple(
                CategoricalColumn(name, tuple(sorted(c for c, n in counter.items() if n >= min_category_count)))
                for name, counter in counts.items()
            ),
            numeric=tuple(moment.column(name) for name, moment in moments.items()),
        )

    def __bool__(self) -> bool:
        return bool(self.categorical or self.numeric)

    @property
    def category_sizes(self) -> tuple[int, ...]:
        """The number of ids of each categorical column, length C."""
        return tuple(column.size for column in self.categorical)

    def encode_categories(self, rows: Mapping[str, Sequence[str]]) -> list[list[int]]:
        """Turn columns of text cells into ids, shape ``(rows, C)``; an unseen category is ``UNKNOWN_CATEGORY``."""
        columns = []
        for column in self.categorical:
            ids = {category: i + 1 for i, category in enumerate(column.categories)}
            columns.append([ids.get(cell, UNKNOWN_CATEGORY) for cell in rows[column.name]])
        return [list(row) for row in zip(*columns, strict=True)]

    def encode_numbers(self, rows: Mapping[str, Sequence[str]]) -> list[list[float]]:
        """Turn columns of text cells into raw numbers, shape ``(rows, N)``; a missing cell is NaN.

        The model standardises them, so that an exported model takes numbers as they stand in a table.
        """
        columns = [[parse_number(cell) for cell in rows[column.name]] for column in self.numeric]
        return [list(row) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class TextSchema:
    """Which columns are read as text, and how they become one sequence.

    Args:
        columns: Text columns, joined in this order.
        pair_column: The second text of a pair, or None.
        delimiter: Put between joined columns.
        columns_as_text: Table columns written into the text as ``name: cell`` (the simple baseline).
        max_length: Longest sequence in tokens, special tokens included.
    """

    columns: tuple[str, ...] = ()
    pair_column: str | None = None
    delimiter: str = " "
    columns_as_text: tuple[str, ...] = ()
    max_length: int = 128

    def join(self, row: Row) -> str:
        """Give the first text of a row: its text columns, then ``name: cell`` for each column as text."""
        parts = [row[name] for name in self.columns]
        parts += [f"{name}: {row[name]}" for name in self.columns_as_text]
        return self.delimiter.join(part for part in parts if part)


@dataclass(frozen=True)
class TaskSchema:
    """Everything that prediction needs to know of the training data; stored in ``config.json``."""

    labels: LabelSchema = field(default_factory=LabelSchema)
    text: TextSchema = field(default_factory=TextSchema)
    columns: TabularSchema = field(default_factory=TabularSchema)
    label_column: str | None = None
    id_column: str | None = None
    label_delimiter: str | None = None  # how multi-label cells are taken apart when the saved model reads new files
    label_list: tuple[str, ...] = ()  # names of numbered label cells, in the order of the numbers

    def write_into(self, config: Any) -> None:
        """Store the schema in a transformers config; labels go where transformers looks for them."""
        config.id2label = self.labels.id2label
        config.label2id = {name: i for i, name in self.labels.id2label.items()}
        config.problem_type = self.labels.problem_type
        stored = asdict(self)
        del stored["labels"]  # id2label and problem_type hold them
        config.task_schema = stored

    @classmethod
    def from_config(cls, config: Any) -> TaskSchema | None:
        """Read the schema back, or None when the config was not saved by hf_ext."""
        stored = getattr(config, "task_schema", None)
        if not stored:
            return None
        problem_type = config.problem_type or SINGLE_LABEL
        names = () if problem_type == REGRESSION else tuple(config.id2label[i] for i in range(config.num_labels))
        text = stored["text"]
        columns = stored["columns"]
        return cls(
            labels=LabelSchema(problem_type, names),
            text=TextSchema(
                **{**text, "columns": tuple(text["columns"]), "columns_as_text": tuple(text["columns_as_text"])}
            ),
            columns=TabularSchema(
                tuple(CategoricalColumn(c["name"], tuple(c["categories"])) for c in columns["categorical"]),
                tuple(NumericColumn(**c) for c in columns["numeric"]),
            ),
            label_column=stored["label_column"],
            id_column=stored["id_column"],
            label_delimiter=stored.get("label_delimiter"),
            label_list=tuple(stored.get("label_list", ())),
        )


def labels_of_head(config: Any) -> TaskSchema | None:
    """Give the labels of a classifier that was not saved by hf_ext, the columns left open.

    None for an encoder without a head, and where the labels have no names of their own (``LABEL_0``).
    """
    if not has_classifier(config):
        return None
    if config.num_labels == 1:
        return TaskSchema(labels=LabelSchema(REGRESSION))
    names = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    if names == tuple(f"LABEL_{i}" for i in range(len(names))):
        return None
    return TaskSchema(labels=LabelSchema(config.problem_type or SINGLE_LABEL, names))


def has_classifier(config: Any) -> bool:
    """Whether a checkpoint was saved with a head that classifies sequences."""
    return any("ForSequenceClassification" in name for name in config.architectures or ())


def parse_number(cell: Any) -> float:
    """Read a cell as a float; an empty cell (``MISSING_NUMBERS``, any case) gives NaN.

    Raises:
        ValueError: If the cell is neither missing nor a finite number.
    """
    text = str(cell).strip()
    if text.lower() in MISSING_NUMBERS:
        return math.nan
    try:
        number = float(text if "_" not in text else "")  # Python reads 1_234 as a number, tables do not
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if abs(number) > LARGEST_NUMBER:
        raise ValueError(f"{text!r} is not a finite number (float32)")
    return number


class _Moments:
    """Running mean and variance of one column (Welford, 1962)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares, self.missing = 0, 0.0, 0.0, 0

    def add(self, number: float) -> None:
        if math.isnan(number):
            self.missing += 1
            return
        self.count += 1
        delta = number - self.mean
        self.mean += delta / self.count
        self.squares += delta * (number - self.mean)

    def column(self, name: str) -> NumericColumn:
        if not self.count:
            raise ValueError(f"column {name!r} holds no number in the training split")
        std = math.sqrt(self.squares / self.count)
        return NumericColumn(name, self.mean, std if std > 0 else 1.0, self.missing > 0)
