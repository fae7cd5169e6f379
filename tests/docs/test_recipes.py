"""Every command of the recipes and of the guides' examples runs as it is printed, on a few rows."""

from __future__ import annotations

import re

import pytest
from docs.page_commands import ROOT, read_command, run_small, shell_lines, write_files

PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
# the guides whose other commands are run here: those of examples/ and of the demo data have tests of their own
GUIDES = (
    *("README", "docs/run_classification", "docs/run_ner", "docs/run_continue_pretrain", "docs/train_tokenizer"),
    *("docs/choosing", "docs/data_checks"),
)
# what a guide takes for granted
CLASSIFIER = "hf-ext train-classification --train_file train.csv --do_train --output_dir outputs/mine"
TRAINED_BEFORE = {
    "README": ["hf-ext train-ner --train_file train.conll --do_train --output_dir outputs/ner"],
    "docs/run_classification": [CLASSIFIER],
    "docs/choosing": [CLASSIFIER],
}
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("recipes")
    write_files(made)
    return made


@pytest.mark.parametrize("title", SECTIONS)
def test_each_recipe_has_a_command_that_is_understood(title):
    lines = shell_lines(SECTIONS[title])
    assert lines
    assert all(read_command(line) for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("title", SECTIONS)
def test_the_commands_of_a_recipe_run_in_their_order(title, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for line in shell_lines(SECTIONS[title]):
        name, words = read_command(line)
        run_small(name, words)
        if "--output_dir" in words:
            assert any((folder / words[words.index("--output_dir") + 1]).iterdir())


def commands_of(page: str) -> list[tuple[str, list[str]]]:
    """Give the commands of a guide, in blocks and in tables, that name files of their own."""
    text = (ROOT / f"{page}.md").read_text(encoding="utf-8")
    lines = [*shell_lines(text), *re.findall(r"`((?:python|hf-ext) [^`]*)`", text)]
    found = [command for line in lines if "…" not in line and (command := read_command(line))]
    return [
        (name, words)
        for name, words in found
        if any(word.endswith("_file") for word in words) and not any("examples/" in word for word in words)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES)
def test_the_commands_of_a_guide_run_in_their_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    commands = commands_of(page)
    assert commands
    for line in TRAINED_BEFORE.get(page, ()):
        run_small(*read_command(line))
    for name, words in commands:
        run_small(name, words)


def test_a_launcher_remarks_and_broken_lines_are_read():
    text = (
        "```bash\n# only a remark\nOMP=1 torchrun --nproc_per_node=4 -m hf_ext pretrain \\\n    --seed 1   # said\n```"
    )
    assert [read_command(line) for line in shell_lines(text)] == [("pretrain", ["--seed", "1"])]
    assert read_command("python run_ner.py a.yaml") == ("train-ner", ["a.yaml"])
    assert read_command("make demo") is None
