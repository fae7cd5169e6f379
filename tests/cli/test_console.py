"""hf-ext reaches the code of the scripts, answers its own help without a library, and reports what it stands on."""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hf_ext
from hf_ext.cli import command_lines, console
from hf_ext.cli.commands import env

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {
    "run_classification": "train-classification",
    "run_ner": "train-ner",
    "run_continue_pretrain": "pretrain",
    "train_tokenizer": "train-tokenizer",
}
HEAVY = ["torch", "transformers", "datasets", "sklearn", "pandas", "yaml"]


def python_of(*words, cwd):
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"},
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )


# --- the commands and the scripts are the same -----------------------------------------------------------------------


@pytest.mark.parametrize(("script", "name"), SCRIPTS.items())
def test_a_script_and_its_command_have_one_main(script, name):
    command = console.COMMANDS[name]
    assert importlib.import_module(script).main is importlib.import_module(command.module).main
    assert getattr(command_lines, command.line).name == name


def test_every_command_has_a_main_and_a_purpose():
    for command in console.COMMANDS.values():
        assert callable(importlib.import_module(command.module).main)
        assert command.purpose[0].islower()
        assert not command.purpose.endswith(".")


def test_the_words_behind_the_name_reach_the_command(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "argv", ["somewhere/hf-ext", "env", "--one", "two"])
    monkeypatch.setattr(env, "main", seen.append)
    console.main()
    assert seen == [["--one", "two"]]
    assert sys.argv == ["hf-ext env", "--one", "two"]


@pytest.mark.parametrize("name", SCRIPTS.values())
def test_flags_are_checked_under_the_name_of_the_command(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hf-ext"])
    with pytest.raises(SystemExit) as caught:
        console.main([name, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: hf-ext {name} [settings.yaml")
    assert f"\n  hf-ext {name} " in shown
    with pytest.raises(SystemExit) as caught:
        console.main([name, "--no_such_flag", "1"])
    assert caught.value.code == 2
    assert "no_such_flag" in capsys.readouterr().err


def test_an_unknown_command_is_one_line(capsys):
    with pytest.raises(SystemExit) as caught:
        console.main(["train-clasification", "--do_train"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said == (
        "hf_ext: error: command line: there is no command 'train-clasification' "
        "– did you mean 'train-classification'?\n"
    )


# --- the console by itself -------------------------------------------------------------------------------------------


def test_the_help_lists_every_command_and_loads_no_library(tmp_path):
    ask = f"""
import json, sys
from hf_ext.cli.console import main
main(["--help"])
print(json.dumps(sorted(set({HEAVY}) & set(sys.modules))))
"""
    done = python_of("-c", ask, cwd=tmp_path)
    *shown, loaded = done.stdout.splitlines()
    assert json.loads(loaded) == []
    assert re.findall(r"^  (\S+)", "\n".join(shown), re.MULTILINE) == list(console.COMMANDS)
    assert max(map(len, shown)) <= 100


def test_the_package_runs_as_a_module_from_any_folder(tmp_path):
    asked = [python_of("-m", "hf_ext", *words, cwd=tmp_path) for words in ([], ["--help"], ["-h"])]
    assert len({done.stdout for done in asked}) == 1
    assert asked[0].stdout == console.list_commands()
    done = python_of("-m", "hf_ext", "--version", cwd=tmp_path)
    assert done.stdout == f"hf-ext {hf_ext.__version__}\n"


def test_a_mistake_behind_a_command_is_answered_before_torch_is_loaded(tmp_path):
    ask = f"""
import sys
from hf_ext.cli.console import main
try:
    main(["pretrain", "--do_train", "--train_file", "none.txt"])
except SystemExit as end:
    print(end.code, sorted(set({HEAVY[:5]}) & set(sys.modules)))
"""
    done = python_of("-c", ask, cwd=tmp_path)
    assert done.stdout == "2 []\n"
    assert done.stderr == "hf_ext: error: none.txt: no such file – check --train_file\n"


def test_help_and_mistakes_of_commands_on_saved_models_load_no_torch(tmp_path):
    (tmp_path / "rows.csv").write_text("text\n", encoding="utf-8")
    asked = [[name, "--help"] for name in ("predict", "export", "serve")]
    asked += [["predict", "model", "none.csv", "-o", "a.csv"], ["predict", "model", "rows.csv", "-o", "a.pdf"]]
    asked += [["export", "model", "-o", "a.pt"], ["serve", "model", "--port", "x"], ["serve"]]
    ask = f"""
import sys
from hf_ext.cli.console import main
for words in {asked}:
    try:
        main(words)
    except SystemExit as end:
        print("ended", end.code, sorted(set({HEAVY[:5]}) & set(sys.modules)))
"""
    done = python_of("-c", ask, cwd=tmp_path)
    ends = [line for line in done.stdout.splitlines() if line.startswith("ended")]
    assert ends == ["ended 0 []"] * 3 + ["ended 2 []"] * 5
    assert done.stderr.count("hf_ext: error: ") == 5


# --- env -------------------------------------------------------------------------------------------------------------


def table_of(text):
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in text.splitlines())


def test_env_shows_versions_and_devices(capsys):
    env.main([])
    shown = table_of(capsys.readouterr().out)
    assert shown["hf_ext"] == hf_ext.__version__
    assert shown["python"] == ".".join(map(str, sys.version_info[:3]))
    for name in ("torch", "transformers", "datasets"):
        assert shown[name] == importlib.metadata.version(name)
    assert "threads" in shown["cpu"]


def test_env_names_what_an_extra_lacks(monkeypatch):
    needed = [
        "torch>=2.6",
        'pytest; extra == "test"',
        "no-such-package>=1; extra == 'test'",
        'rjieba>=0.2; extra == "zh"',
    ]
    monkeypatch.setattr(env, "_requirements", lambda: needed)
    extras = dict(env.list_extras())
    assert list(extras) == ["extra test", "extra zh"]
    assert extras["extra test"] == f"pytest {importlib.metadata.version('pytest')}, no-such-package not installed"


def test_env_says_so_where_the_package_is_not_installed(monkeypatch):
    monkeypatch.setattr(env, "_requirements", list)
    assert dict(env.list_extras()) == {"extras": env.NOT_INSTALLED}


def test_env_takes_no_words(capsys):
    with pytest.raises(SystemExit):
        console.main(["env", "--all"])
    assert capsys.readouterr().err.endswith("'--all' is not understood – hf-ext env takes no flags\n")


def test_the_entry_point_and_the_version_are_those_of_the_package():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    assert settings["metadata"]["version"] == "attr: hf_ext.__version__"
    assert settings["options.entry_points"]["console_scripts"].strip() == "hf-ext = hf_ext.cli.console:main"
