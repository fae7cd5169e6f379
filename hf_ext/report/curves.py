"""How a training went: loss, metrics and learning rates over the steps; of pretraining the perplexity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ext.report.history import History, Series
from hf_ext.report.house_style import BLUE, COLOURS, ORANGE, WIDTH, Picture, house_style, new_figure, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_HEIGHT = 2.3  # inches
MOST_METRICS = 3
POINTS_WITH_MARKS = 40  # more than these are a line
SMOOTHED_FROM = 100  # points; the mean runs over a fiftieth of them
WIDE_RANGE = 20  # largest over smallest, from which on an axis is logarithmic
RATES_IN_LEGEND = 8
LARGEST_LOSS = 50.0  # whose perplexity can be drawn


def draw_learning_curves(history: History, metrics: Sequence[str]) -> Picture:
    """Draw loss, metrics and learning rates, one above the other.

    Args:
        history: What the training has logged.
        metrics: Names of metrics without ``eval_``, the most important first; of those that were logged three are
            drawn.
    """
    scores = {name: history.series(f"eval_{name}") for name in metrics if name != "loss"}
    scores = {name: series for name, series in scores.items() if series}
    rates = {name: series for name, series in history.rates().items() if len(series.steps) > 1}
    panels = [_draw_losses, *([_draw_metrics] if scores else []), *([_draw_rates] if rates else [])]
    with house_style():
        figure = new_figure(WIDTH, PANEL_HEIGHT * len(panels) + 0.3)
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for draw, axes in zip(panels, rows, strict=True):
            draw(axes, history, {"scores": scores, "rates": rates})
        _finish_steps(list(rows))
        return render(figure)


def draw_perplexity(history: History, loss: str = "loss") -> Picture:
    """Draw the perplexity of the evaluations over the steps, beside that of the training batches.

    Args:
        history: What the training has logged.
        loss: Name of the loss of masked words in the log.
    """
    evaluated, trained = history.series("eval_perplexity"), history.series(loss)
    trained = Series(trained.steps, [math.exp(min(value, LARGEST_LOSS)) for value in trained.values])
    with house_style():
        figure = new_figure(WIDTH, 3.4)
        axes = figure.add_subplot()
        _draw_smoothed(axes, trained, BLUE, "training (with dropout)")
        _draw_points(axes, evaluated, ORANGE, "validation")
        if evaluated:
            last = f"{evaluated.values[-1]:.3g}"
            place = (evaluated.steps[-1], evaluated.values[-1])
            axes.annotate(last, place, xytext=(0, 7), textcoords="offset points", color=ORANGE, ha="right")
        _set_scale(axes, [*trained.values, *evaluated.values])
        axes.set_title("Perplexity of masked words")
        axes.legend()
        _finish_steps([axes])
        return render(figure)


def _draw_losses(axes: Axes, history: History, shown: dict[str, Any]) -> None:
    _draw_smoothed(axes, history.series("loss"), BLUE, "training")
    _draw_points(axes, history.series("eval_loss"), ORANGE, "validation")
    for name, colour in zip(history.named_losses(), COLOURS[2:], strict=False):
        _draw_smoothed(axes, history.series(name), colour, f"training: {name.replace('_', ' ')}", dashed=True)
    axes.set_title("Loss")
    axes.legend()


def _draw_metrics(axes: Axes, history: History, shown: dict[str, Any]) -> None:
    for place, (name, series) in enumerate(list(shown["scores"].items())[:MOST_METRICS]):
        width = 1 + MOST_METRICS - place  # equal ones lie on one another, the thinnest on top
        _draw_points(axes, series, COLOURS[place], name.replace("_", " "), width=width)
    axes.set_title("Validation metrics")
    axes.legend()


def _draw_rates(axes: Axes, history: History, shown: dict[str, Any]) -> None:
    from matplotlib import colormaps

    rates: dict[str, Series] = shown["rates"]
    many = len(rates) > len(COLOURS)
    spread = {round(place) for place in np.linspace(0, len(rates) - 1, min(len(rates), RATES_IN_LEGEND))}
    for place, (name, series) in enumerate(rates.items()):
        colour = colormaps["viridis"](0.9 * place / (len(rates) - 1)) if many else COLOURS[place]
        _draw_points(axes, series, colour, name if place in spread else None, marked=False)
    largest = [max(series.values) for series in rates.values()]
    _set_scale(axes, largest)
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axes.set_title("Learning rate")
    if len(rates) > 1:
        axes.legend(ncols=2 if many else 1)


def _draw_points(
    axes: Axes, series: Series, colour: Any, label: str | None, *, marked: bool = True, width: float = 1.5
) -> None:
    if series:
        few = len(series.steps) == 1 or (marked and len(series.steps) <= POINTS_WITH_MARKS)
        mark, size = "o" if few else None, 2.5 + width
        axes.plot(*series, color=colour, label=label, marker=mark, markersize=size, linewidth=width)


def _draw_smoothed(axes: Axes, series: Series, colour: str, label: str, *, dashed: bool = False) -> None:
    """Draw a noisy series as its running mean, with itself pale behind."""
    if not series:
        return
    style = "--" if dashed else "-"
    if len(series.steps) < SMOOTHED_FROM:
        mark = "o" if len(series.steps) == 1 else None
        axes.plot(*series, color=colour, label=label, linestyle=style, marker=mark, markersize=4)
        return
    window = max(len(series.values) // 50, 2)
    sums = np.cumsum([0.0, *series.values])
    ends = np.arange(1, len(sums))
    starts = np.maximum(ends - window, 0)
    means = (sums[ends] - sums[starts]) / (ends - starts)
    axes.plot(*series, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(series.steps, means, color=colour, linestyle=style, label=f"{label} (mean of {window} logs)")


def _set_scale(axes: Axes, values: Sequence[float]) -> None:
    positive = [value for value in values if value > 0]
    if positive and max(positive) > WIDE_RANGE * min(positive):
        axes.set_yscale("log")


def _finish_steps(panels: Sequence[Axes]) -> None:
    """Show all steps of all panels, which share their axis, and name it under the last one."""
    from matplotlib.ticker import MaxNLocator

    ends = [axes.dataLim.x1 for axes in panels if np.isfinite(axes.dataLim.x1)]
    panels[-1].set_xlim(0, max(ends, default=1) * 1.02)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel("optimizer steps")
