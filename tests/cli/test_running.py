from __future__ import annotations

import pytest

from hf_ext.cli import run_script
from hf_ext.errors import UserError, did_you_mean


def test_a_user_error_is_one_line_on_stderr_and_status_2(capsys):
    def main(argv):
        raise UserError("no rows", where="train.csv", fix="add some")

    with pytest.raises(SystemExit) as caught:
        run_script(main, [])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "hf_ext: error: train.csv: no rows – add some\n"


def test_an_unexpected_error_is_one_line_and_status_1(capsys):
    def main(argv):
        raise RuntimeError("first line\nsecond line")

    with pytest.raises(SystemExit) as caught:
        run_script(main, [])
    assert caught.value.code == 1
    assert capsys.readouterr().err == "hf_ext: error: RuntimeError: first line (--debug shows where)\n"


@pytest.mark.parametrize("argv", [["--debug"], ["--debug", "--do_train"], ["--do_train", "--debug"]])
def test_a_bare_debug_switch_shows_the_traceback_and_is_taken_out(capsys, argv):
    seen = []

    def main(words):
        seen.append(words)
        raise UserError("wrong")

    with pytest.raises(SystemExit) as caught:
        run_script(main, argv)
    assert caught.value.code == 2
    assert "Traceback" in capsys.readouterr().err
    assert "--debug" not in seen[0]


def test_the_debug_option_of_transformers_is_left_alone():
    seen = []
    run_script(seen.append, ["--debug", "underflow_overflow"])
    assert seen == [["--debug", "underflow_overflow"]]


def test_other_processes_keep_silent_about_a_mistake_of_all(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")

    def main(argv):
        raise UserError("wrong")

    with pytest.raises(SystemExit) as caught:
        run_script(main, [])
    assert caught.value.code == 2
    assert capsys.readouterr().err == ""


def test_success_returns_normally():
    calls = []
    run_script(calls.append, ["--seed", "1"])
    assert calls == [["--seed", "1"]]


@pytest.mark.parametrize(
    ("name", "known", "answer"),
    [
        ("txt", ["text", "label"], "did you mean 'text'?"),
        ("zzz", ["text", "label"], "known: 'label', 'text'"),
        ("x", [], "none is known"),
    ],
)
def test_the_nearest_known_name_is_proposed(name, known, answer):
    assert did_you_mean(name, known) == answer


def test_long_lists_of_names_are_cut():
    assert did_you_mean("?", [f"name{i:02}" for i in range(30)]).endswith("'name19', …")


def test_a_user_error_is_a_value_error_and_shows_only_what_it_has():
    assert isinstance(UserError("x"), ValueError)
    assert str(UserError("x")) == "x"
    assert str(UserError("x", where="f:1")) == "f:1: x"
    assert str(UserError("x", fix="do y")) == "x – do y"
