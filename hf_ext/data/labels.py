"""Label cells as label names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hf_ext.data.arguments import DataArguments
from hf_ext.data.rows import Cell
from hf_ext.errors import UserError
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL, LabelSchema

Label = str | list[str]


@dataclass(frozen=True)
class LabelReader:
    """How the label cells of one file are read.

    Args:
        problem_type: One of transformers' three names.
        delimiter: What separates the labels of one cell in multi-label files; None where cells are lists.
        label_list: Names of the labels; a cell ``i`` then means name ``i`` if ``indexed``.
        indexed: Whether the cells are indices into ``label_list``.
    """

    problem_type: str
    delimiter: str | None = None
    label_list: tuple[str, ...] = ()
    indexed: bool = False

    def read(self, cell: Cell) -> Label | None:
        """Give the label (or list of labels) of a cell, names stripped; None for an unlabelled row.

        An empty cell is unlabelled; so is a list that holds only an empty text (null in JSON). An empty list is
        a row to which no label applies.
        """
        if self.problem_type == MULTI_LABEL:
            parts = cell if isinstance(cell, list) else cell.split(self.delimiter or ",")
            names = [name.strip() for name in parts if name.strip()]
            return [self._name(name) for name in names] if names or not parts else None
        text = (cell[0] if cell else "") if isinstance(cell, list) else cell
        return self._name(text.strip()) if text.strip() else None

    def for_cells(self, cells: Iterable[Cell], source: str, *, strict: bool) -> LabelReader:
        """Decide for one file whether its cells are names or indices into the label list.

        Args:
            cells: All label cells of the file.
            source: The file, for messages.
            strict: Refuse cells that are neither; otherwise they are read as names (which nobody knows).

        Raises:
            UserError: If ``strict`` and a cell is neither.
        """
        if not self.label_list or self.problem_type == REGRESSION:
            return self
        plain = replace(self, label_list=(), indexed=False)
        found: set[str] = set()
        for cell in cells:
            label = plain.read(cell)
            found.update([label] if isinstance(label, str) else label or [])
        strange = sorted(found - set(self.label_list))
        indexed = any(map(self._is_index, strange))
        outside = [name for name in strange if not self._is_index(name)]
        if strict and strange and (outside or not all(map(self._is_index, found))):
            last = len(self.label_list) - 1
            raise UserError(
                f"the label {(outside or strange)[0]!r} is neither in the label list nor an index from 0 to {last}",
                where=source,
                fix="check --label_file (or label_list in --column_file)",
            )
        return replace(self, indexed=indexed)

    def _is_index(self, text: str) -> bool:
        return text.isascii() and text.isdigit() and int(text) < len(self.label_list)

    def _name(self, text: str) -> str:
        return self.label_list[int(text)] if self.indexed and self._is_index(text) else text


def choose_problem_type(arguments: DataArguments, *, cells_are_lists: bool, source: str) -> str:
    """Read ``--task``; ``auto`` is multi-label where cells are lists or ``--label_delimiter`` is given.

    Numbers are label names unless regression is asked for: guessing it from ``1.0`` and ``0.0`` trains the wrong model.

    Raises:
        UserError: If multi-label is asked for and cells cannot be taken apart.
    """
    if arguments.task == "auto":
        return MULTI_LABEL if cells_are_lists or arguments.label_delimiter else SINGLE_LABEL
    problem_type = {"single_label": SINGLE_LABEL, "multi_label": MULTI_LABEL, "regression": REGRESSION}[arguments.task]
    if problem_type == MULTI_LABEL and not cells_are_lists and not arguments.label_delimiter:
        raise UserError("label cells are text", where=source, fix="say what separates the labels: --label_delimiter ,")
    return problem_type


def is_known(label: Label, schema: LabelSchema) -> bool:
    """Whether the model has an output for this label (for each of them)."""
    return schema.problem_type == REGRESSION or set([label] if isinstance(label, str) else label) <= set(schema.names)


def fit_labels(labels: Iterable[Label], problem_type: str, *, source: str, saved: LabelSchema | None) -> LabelSchema:
    """Collect the labels of the training split; a saved model's order is kept when the names are the same.

    Raises:
        UserError: If there is only one label, or none.
    """
    fitted = LabelSchema.fit(labels, problem_type)
    needed = {SINGLE_LABEL: 2, MULTI_LABEL: 1, REGRESSION: 0}[problem_type]
    if len(fitted.names) < needed:
        only = f"every row has the label {fitted.names[0]!r}" if fitted.names else "no row has a label"
        raise UserError(only, where=source, fix="check --label_column_name; training needs at least two labels")
    if saved is not None and saved.problem_type == problem_type and sorted(saved.names) == list(fitted.names):
        return saved
    return fitted
