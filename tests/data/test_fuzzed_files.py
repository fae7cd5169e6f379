"""A file that is broken in any way gives rows or one line of error; nothing else, and never a hang."""

from __future__ import annotations

import signal
from contextlib import contextmanager

import pytest
from fuzzed_files import KINDS, fuzzed_file

from hf_ext.errors import UserError

PATIENCE = 30  # seconds for a file of some hundred bytes, on a busy machine


@contextmanager
def time_limit(seconds):
    def stop(number, frame):
        raise TimeoutError(f"more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.promise("broken files read")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "numbers", [range(20), pytest.param(range(20, 520), marks=pytest.mark.stress)], ids=["few", "many"]
)
def test_a_broken_file_gives_rows_or_one_line(kind, numbers, tmp_path, record_property):
    said = {}
    for number in numbers:
        try:
            with time_limit(PATIENCE):
                KINDS[kind][2](fuzzed_file(tmp_path, kind, number))
        except UserError as error:
            said[number] = str(error)
        except Exception as error:
            raise AssertionError(f"case {number} of {kind}: {type(error).__name__}: {error}") from error
    assert said or kind == "corpus", "the faults are too small"  # whatever is text is a corpus
    assert not {number: line for number, line in said.items() if str(tmp_path) not in line or "\n" in line}
    record_property("cases", len(numbers))


@pytest.mark.parametrize("kind", KINDS)
def test_the_good_file_is_read(kind, tmp_path):
    name, good, read = KINDS[kind]
    path = tmp_path / name
    path.write_bytes(good)
    assert read(path)


ONCE_BROKE = [
    ("csv", b'""\n""\n'),
    ("jsonl", b"[" * 100_000),
    ("json", b'{"data": ' + b"[" * 100_000),
    ("json", b'nothing [{"text": "a"}]'),
    ("tags", b'[{"tokens": ["a"], "ner_tags": ' + b"[" * 100_000),
    ("yaml", b"seed: " + b"9" * 5000),
    ("yaml", b"since: 2024-02-31"),
    ("yaml", b"seed: 0x_"),
    ("yaml", b"[" * 2000),
    ("settings.json", b'{"seed": ' + b"9" * 5000 + b"}"),
    ("settings.json", b"[" * 100_000),
]


@pytest.mark.parametrize(("kind", "content"), ONCE_BROKE, ids=[f"{kind}-{i}" for i, (kind, _) in enumerate(ONCE_BROKE)])
def test_what_once_broke_a_reader_is_one_line(kind, content, tmp_path):
    path = tmp_path / KINDS[kind][0]
    path.write_bytes(content)
    with pytest.raises(UserError) as refused, time_limit(PATIENCE):
        KINDS[kind][2](path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "content", "count"),
    [
        ("tags", '[{"tokens": ["a", "b"], "ner_tags": ["²", "O"]}]'.encode(), 1),  # a digit, but no number
        ("jsonl", b'{"text": "a", "\\ud800": "b"}\n', 1),  # half a character in a name
    ],
)
def test_what_once_broke_a_reader_and_is_fine(kind, content, count, tmp_path):
    path = tmp_path / KINDS[kind][0]
    path.write_bytes(content)
    found = KINDS[kind][2](path)
    assert len(getattr(found, "rows", None) or found.sentences) == count
