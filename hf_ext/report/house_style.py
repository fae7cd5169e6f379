"""How every picture looks: one style, colours that everybody can tell apart, no window system.

matplotlib is an extra (``pip install hf_ext[plots]``) and is imported when the first picture is drawn; ``pyplot``,
which keeps figures alive and looks for a screen, never is.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = NDArray[np.uint8]

# Okabe and Ito (2008), "Color Universal Design": told apart with every kind of colour vision
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, BLACK = COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#E69F00", "#000000"),
)
GREY, PALE = "#6B6B6B", "#D9D9D9"
DOTS_PER_INCH = 110
WIDTH = 7.5  # inches, of pictures whose width does not depend on what they show
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": BLACK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.size": 9,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": BLACK,
    "ytick.labelcolor": BLACK,
}


def has_matplotlib() -> bool:
    """Tell whether pictures can be drawn, without importing what draws them."""
    return importlib.util.find_spec("matplotlib") is not None


@contextmanager
def house_style(families: Sequence[str] = ()) -> Iterator[None]:
    """Draw in our style; settings of the user's matplotlib neither count nor change.

    Args:
        families: Names of fonts, the first one that has a letter writes it; matplotlib's own if none is named.
    """
    import matplotlib

    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, "backend": "agg", **STYLE}
    if families:
        settings["font.family"] = list(families)
    with matplotlib.rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches, whose parts make room for one another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def render(figure: Figure) -> Picture:
    """Draw a figure, once; to be called while its style holds.

    Returns:
        Red, green and blue from 0 to 255, shape ``(height, width, 3)``.
    """
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_picture(picture: Picture, path: Path) -> Path:
    """Write a PNG such that a failure leaves the old one whole; give its path."""
    from PIL import Image

    temporary = path.with_name(f".{path.name}.tmp")
    Image.fromarray(picture).save(temporary, format="png", dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    os.replace(temporary, path)
    return path
