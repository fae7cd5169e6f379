"""Time several arms fairly: one repetition of each in turn, so that a machine that slows down slows all of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers
from tables import Table

Name = TypeVar("Name")
Result = TypeVar("Result")


def interleave(
    arms: Mapping[Name, Callable[[], object]],
    repetitions: int = 30,
    warmup: int = 3,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Run every arm once a repetition and note its seconds; each repetition begins with another arm.

    Args:
        arms: Name to a function without arguments; what it gives back is ignored. Queued work of an accelerator is
            waited for before and after.
        repetitions: Timed repetitions.
        warmup: Repetitions before them that are not timed.
        clock: What tells the seconds; ``time.process_time`` leaves out those in which other programs ran.

    Returns:
        Name to ``repetitions`` seconds; the i-th figures of all arms were taken beside one another.
    """
    names = list(arms)
    seconds: dict[Name, list[float]] = {name: [] for name in names}
    for repetition in range(-warmup, repetitions):
        first = repetition % len(names)
        for name in names[first:] + names[:first]:
            taken = _seconds(arms[name], clock)
            if repetition >= 0:
                seconds[name].append(taken)
    return seconds


def calm_clock() -> Callable[[], float]:
    """Give the clock that other programs disturb least: the processor's time, but the wall's with an accelerator."""
    return time.perf_counter if torch.cuda.is_available() else time.process_time


def run_alone(function: Callable[..., Result], *args: Any) -> Result:
    """Call a function in a forked process, so that its peak of memory is its own; what is imported is there already.

    When: this process has made nothing yet; for a function of a module.
    """
    with multiprocessing.get_context("fork").Pool(1) as alone:
        return alone.apply(function, args)


def ratios(seconds: Mapping[str, Sequence[float]], *, baseline: str) -> dict[str, float]:
    """Compare each arm with the baseline: the median of the ratios taken within one repetition.

    Returns:
        Name to ratio; the baseline's is 1.
    """
    pairs = {name: zip(values, seconds[baseline], strict=True) for name, values in seconds.items()}
    return {name: statistics.median(value / base for value, base in pair) for name, pair in pairs.items()}


def report(seconds: Mapping[str, Sequence[float]], *, baseline: str, title: str = "") -> dict[str, dict[str, float]]:
    """Print a table with the median and quartiles of each arm (milliseconds) and its ratio to the baseline.

    Args:
        seconds: What ``interleave`` gave.
        baseline: The arm whose ratio is 1.
        title: A line above the table.

    Returns:
        Name to ``median_s``, ``quartile_1_s``, ``quartile_3_s`` and ``ratio``, as for ``write_json``.
    """
    compared = ratios(seconds, baseline=baseline)
    width = max(len(name) for name in seconds)
    print(f"{title}\n" if title else "", end="")
    print(f"{'arm':<{width}}  {'median ms':>10}  {'quartiles ms':>19}  {'ratio':>6}")
    table = {}
    for name, values in seconds.items():
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
        table[name] = {"median_s": middle, "quartile_1_s": low, "quartile_3_s": high, "ratio": compared[name]}
        quartiles = f"{low * 1e3:.3f} – {high * 1e3:.3f}"
        print(f"{name:<{width}}  {middle * 1e3:>10.3f}  {quartiles:>19}  {compared[name]:>6.3f}")
    return table


def write_json(
    path: str | os.PathLike[str] | None, results: Mapping[str, Any], *, tables: Sequence[Table] = ()
) -> None:
    """Write results as JSON, beside the command and what they were measured on; without a path nothing is written.

    Args:
        path: The file; it appears whole or not at all.
        results: Every figure, for programs.
        tables: The figures that ``render.py`` puts into the page of benchmarks.
    """
    if path is None:
        return
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    head = {"command": describe_command(), "machine": describe_machine(), "tables": [asdict(table) for table in tables]}
    half = file.with_name(f"{file.name}.part")
    half.write_text(json.dumps({**head, **results}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    half.replace(file)


def describe_command() -> str:
    """Give the benchmark and its flags as they were called, without the name of the output."""
    script, *words = sys.argv
    if "--output" in words:
        at = words.index("--output")
        del words[at : at + 2]
    return " ".join([f"benchmarks/{Path(script).name}", *words])


def describe_machine() -> dict[str, Any]:
    """Say what a figure depends on: device, threads, load, versions; no name and no path of the machine.

    The load is how many programs wanted a core over the last five minutes, this one among them.
    """
    on_gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if on_gpu else f"CPU ({platform.machine()})",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[1], 1) if hasattr(os, "getloadavg") else None,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _seconds(arm: Callable[[], object], clock: Callable[[], float]) -> float:
    _wait()
    start = clock()
    arm()
    _wait()
    return clock() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
