"""What is read from the source of transformers is what its import gives."""

from __future__ import annotations

import dataclasses

import pytest
from transformers import HfArgumentParser, TrainingArguments

from hf_ext.cli import transformers_source
from hf_ext.cli.quick_start import check_command_line, outline_training_arguments
from hf_ext.cli.transformers_source import Undecided, load_parser_class, read_training_arguments
from hf_ext.training.arguments import ExtTrainingArguments

PARTS = ("option_strings", "dest", "nargs", "const", "default", "choices", "required", "help", "metavar")
UNREADABLE_TYPE = "parallelism_config"  # a class of accelerate, read as text; no command line can give it


def flags(kind):
    return {action.option_strings[0]: action for action in HfArgumentParser([kind])._actions}


@pytest.mark.parametrize(
    ("read", "true"),
    [(read_training_arguments, TrainingArguments), (outline_training_arguments, ExtTrainingArguments)],
    ids=["of transformers", "with ours"],
)
def test_every_flag_is_that_of_the_true_class(read, true):
    found, expected = flags(read()), flags(true)
    assert list(found) == list(expected)
    for name, action in found.items():
        for part in PARTS:
            here, there = getattr(action, part), getattr(expected[name], part)
            assert here == there or isinstance(here, Undecided), (name, part)
        kinds = [getattr(a.type, "__name__", None) for a in (action, expected[name])]
        assert kinds[0] == kinds[1] or action.dest == UNREADABLE_TYPE, (name, kinds)


def test_no_default_but_the_optimizer_is_undecided():
    fields = dataclasses.fields(read_training_arguments())
    assert [field.name for field in fields if isinstance(field.default, Undecided)] == ["optim"]


def test_the_parser_is_that_of_transformers():
    assert load_parser_class().__name__ == "HfArgumentParser"
    assert {name for name in vars(HfArgumentParser) if not name.startswith("__")} == {
        name for name in vars(load_parser_class()) if not name.startswith("__")
    }


@pytest.mark.parametrize(
    "source",
    ["class Other: pass", "class TrainingArguments:\n    a: int = field(default=unheard_of())", "not python ("],
    ids=["another class", "an unknown name", "broken"],
)
def test_an_unexpected_source_is_left_to_the_import(source, tmp_path, monkeypatch, capsys):
    for file in transformers_source.FILES:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("log_levels = trainer_log_levels = {}\n", encoding="utf-8")
    (tmp_path / "training_args.py").write_text(f"trainer_log_levels = {{}}\n{source}\n", encoding="utf-8")
    monkeypatch.setattr(transformers_source, "_folder", lambda: tmp_path)
    monkeypatch.setattr("hf_ext.cli.quick_start.read_training_arguments", read_training_arguments.__wrapped__)
    assert read_training_arguments.__wrapped__() is None
    check_command_line((), None, argv=["--no_such_flag"])
    assert capsys.readouterr() == ("", "")


def test_a_parser_that_needs_more_than_its_file_is_imported(tmp_path, monkeypatch):
    (tmp_path / "hf_argparser.py").write_text("from .utils import something\n", encoding="utf-8")
    monkeypatch.setattr(transformers_source, "_folder", lambda: tmp_path)
    assert load_parser_class.__wrapped__() is HfArgumentParser


def test_without_transformers_there_is_no_outline(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert read_training_arguments.__wrapped__() is None
