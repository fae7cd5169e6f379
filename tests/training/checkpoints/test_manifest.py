"""The manifest of a checkpoint: written last, whole or not at all, and compared file by file."""

from __future__ import annotations

import hashlib
import json

import pytest

from hf_ext.training.checkpoints import manifest as module
from hf_ext.training.checkpoints.manifest import MANIFEST, DamagedError, read_manifest, verify, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "checkpoint-3" / "part").mkdir(parents=True)
    (tmp_path / "checkpoint-3" / "a.bin").write_bytes(b"abc")
    (tmp_path / "checkpoint-3" / "part" / "b.json").write_text("{}")
    return tmp_path / "checkpoint-3"


def commit(folder):
    return write_manifest(folder, step=3, run="r", fingerprint={"rows": 5})


def test_it_lists_sizes_and_checksums_of_all_files_also_in_folders(folder):
    written = commit(folder)
    assert written.files == {
        "a.bin": (3, hashlib.sha256(b"abc").hexdigest()),
        "part/b.json": (2, hashlib.sha256(b"{}").hexdigest()),
    }
    assert verify(folder) == read_manifest(folder) == written
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_file_that_came_later_is_nobody_s_business(folder):
    commit(folder)
    (folder / "note.txt").write_text("mine")
    assert verify(folder).step == 3


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "a.bin").unlink(), "a.bin is missing"),
        (lambda folder: (folder / "a.bin").write_bytes(b"ab"), "a.bin has 2 bytes instead of 3"),
        (lambda folder: (folder / "a.bin").write_bytes(b"abd"), "a.bin has been changed"),
        (lambda folder: (folder / MANIFEST).unlink(), f"it has no {MANIFEST}"),
        (lambda folder: (folder / MANIFEST).write_text(""), "cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "cannot be read"),
    ],
)
def test_any_difference_is_named(damage, words, folder):
    commit(folder)
    damage(folder)
    with pytest.raises(DamagedError, match=words):
        verify(folder)


def test_what_it_says_of_the_run_cannot_be_changed_unnoticed(folder):
    commit(folder)
    content = json.loads((folder / MANIFEST).read_text())
    content["fingerprint"]["rows"] = 6
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(DamagedError, match="is damaged"):
        read_manifest(folder)


def test_everything_is_synced_before_the_manifest_has_its_name(folder, monkeypatch):
    events = []
    sync, replace = module.sync, module.os.replace
    monkeypatch.setattr(module, "sync", lambda path: (events.append(path.name), sync(path)))
    monkeypatch.setattr(module.os, "replace", lambda a, b: (events.append("rename"), replace(a, b)))
    commit(folder)
    assert events == ["a.bin", "b.json", f".{MANIFEST}.tmp", "rename", "checkpoint-3", folder.parent.name]
