"""The guide of inference: its blocks of Python and its commands run, its tables list the flags with their defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import saved_models
from docs.page_commands import read_command, shell_lines
from scripts.support import read_csv, write_csv

from hf_ext.cli.console import COMMANDS
from hf_ext.inference import export, export_command, preconditions, predict_command, serve, serve_command
from hf_ext.inference.command_line import CommandLine
from hf_ext.inference.predictor import Predictor

PAGE = Path(__file__).resolve().parents[2] / "docs" / "inference.md"
ROW = re.compile(r"^\| (?:`-o`, )?`--(\w+)` \| ([^|]*?) \|", re.MULTILINE)
SHOWN = {None: "unset", False: "off"}


class Stop(Exception):
    """Raised in place of the work of a command."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folders and files that the page names."""
    made = tmp_path_factory.mktemp("page")
    for name, kind in (("mine", "text"), ("pairs", "pairs"), ("columns", "columns")):
        saved_models.save_classifier(made / "outputs" / name, kind)
    saved_models.save_tagger(made / "outputs" / "ner", level="character")
    write_csv(made / "new.csv", saved_models.ROWS)
    (made / "new.txt").write_text("王小明在北京工作。\n李雷学习。\n", encoding="utf-8")
    return made


def test_the_blocks_of_python_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["names"] == [["B-X", "O"]]


def test_the_commands_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    started = []
    monkeypatch.setattr(export, "export_onnx", lambda _, path, **options: started.append(path) or 0.0)
    monkeypatch.setattr(preconditions, "EXTRAS", {"onnx": (), "serve": ()})

    def start_page(predictor, name, **options):
        started.append(name)
        raise Stop

    monkeypatch.setattr(serve, "start_page", start_page)
    for line in shell_lines(PAGE.read_text(encoding="utf-8")):
        command = read_command(line)
        if command is None:
            assert re.fullmatch(r'pip install "hf_ext\[(onnx|serve)\]"', line)
            continue
        name, words = command
        module = {"predict": predict_command, "export": export_command, "serve": serve_command}[name]
        assert COMMANDS[name].module == module.__name__
        try:
            module.main(words)
        except Stop:
            assert name == "serve"
    assert len(read_csv(folder / "answers.csv")) == len(saved_models.ROWS)
    assert (folder / "entities.jsonl").read_text(encoding="utf-8").count("\n") == 2
    assert started == ["mine.onnx", "tagger.onnx", "mine"]


def flags_of(module, monkeypatch) -> dict[str, str]:
    """The flags of a command with their defaults, as the page writes them."""
    found = {}

    def read(parser, words):
        for action in parser._actions:
            if action.option_strings and action.dest != "help":
                default = "needed" if action.required else SHOWN.get(action.default, str(action.default))
                found[action.dest] = default
        raise Stop

    monkeypatch.setattr(CommandLine, "parse_args", read)
    with pytest.raises(Stop):
        module.main([])
    return found


@pytest.mark.parametrize(
    ("module", "heading"),
    [(predict_command, "## A file"), (export_command, "## ONNX"), (serve_command, "## A page to try a model")],
)
def test_every_flag_has_its_row_with_its_default(module, heading, monkeypatch):
    section = re.split(r"^## ", PAGE.read_text(encoding="utf-8").partition(heading)[2], flags=re.MULTILINE)[0]
    rows = {name: default.strip("`") for name, default in ROW.findall(section)}
    assert rows == flags_of(module, monkeypatch)


def test_help_shows_examples_and_ends(capsys):
    with pytest.raises(SystemExit) as caught:
        predict_command.main(["--help"])
    assert caught.value.code == 0
    assert "outputs/mine new.csv -o answers.csv" in capsys.readouterr().out


def test_the_predictor_is_public():
    import hf_ext

    assert hf_ext.Predictor is Predictor
