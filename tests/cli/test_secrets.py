"""A token is taken from the environment, never from a command line or a file, where others read it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hf_ext.cli.parsing import parse_arguments
from hf_ext.errors import UserError
from hf_ext.models.checkpoint_arguments import CheckpointArguments
from hf_ext.tokenization.arguments import TokenizerArguments
from hf_ext.training.arguments import ExtTrainingArguments

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hf_secretSECRETsecret"
TYPES = (CheckpointArguments, ExtTrainingArguments)


@pytest.mark.parametrize("flag", ["--hub_token", "--hub-token", "--hub_tok", "--push_to_hub_token", "--token"])
@pytest.mark.parametrize("joined", [True, False])
def test_a_token_on_a_command_line_is_refused(flag, joined):
    words = [f"{flag}={SECRET}"] if joined else [flag, SECRET]
    with pytest.raises(UserError, match=r"would show a token to others – .* HF_TOKEN") as caught:
        parse_arguments(TYPES, ["--output_dir=x", *words])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("words", [["--use_auth_token", SECRET], ["--use_auth_token"], ["--token", SECRET, SECRET]])
def test_so_is_one_of_an_older_script_or_with_a_word_too_many(words):
    with pytest.raises(UserError, match="HF_TOKEN") as caught:
        parse_arguments(TYPES, ["--output_dir=x", *words])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["hub_token", "token"])
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_token_in_a_file_is_refused_with_the_file(tmp_path, name, suffix):
    path = tmp_path / f"run{suffix}"
    path.write_text(json.dumps({name: SECRET, "output_dir": "x"}), encoding="utf-8")
    with pytest.raises(UserError, match=f"{path.name}: --{name} would show a token") as caught:
        parse_arguments(TYPES, [str(path)])
    assert SECRET not in str(caught.value)


def test_train_tokenizer_refuses_it_too():
    with pytest.raises(UserError, match="HF_TOKEN"):
        parse_arguments((TokenizerArguments,), ["--token", SECRET])


def test_from_python_a_token_is_passed_on():
    assert CheckpointArguments(token=SECRET).token == SECRET


def test_it_is_refused_before_torch_is_loaded(tmp_path):
    """And in one line, with status 2."""
    code = """
import runpy, sys
script = sys.argv[1]
sys.argv = sys.argv[1:]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as end:
    print(end.code, "torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "run_classification.py"), "--do_train", "--hub_token", SECRET],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2 False\n", done.stderr
    assert done.stderr.count("\n") == 1
    assert "HF_TOKEN" in done.stderr
    assert SECRET not in done.stderr
