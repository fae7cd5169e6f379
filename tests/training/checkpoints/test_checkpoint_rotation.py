"""Which checkpoints go: the oldest, never the best one, never half, and extra ones first."""

from __future__ import annotations

import pytest

from hf_ext.training.checkpoints import rotation
from hf_ext.training.checkpoints.manifest import write_manifest
from hf_ext.training.checkpoints.rotation import delete, list_checkpoints, rotate, set_aside


@pytest.fixture
def folder(tmp_path):
    for step in (2, 4, 10, 8):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-x").mkdir()
    (tmp_path / "checkpoint-99").write_text("a file")
    return tmp_path


def steps(folder):
    return list(list_checkpoints(folder))


def test_checkpoints_are_listed_by_number(folder):
    assert steps(folder) == [2, 4, 8, 10]


@pytest.mark.parametrize(
    ("limit", "kept", "left"),
    [
        (None, [], [2, 4, 8, 10]),
        (0, [], [2, 4, 8, 10]),
        (9, [], [2, 4, 8, 10]),
        (3, [], [4, 8, 10]),
        (1, [], [10]),
        (2, ["checkpoint-2"], [2, 10]),
        (1, ["checkpoint-2"], [2, 10]),
        (3, ["checkpoint-4"], [4, 8, 10]),
        (1, ["checkpoint-10"], [10]),
        (2, ["checkpoint-7"], [8, 10]),
    ],
)
def test_the_oldest_go_and_the_best_stays(limit, kept, left, folder):
    rotate(folder, limit=limit, kept=kept)
    assert steps(folder) == left
    assert not list(folder.glob("_*"))


@pytest.mark.parametrize("limit", [None, 3])
def test_an_extra_one_goes_first_and_counts_for_none(limit, folder):
    write_manifest(folder / "checkpoint-8", step=8, run="r", fingerprint={}, interim=True)
    rotate(folder, limit=limit, kept=[])
    assert steps(folder) == [2, 4, 10]


def test_an_extra_one_stays_while_it_is_the_newest(folder):
    write_manifest(folder / "checkpoint-10", step=10, run="r", fingerprint={}, interim=True)
    rotate(folder, limit=None, kept=[])
    assert steps(folder) == [2, 4, 8, 10]


def test_what_is_deleted_loses_its_name_first(folder, monkeypatch):
    met = []
    monkeypatch.setattr(rotation.shutil, "rmtree", lambda path, **_: met.append((path.name, steps(folder))))
    delete(folder / "checkpoint-4")
    assert met == [("_deleting-checkpoint-4-1", [2, 8, 10])]


@pytest.mark.parametrize("name", ["_deleting-checkpoint-1-1", "_replaced-checkpoint-4-1"])
def test_a_deletion_that_was_cut_short_is_ended_by_the_next(name, folder):
    (folder / name).mkdir()
    rotate(folder, limit=None, kept=[])
    assert not list(folder.glob("_*"))


def test_names_of_what_is_set_aside_do_not_collide(folder):
    first = set_aside(folder / "checkpoint-4")
    (folder / "checkpoint-4").mkdir()
    second = set_aside(folder / "checkpoint-4")
    assert [first.name, second.name] == ["_broken-checkpoint-4-1", "_broken-checkpoint-4-2"]
