"""run.json tells what a run was made of, and no secret."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from dataclasses import dataclass, field

import pytest

from hf_ext.report import run_record
from hf_ext.report.run_record import describe_arguments, describe_git, hash_files, record_run


@dataclass
class Arguments:
    train_file: str = "a.csv"
    seed: int = 42
    token: str = "hf_secret"
    hub_token: str = "hf_secret"
    tokens_per_batch: int = 4096
    tokenizer_name: str | None = None
    kwargs: dict = field(default_factory=lambda: {"api_key": "hf_secret", "size": 1})
    folder: object = None


@pytest.fixture
def record(tmp_path):
    def make(did=("train",), **changes):
        settings = {"started": time.time(), "arguments": {}, "sources": [], "device": "cpu", "cost": {}}
        return json.loads(record_run(tmp_path, did=did, **{**settings, **changes}).read_text(encoding="utf-8"))

    return make


def test_arguments_come_without_tokens_and_passwords(tmp_path):
    described = describe_arguments(Arguments(folder=tmp_path))
    assert set(described) == {"train_file", "seed", "tokens_per_batch", "tokenizer_name", "kwargs", "folder"}
    assert described["kwargs"] == {"size": 1}
    assert described["folder"] == str(tmp_path)
    assert "hf_secret" not in json.dumps(described)


def test_defaults_may_be_left_out():
    assert describe_arguments(Arguments(seed=1), changed_only=True) == {"seed": 1}


def test_data_are_hashed_file_by_file(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.txt").write_bytes(b"two")
    (tmp_path / "a.txt").write_bytes(b"one")
    found = hash_files([tmp_path / "a.txt", tmp_path / "folder", tmp_path / "missing"])
    assert {name: entry["sha256"] for name, entry in found.items()} == {
        str(tmp_path / "a.txt"): hashlib.sha256(b"one").hexdigest(),
        str(tmp_path / "folder" / "b.txt"): hashlib.sha256(b"two").hexdigest(),
    }
    monkeypatch.setattr(run_record, "LARGEST_HASHED", 2)
    assert set(hash_files([tmp_path / "a.txt"])[str(tmp_path / "a.txt")]) == {"bytes", "changed"}


def test_sources_may_stand_in_one_text(record, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    assert len(record(sources=[f"{tmp_path}/a.txt, {tmp_path}/b.txt", None])["data"]) == 2


def test_files_of_the_run_are_listed_and_others_are_not(record, tmp_path):
    import os

    for name in ("config.json", "errors.csv", "my notes.txt"):
        (tmp_path / name).write_text("")
    os.utime(tmp_path / "errors.csv", (1, 1))  # of an earlier run
    assert list(record()["files"]) == ["config.json"]


def test_a_run_that_does_not_train_keeps_the_record_of_the_one_that_did(record):
    trained = record(did=("train", "eval"))
    assert record(did=("predict",))["trained_by"] == trained
    again = record(did=("eval",))
    assert again["trained_by"] == trained
    assert "trained_by" not in again["trained_by"]
    assert "trained_by" not in record(did=("train",))


def test_a_broken_record_is_replaced(record, tmp_path):
    (tmp_path / "run.json").write_text("{not json")
    assert record(did=("predict",))["did"] == ["predict"]


def test_git_is_told_where_there_is_a_checkout(tmp_path):
    assert describe_git(tmp_path) is None
    inside = tmp_path / "repository" / "package"
    inside.mkdir(parents=True)
    (inside / "code.py").write_text("a = 1\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "first")):
        subprocess.run(["git", "-C", str(inside.parent), *words], check=True, capture_output=True)
    assert describe_git(inside)["changed_files"] == []
    run_record.describe_git.cache_clear()
    (inside / "code.py").write_text("a = 2\n")
    described = describe_git(inside)
    assert described["changed_files"] == ["package/code.py"]
    assert len(described["commit"]) == 40


def test_no_git_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_git(tmp_path / "elsewhere") is None
