"""The built wheel holds the whole package, and works where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from reviews import review_rows

import hf_ext

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
pytestmark = pytest.mark.slow


def run(*words, cwd, **variables):
    """Run Python without the checkout on its path, and give what it prints."""
    environment = {**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=environment,
        timeout=240,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built offline from a copy, so that nothing is left in the checkout."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "hf_ext", copy / "hf_ext", ignore=shutil.ignore_patterns("__pycache__"))
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index")
    run("-m", "pip", "wheel", *quiet, "--wheel-dir", copy / "made", ".", cwd=copy)
    (made,) = (copy / "made").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder into which the wheel is installed, without its dependencies."""
    target = tmp_path_factory.mktemp("installed")
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-compile")
    run("-m", "pip", "install", *quiet, "--target", target, wheel, cwd=target)
    return target


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    assert wheel.name == f"hf_ext-{hf_ext.__version__}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name for name in names if ".dist-info/" not in name}
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hf_ext").rglob("*") if path.is_file()}
    assert inside == {name for name in files if "__pycache__" not in name}
    assert "hf_ext/py.typed" in inside
    assert any(name.endswith("LICENSE") for name in names if ".dist-info/" in name)


def test_the_console_command_runs_where_there_is_no_checkout(installed, tmp_path):
    found = run("-c", "import hf_ext; print(hf_ext.__file__)", cwd=tmp_path, PYTHONPATH=str(installed))
    assert Path(found.strip()).is_relative_to(installed)
    asked = [("-m", "hf_ext", "--help"), (installed / "bin" / "hf-ext", "--help")]
    shown = [run(*words, cwd=tmp_path, PYTHONPATH=str(installed)) for words in asked]
    assert shown[0] == shown[1]
    assert "train-classification" in shown[0]


def test_env_of_an_installed_package_lists_the_extras(installed, tmp_path):
    code = "from hf_ext.cli.commands.env import list_extras; print(*dict(list_extras()), sep=',')"
    shown = run("-c", code, cwd=tmp_path, PYTHONPATH=str(installed)).strip().split(",")
    assert {"extra demo", "extra zh", "extra dev"} <= set(shown)


def test_a_tokenizer_is_trained_where_there_is_no_checkout(installed, tmp_path):
    lines = "\n".join(row["text"] for row in review_rows(60))
    (tmp_path / "corpus.txt").write_text(lines, encoding="utf-8")
    words = ("--train_file", "corpus.txt", "--vocab_size", "200", "--output_dir", "made")
    run("-m", "hf_ext", "train-tokenizer", *words, cwd=tmp_path, PYTHONPATH=str(installed))
    assert (tmp_path / "made" / "tokenizer.json").is_file()
