"""Whether probabilities mean what they say: a picture of how often each of them was right."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hf_ext.report.house_style import BLUE, GREY, Picture, house_style, new_figure, render


def draw_reliability(counts: ArrayLike, confidence: ArrayLike, accuracy: ArrayLike, error: float) -> Picture:
    """Draw a reliability diagram (DeGroot & Fienberg, 1983), with the number of answers in each bin beneath.

    Args:
        counts: Answers in each of K bins of equal width from 0 to 1, shape ``(K,)``.
        confidence: Mean probability of the answers in each bin, shape ``(K,)``; not looked at where a bin is empty.
        accuracy: Share of them that is right, shape ``(K,)``.
        error: The expected calibration error, which the title tells.
    """
    numbers, said, was = (np.asarray(values, dtype=float) for values in (counts, confidence, accuracy))
    filled = numbers > 0
    edges = np.linspace(0, 1, len(numbers) + 1)
    with house_style():
        figure = new_figure(4.6, 5.4)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
        above.text(0.02, 0.99, "below the line: surer than right", color=GREY, fontsize=8, ha="left", va="top")
        above.vlines(said[filled], said[filled], was[filled], color=BLUE, linewidth=1, alpha=0.5)
        areas = 20 + 130 * numbers[filled] / max(numbers.max(), 1)
        above.scatter(said[filled], was[filled], s=areas, color=BLUE, zorder=3)
        above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right")
        above.set_title(f"Expected calibration error {error:.3f}")
        below.bar(edges[:-1], numbers, width=np.diff(edges) * 0.9, align="edge", color=BLUE)
        below.set(xlabel="probability that the model gives", ylabel="answers")
        return render(figure)
