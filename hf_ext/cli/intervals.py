"""What is said of an interval: two figures beside the metric, and a line."""

from __future__ import annotations

import logging

from hf_ext.evaluation.bootstrap import Interval

logger = logging.getLogger(__name__)


def interval_figures(name: str, value: float, interval: Interval | None) -> dict[str, float]:
    """Say where a figure lies, and give ``<name>_low`` and ``<name>_high``; nothing where there is no interval."""
    if interval is None:
        return {}
    logger.info("Test rows: %s %.4f, 95 %% interval %.4f to %.4f (bootstrap).", name, value, *interval)
    return {f"{name}_low": interval.low, f"{name}_high": interval.high}
