"""A bar over a long phase: on a terminal only, by one process, and only where the phase takes longer than a second."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

PATIENCE = 1.0  # seconds until a bar appears
REFRESH = 0.5  # seconds between its changes


def with_bar(items: Iterable[Item], description: str, *, unit: str, total: int | None = None) -> Iterator[Item]:
    """Give the items one by one, and show how many there were.

    Args:
        items: What the phase goes through.
        description: What the phase does, such as ``read train.csv``.
        unit: What an item is, in the plural.
        total: How many there will be, if that is known and ``items`` has no length.
    """
    if not bars_are_shown():
        return iter(items)
    from tqdm import tqdm

    looks = {"unit": f" {unit}", "delay": PATIENCE, "mininterval": REFRESH, "dynamic_ncols": True}
    return iter(tqdm(items, description, total, file=sys.stderr, **looks))


def bars_are_shown() -> bool:
    """Tell whether somebody looks at the standard error of this process, and bars are not switched off.

    The switch is that of the datasets library, which has bars of its own over tokenising.
    """
    if not sys.stderr.isatty() or int(os.environ.get("RANK", "0")) > 0:
        return False
    from datasets import are_progress_bars_disabled

    return not are_progress_bars_disabled()
