"""The line that ends a script, and its figures."""

from __future__ import annotations

import time

from hf_ext.cli.cost_report import RunClock, cost_figures, cost_line
from hf_ext.cli.peak_memory import peak_memory
from hf_ext.training.watch.cost import PhaseCost


def test_all_before_tokenising_is_loading():
    clock = RunClock()
    time.sleep(0.02)
    with clock.tokenising():
        time.sleep(0.01)
    assert clock.seconds["load"] >= 0.02
    assert clock.seconds["tokenise"] >= 0.01
    assert clock.total >= sum(clock.seconds.values())


def test_figures_and_line_say_the_same():
    clock = RunClock()
    with clock.tokenising():
        pass
    figures = cost_figures(clock, {"train": PhaseCost(4.0, 8000, 10000), "evaluate": PhaseCost(1.0, 0, 0)})
    assert figures["cost_train_seconds"] == 4
    assert figures["cost_train_tokens"] == 8000
    assert figures["cost_train_tokens_per_second"] == 2000
    assert figures["cost_train_padding"] == 1.25
    assert "cost_evaluate_tokens" not in figures
    line = cost_line(clock, figures)
    assert line.startswith("0 seconds in all: load 0, tokenise 0, train 4 (2,000 tokens/s, padding 1.25), evaluate 1")
    assert line.count("\n") == 0


def test_memory_is_that_of_this_process():
    block = bytearray(50_000_000)
    peak = peak_memory()
    assert peak is None or peak > len(block) / 1e6
