"""Bars over long phases: seen on a terminal by one process, and nowhere else; they change nothing that is read."""

from __future__ import annotations

import io
from types import SimpleNamespace

import datasets
import pytest

from hf_ext import progress
from hf_ext.data.arguments import DataArguments
from hf_ext.data.files import read_rows


class Terminal(io.StringIO):
    """What is written to a screen."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    """A terminal in place of the standard error, at which a bar appears at once."""
    screen = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=screen))  # pytest takes the true one back
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "REFRESH", 0.0)
    monkeypatch.delenv("RANK", raising=False)
    datasets.enable_progress_bars()
    return screen


def go_through(items=("a", "b", "c")) -> list[str]:
    return list(progress.with_bar(iter(items), "read a.csv", unit="rows", total=3))


def test_a_terminal_sees_what_is_done_and_how_many(terminal):
    assert go_through() == ["a", "b", "c"]
    shown = terminal.getvalue()
    assert "read a.csv" in shown
    assert "3/3" in shown
    assert "rows" in shown


def test_a_file_or_pipe_sees_nothing(terminal, monkeypatch):
    monkeypatch.setattr(terminal, "isatty", lambda: False)
    assert go_through() == ["a", "b", "c"]
    assert terminal.getvalue() == ""


def test_the_second_process_shows_nothing(terminal, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert go_through() == ["a", "b", "c"]
    assert terminal.getvalue() == ""
    monkeypatch.setenv("RANK", "0")
    assert progress.bars_are_shown()


def test_a_session_without_bars_shows_nothing(terminal):
    datasets.disable_progress_bars()
    try:
        assert go_through() == ["a", "b", "c"]
    finally:
        datasets.enable_progress_bars()
    assert terminal.getvalue() == ""


def test_short_phases_leave_no_trace(terminal, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 60.0)
    assert go_through() == ["a", "b", "c"]
    assert terminal.getvalue().strip() == ""


def test_a_phase_that_breaks_off_still_raises(terminal):
    def items():
        yield "a"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        go_through(items())


def test_rows_of_a_file_are_the_same_with_and_without(terminal, tmp_path, monkeypatch):
    path = tmp_path / "train.csv"
    path.write_text("text,label\n" + "".join(f"text {i},a\n" for i in range(50)), encoding="utf-8")
    shown = read_rows(path, DataArguments()).rows.to_list()
    assert "read train.csv" in terminal.getvalue()
    monkeypatch.setattr(progress, "bars_are_shown", lambda: False)
    assert read_rows(path, DataArguments()).rows.to_list() == shown
    assert len(shown) == 50
