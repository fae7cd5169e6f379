"""One process, two or four: the same gradient, evaluation loss, predictions and metrics."""

from __future__ import annotations

from functools import cache

import parity_cases as cases
import pytest
from forked_runs import in_processes
from scripts.support import read_json

GRADIENT, LOSS = 1e-10, 1e-9  # relative, in float64
true_loss = cache(cases.true_loss)
look_alone = cache(cases.look)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """What each process found, computed once for each number of processes."""
    found = {}

    def compute(processes):
        if processes not in found:
            folder = tmp_path_factory.mktemp(f"on{processes}")
            assert in_processes(lambda rank: cases.main(folder), processes) == [0] * processes
            found[processes] = [read_json(folder / f"{rank}.json") for rank in range(processes)]
        return found[processes]

    return compute


def expect(found, name, count):
    """Compare with the loss of the rows without a trainer, and with what one process finds, a row a batch."""
    alone = look_alone(name, count, 1)
    assert found["losses"] == pytest.approx([true_loss(name, count)] * 2, rel=LOSS)
    assert found["metrics"] == alone["metrics"]
    assert found["metrics"][0] == found["metrics"][1]
    assert found["decided"] == alone["decided"]
    if found["decided"] is not None:
        assert len(found["decided"]) == count


@pytest.mark.slow
@pytest.mark.parametrize("name", cases.TASKS)
@pytest.mark.parametrize("steps", cases.ACCUMULATION[1])
def test_one_process_has_the_gradient_of_all_rows_at_once(name, steps):
    assert cases.gradient_error(name, processes=1, steps=steps) <= GRADIENT


@pytest.mark.slow
@pytest.mark.parametrize("name", cases.TASKS)
@pytest.mark.parametrize("count", cases.COUNTS)
def test_one_process_evaluates_the_same_whatever_the_batch(name, count):
    for size in cases.BATCH_SIZES:
        expect(cases.look(name, count, size), name, count)


SEVERAL = [2, pytest.param(4, marks=pytest.mark.stress)]


@pytest.mark.promise("gradients of several processes")
@pytest.mark.slow
@pytest.mark.parametrize("processes", SEVERAL)
@pytest.mark.parametrize("name", cases.TASKS)
def test_several_processes_have_the_gradient_of_all_rows_at_once(computed, processes, name):
    for found in computed(processes):
        for steps in cases.ACCUMULATION[processes]:
            assert found["errors"][f"{name}/{steps}"] <= GRADIENT


@pytest.mark.promise("evaluations by several processes")
@pytest.mark.slow
@pytest.mark.parametrize("processes", SEVERAL)
@pytest.mark.parametrize("name", cases.TASKS)
@pytest.mark.parametrize("count", cases.COUNTS)
def test_several_processes_evaluate_what_one_does(computed, processes, name, count):
    for found in computed(processes):
        for size in cases.BATCH_SIZES:
            expect(found["looks"][f"{name}/{count}/{size}"], name, count)
