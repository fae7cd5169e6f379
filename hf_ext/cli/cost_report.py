"""What a run has cost, by phase: for ``all_results.json``, and as the line that ends a script."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from hf_ext.cli.peak_memory import peak_memory
from hf_ext.training.watch.cost import PhaseCost

COST, LOAD, TOKENISE = "cost", "load", "tokenise"


class RunClock:
    """Tell how long a script took, and how much of it before the trainer came."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def tokenising(self) -> Iterator[None]:
        """Time the tokenisation; all before it is loading."""
        begun = time.monotonic()
        self.seconds[LOAD] = begun - self.started
        yield
        self.seconds[TOKENISE] = time.monotonic() - begun

    @property
    def total(self) -> float:
        """Seconds since the script began."""
        return time.monotonic() - self.started


def cost_figures(clock: RunClock, phases: Mapping[str, PhaseCost]) -> dict[str, float]:
    """Give the figures of the report, by name.

    Args:
        clock: Of the script.
        phases: Of its trainer.

    Returns:
        ``cost_<phase>_seconds``; of the trainer's phases also ``_tokens``, ``_tokens_per_second`` (real ones, on all
        processes) and ``_padding`` (tokens with padding over real ones); ``cost_peak_memory_mb`` of the main process
        and, on a GPU, ``cost_peak_device_memory_mb``.
    """
    seconds = clock.seconds | {name: cost.seconds for name, cost in phases.items()}
    figures: dict[str, float] = {f"cost_{name}_seconds": round(value, 3) for name, value in seconds.items()}
    for name, cost in phases.items():
        if cost.tokens:
            figures[f"cost_{name}_tokens"] = int(cost.tokens)
            figures[f"cost_{name}_tokens_per_second"] = round(cost.tokens_per_second)
            figures[f"cost_{name}_padding"] = round(cost.padding, 3)
    memory = peak_memory()
    if memory is not None:
        figures["cost_peak_memory_mb"] = round(memory)
    if torch.cuda.is_available():
        figures["cost_peak_device_memory_mb"] = round(torch.cuda.max_memory_allocated() / 1e6)
    return figures


def cost_line(clock: RunClock, figures: Mapping[str, float]) -> str:
    """Say the figures in one line."""
    parts = []
    for key, seconds in figures.items():
        name = key.removeprefix("cost_").removesuffix("_seconds")
        if not key.endswith("_seconds"):
            continue
        speed, padding = figures.get(f"cost_{name}_tokens_per_second"), figures.get(f"cost_{name}_padding")
        rate = "" if speed is None else f" ({speed:,.0f} tokens/s, padding {padding:.2f})"
        parts.append(f"{name} {seconds:.0f}{rate}")
    line = f"{clock.total:.0f} seconds in all: {', '.join(parts)}"
    if "cost_peak_memory_mb" in figures:
        line += f"; peak memory {figures['cost_peak_memory_mb']:,.0f} MB"
    if "cost_peak_device_memory_mb" in figures:
        line += f", {figures['cost_peak_device_memory_mb']:,.0f} MB on the GPU"
    return line
