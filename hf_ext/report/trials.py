"""The trials of a search, one after the other, and the best figure so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_ext.report.house_style import BLUE, GREY, ORANGE, WIDTH, Picture, house_style, new_figure, render

HEIGHT = 3.2  # inches


def draw_trials(trials: Sequence[tuple[int, float, bool]], metric: str, *, greater_is_better: bool) -> Picture:
    """Draw the figure of each trial, and as a stair the best of those that were finished.

    Args:
        trials: Number, figure, and whether the trial was finished, in the order in which they ran; of one that was
            ended early the last figure.
        metric: Name of the figure.
        greater_is_better: Whether more of it is better.
    """
    from matplotlib.ticker import MaxNLocator

    finished = [(number, value) for number, value, whole in trials if whole]
    ended = [(number, value) for number, value, whole in trials if not whole]
    with house_style():
        figure = new_figure(WIDTH, HEIGHT)
        axes = figure.add_subplot()
        if ended:
            axes.plot(*zip(*ended, strict=True), "x", color=GREY, markersize=5, label="ended early")
        if finished:
            numbers, values = (list(column) for column in zip(*finished, strict=True))
            axes.plot(numbers, values, "o", color=BLUE, markersize=4, label="trial", zorder=3)
            best = (np.maximum if greater_is_better else np.minimum).accumulate(values)
            last = max(number for number, _, _ in trials)
            axes.step([*numbers, last], [*best, best[-1]], where="post", color=ORANGE, label="best so far")
            above = 5 if greater_is_better else -11
            axes.annotate(
                f"{best[-1]:.4g}",
                (last, best[-1]),
                xytext=(0, above),
                textcoords="offset points",
                color=ORANGE,
                ha="right",
            )
        axes.margins(y=0.12)
        axes.set_title(f"Validation {metric.replace('_', ' ')} of each trial")
        axes.set_xlabel("trial")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best")
        return render(figure)
