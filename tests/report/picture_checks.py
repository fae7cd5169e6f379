"""What can be said of a picture without looking at it."""

from __future__ import annotations

import numpy as np


def has_blank_edge(picture) -> bool:
    """Tell whether the outermost pixels are white: nothing runs out of the picture."""
    edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    return all((edge == 255).all() for edge in edges)


def share_of(picture, colour: str) -> float:
    """Give the share of pixels of a kind: blue, orange, or ink (anything but white)."""
    red, blue = (picture[..., channel].astype(int) for channel in (0, 2))
    kinds = {
        "blue": (blue > red + 60) & (blue > 90),
        "orange": (red > blue + 40) & (red > 150),
        "ink": (picture != 255).any(axis=-1),
    }
    return float(kinds[colour].mean())


def inches(picture) -> tuple[float, float]:
    """Give width and height."""
    from hf_ext.report.house_style import DOTS_PER_INCH

    return picture.shape[1] / DOTS_PER_INCH, picture.shape[0] / DOTS_PER_INCH


def same(one, other) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other))
