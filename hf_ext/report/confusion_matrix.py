"""Which label is taken for which other one: a picture of the counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_ext.report.fonts import Lettering, choose_lettering
from hf_ext.report.house_style import BLACK, DOTS_PER_INCH, GREY, Picture, house_style, new_figure, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LABELS = 100  # of more, those with the most mistakes are drawn
SHARE_OF_DARK_CELLS = 0.55  # from here on a number is white
TITLE_HEIGHT, AXIS_TITLE, RIGHT_MARGIN, LINE_HEIGHT = 0.35, 0.32, 0.15, 0.14  # inches
EMPTY_CELL = (0.94, 0.94, 0.94, 1.0)
LEAST_WIDTH = 4.2  # inches, which the legend needs


class _Sizes(NamedTuple):
    """Sizes that depend on the number of labels: inches of a cell, points of its number and of the names."""

    cell: float
    number: float
    name: float

    @classmethod
    def for_labels(cls, labels: int) -> _Sizes:
        if labels <= 4:
            return cls(0.9, 10, 9)
        if labels <= 10:
            return cls(0.62, 9, 9)
        return cls(0.36, 7, 8) if labels <= 30 else cls(0.22, 5.5, 7)


def draw_confusion_matrix(counts: ArrayLike, names: Sequence[str]) -> tuple[Picture, str]:
    """Draw how often each label (row) was predicted as each label (column).

    The colour of a cell is its share of the row: right ones blue, wrong ones orange and on a steeper scale, so that a
    rare mistake is seen beside a common one. The number in it is the count; zeros are left blank.

    Args:
        counts: Rows of true label ``i`` that were predicted as ``j``, shape ``(L, L)``.
        names: The names of the labels, length L.

    Returns:
        The picture, and the letters of the names that no installed font has: the labels are then called ``L0``, ``L1``
        and so on by their number.

    Raises:
        ValueError: If counts and names do not fit.
    """
    table = np.asarray(counts)
    if table.shape != (len(names), len(names)):
        raise ValueError(f"counts have shape {table.shape}, there are {len(names)} labels.")
    shown = _most_confused(table)
    lettering = choose_lettering(names)
    lettering = lettering._replace(names=[lettering.names[label] for label in shown])
    shares = table / np.maximum(table.sum(axis=1), 1)[:, None]
    square = np.ix_(shown, shown)
    with house_style(lettering.families):
        legend = _legend(lettering, left_out=len(names) - len(shown))
        return render(_draw(table[square], shares[square], lettering, legend)), lettering.missing


def _most_confused(table: NDArray[Any]) -> list[int]:
    """Give the labels to draw, in their order: all, or those that take part in the most mistakes."""
    if len(table) <= MOST_LABELS:
        return list(range(len(table)))
    mistakes = table.sum(axis=0) + table.sum(axis=1) - 2 * table.diagonal()
    return sorted(np.argsort(-mistakes, kind="stable")[:MOST_LABELS].tolist())


def _draw(table: NDArray[Any], shares: NDArray[Any], lettering: Lettering, legend: list[str]) -> Figure:
    """Lay out by hand: a layout engine would measure each of hundreds of texts several times."""
    sizes = _Sizes.for_labels(len(table))
    side, longest = len(table) * sizes.cell, _widest(lettering.names, sizes.name) + 0.1
    upright = longest > sizes.cell
    below = AXIS_TITLE + (longest if upright else 0.2)
    left, bottom = longest + AXIS_TITLE, below + LINE_HEIGHT * len(legend) + 0.1
    width, height = max(left + side + RIGHT_MARGIN, LEAST_WIDTH), bottom + side + TITLE_HEIGHT
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    _fill_cells(axes, table, shares, sizes)
    ticks = range(len(table))
    axes.set_xticks(ticks, lettering.names, rotation=90 if upright else 0, fontsize=sizes.name)
    axes.set_yticks(ticks, lettering.names, fontsize=sizes.name)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.text(0.1 / width, 1 - 0.08 / height, "Confusion matrix", fontsize=11, va="top")
    figure.text(0.14 / width, (bottom + side / 2) / height, "true", rotation=90, ha="center", va="center")
    centre = (left + side / 2) / width
    figure.text(centre, (bottom - below + 0.08) / height, "predicted", ha="center", va="bottom")
    figure.text(0.1 / width, 0.05 / height, "\n".join(legend), fontsize=7, color=GREY, va="bottom")
    return figure


def _fill_cells(axes: Axes, table: NDArray[Any], shares: NDArray[Any], sizes: _Sizes) -> None:
    edges = np.arange(len(table) + 1) - 0.5
    axes.pcolormesh(edges, edges, _colours(shares), edgecolors="white", linewidth=0.8)
    axes.invert_yaxis()
    axes.grid(False)
    for row, column in np.argwhere(table):
        dark = shares[row, column] ** (1 if row == column else 0.5) > SHARE_OF_DARK_CELLS
        text, colour = _count(int(table[row, column])), "white" if dark else BLACK
        axes.text(column, row, text, ha="center", va="center", fontsize=sizes.number, color=colour)


def _colours(shares: NDArray[Any]) -> NDArray[Any]:
    from matplotlib import colormaps

    cells = colormaps["Oranges"](np.sqrt(shares) * 0.9)
    diagonal = np.arange(len(shares))
    cells[diagonal, diagonal] = colormaps["Blues"](shares.diagonal() * 0.9)
    cells[shares == 0] = EMPTY_CELL
    return cells


def _widest(names: Sequence[str], size: float) -> float:
    """Measure the names as they will be written, in inches."""
    from matplotlib.font_manager import FontProperties

    canvas: Any = new_figure(1, 1).canvas
    renderer, font = canvas.get_renderer(), FontProperties(size=size)
    return max(renderer.get_text_width_height_descent(name, font, False)[0] for name in names) / DOTS_PER_INCH


def _count(number: int) -> str:
    return str(number) if number < 10_000 else f"{number / 1000:.0f}k"


def _legend(lettering: Lettering, *, left_out: int) -> list[str]:
    lines = ["colour: share of the true label's rows; blue right, orange wrong"]
    if lettering.missing:
        lines.append("L0, L1, …: see the column id of label_report.csv")
    if left_out:
        lines.append(f"{left_out:,} labels with fewer mistakes are left out")
    return lines
