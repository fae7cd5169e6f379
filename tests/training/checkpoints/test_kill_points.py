"""A run that is killed anywhere and resumed ends with bitwise the weights, and the checkpoints, of one that was not."""

from __future__ import annotations

import signal

import pytest
from checkpoint_runs import (
    POINTS,
    STEPS,
    VARIANTS,
    Signalled,
    checkpoint_names,
    same_weights,
    train,
)
from forked_runs import in_child, in_two_processes

FAST = [
    ("plain", "in the model"),
    ("plain", "in the commit"),
    ("plain", "in a deletion"),
    ("plain", "before the first checkpoint"),
    ("fgm", "in a step"),
    ("ema", "in the optimizer"),
    ("stopping", "after the state"),
    ("stream", "in the second epoch"),
    ("plain", "after the last checkpoint"),
    ("stopping", "in the final model"),
]

TERMINATED = "SIGTERM"
FEW = ["in a step", "in the model", "after the optimizer", "in the commit", "in the second epoch"]
MANY = [("plain", point) for point in POINTS] + [(variant, point) for variant in VARIANTS for point in FEW]
ENDED_BEFORE = ("stopping", "in the second epoch")  # it stops early
REST = [pair for pair in dict.fromkeys(MANY) if pair not in FAST and pair != ENDED_BEFORE]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted run of each variant, trained once."""
    folders = {}

    def run(variant):
        if variant not in folders:
            folders[variant] = tmp_path_factory.mktemp("whole") / variant
            train(folders[variant], variant)
        return folders[variant]

    return run


@pytest.mark.promise("runs killed and resumed")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "point"), [*FAST, *(pytest.param(*pair, marks=pytest.mark.stress) for pair in REST)]
)
def test_a_killed_and_resumed_run_is_bitwise_the_whole_one(variant, point, whole, tmp_path):
    expected, folder = whole(variant), tmp_path / "killed"

    def run_until_killed():
        POINTS[point]()
        train(folder, variant)

    assert in_child(run_until_killed) == -signal.SIGKILL
    resumed = train(folder, variant, resume="last", resume_or_start=True)
    assert resumed.state.global_step <= STEPS
    assert same_weights(folder, expected)
    assert checkpoint_names(folder) == checkpoint_names(expected)


def test_every_point_is_a_kind_of_its_own_and_there_are_thirty_runs():
    assert len(POINTS) >= 20
    assert len({*FAST, *REST}) >= 30


@pytest.mark.promise("runs of two processes killed and resumed")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "point", "rank"),
    [
        ("plain", "in a step", 1),
        pytest.param("stopping", TERMINATED, 1, marks=pytest.mark.stress),
        pytest.param("fgm", "in the commit", 0, marks=pytest.mark.stress),
        pytest.param("ema", "in the optimizer", 0, marks=pytest.mark.stress),
        pytest.param("plain", "before the random numbers", 1, marks=pytest.mark.stress),
        pytest.param("stopping", "before the commit", 0, marks=pytest.mark.stress),
    ],
)
def test_two_processes_of_which_one_is_killed(variant, point, rank, tmp_path):
    settings = {"per_device_train_batch_size": 1, "resume_or_start": True}

    def run(folder, point=None):
        def work(mine):
            callbacks = [Signalled(3, rank=rank)] if point == TERMINATED and mine == rank else []
            if point in POINTS and mine == rank:
                POINTS[point]()
            train(tmp_path / folder, variant, resume=point is None, callbacks=callbacks, **settings)

        return in_two_processes(work)

    assert run("whole") == [0, 0]
    ended = run("killed", point)
    assert ended == [143, 143] if point == TERMINATED else ended[rank] == -signal.SIGKILL
    assert run("killed") == [0, 0]
    assert same_weights(tmp_path / "killed", tmp_path / "whole")
    assert checkpoint_names(tmp_path / "killed") == checkpoint_names(tmp_path / "whole")
