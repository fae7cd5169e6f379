"""The documents say what is so: blocks run, flags exist with these defaults, links lead somewhere."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hf_ext.cli.command_lines import CLASSIFICATION, PRETRAINING, TAGGING, TOKENIZER
from hf_ext.cli.legacy import LEGACY_FLAGS
from hf_ext.cli.parsing import ScriptArgumentParser
from hf_ext.evaluation.metrics import MULTI_LABEL, REGRESSION, SINGLE_LABEL, score
from hf_ext.models.fusion import FUSIONS
from hf_ext.models.loading import SCRATCH_MODELS
from hf_ext.models.poolers import POOLERS
from hf_ext.models.tagger_loading import SCRATCH_TAGGERS
from hf_ext.tokenization.kinds import KINDS
from hf_ext.training.arguments import ExtTrainingArguments

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "run_classification.md"
TRAINING = ROOT / "docs" / "training.md"
PAGES = [ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
NER_GUIDE = ROOT / "docs" / "run_ner.md"
PRETRAINING_GUIDE = ROOT / "docs" / "run_continue_pretrain.md"
TOKENIZER_GUIDE = ROOT / "docs" / "train_tokenizer.md"
LINES = {
    "run_classification": CLASSIFICATION,
    "run_ner": TAGGING,
    "run_continue_pretrain": PRETRAINING,
    "train_tokenizer": TOKENIZER,
}
SCRIPTS = {script: (*line.types, ExtTrainingArguments) if line.trains else line.types for script, line in LINES.items()}
# by guide, the flags that have their row there; those of training are in one guide, to which the other one points
LISTED = {
    GUIDE: (*CLASSIFICATION.types, ExtTrainingArguments),
    NER_GUIDE: TAGGING.types,
    PRETRAINING_GUIDE: PRETRAINING.types,
    TOKENIZER_GUIDE: TOKENIZER.types,
}
LAUNCHER_FLAGS = {
    "nproc_per_node",
    "nnodes",
    "rdzv_backend",
    "rdzv_endpoint",
    "rdzv_id",
    "rdzv_conf",
    "local_addr",
    "config_file",
}
FOREIGN_FLAGS = {
    "config",
    "help",
    "num_processes",
    *LAUNCHER_FLAGS,
}  # the script's own words, argparse's, torchrun's and accelerate's
OTHER_PROGRAMS = [
    *sorted((ROOT / "benchmarks").glob("*.py")),
    *sorted((ROOT / "hf_ext" / "inference").glob("*.py")),
    ROOT / "tests" / "training" / "adversarial_cases.py",
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLAG = re.compile(r"(?<![\w-])--([a-z][\w-]*)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ROW = re.compile(r"^\| `--(\w+)` \| ([^|]*?) \|", re.MULTILINE)
DEFAULT_WORDS = {"None": "unset", "True": "on", "False": "off", "": "empty", " ": "a blank"}


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return [content for found, content in FENCE.findall(text_of(page)) if found == language]


def parser_flags() -> set[str]:
    """Flags of any script."""
    actions = [action for types in SCRIPTS.values() for action in ScriptArgumentParser(list(types))._actions]
    return {option.removeprefix("--") for action in actions for option in action.option_strings}


def other_flags() -> set[str]:
    """Flags of the benchmarks and of what prints the oracle table."""
    return {flag for path in OTHER_PROGRAMS for flag in re.findall(r'"--(\w+)"', text_of(path))}


def own_fields(types: tuple[type, ...]) -> dict[str, dataclasses.Field[Any]]:
    """Every field that hf_ext declares itself, by name."""
    ours = [base for kind in types for base in kind.__mro__ if base.__module__.partition(".")[0] == "hf_ext"]
    declared = {name for base in ours for name in inspect.get_annotations(base)}
    return {field.name: field for kind in types for field in dataclasses.fields(kind) if field.name in declared}


def shown_default(field: dataclasses.Field[Any]) -> str:
    value = getattr(field.default, "value", field.default)  # an enumeration shows its value
    return DEFAULT_WORDS.get(str(value), str(value))


@pytest.fixture(scope="module")
def guide() -> str:
    return text_of(GUIDE)


# --- what a reader copies --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(blocks(ROOT / "README.md", "python"))))
def test_python_in_the_readme_runs_offline(number, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", blocks(ROOT / "README.md", "python")[number]],
        cwd=tmp_path,
        env={**environment, "CUDA_VISIBLE_DEVICES": ""},
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "{0: 'negative', 1: 'positive'}" in done.stdout


def test_the_readme_has_python_to_run():
    assert blocks(ROOT / "README.md", "python")


@pytest.mark.parametrize(
    ("page", "script"),
    [
        *((page, "run_classification") for page in (ROOT / "README.md", GUIDE, TRAINING)),
        *((page, "run_ner") for page in (ROOT / "README.md", NER_GUIDE)),
        *((page, "run_continue_pretrain") for page in (ROOT / "README.md", PRETRAINING_GUIDE)),
        *((page, "train_tokenizer") for page in (ROOT / "README.md", TOKENIZER_GUIDE)),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_commands_of_the_script_parse(page, script, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = re.sub(r"\s*\\\n\s*", " ", text_of(page))
    found = re.findall(rf"{script}\.py((?: [\w./=:,-]+)*)", text)
    commands = [shlex.split(words) for words in found if " --" in words or ".yaml" in words]
    assert len(commands) > 1
    for words in commands:
        named = [word for word in words if word.endswith(".yaml")]
        assert all((ROOT / name).is_file() for name in named), words
        rest = words[1:] if words[0] in named else words  # a flag may name a file too
        rest = [word for word in rest if word != "--help"]
        ScriptArgumentParser(list(SCRIPTS[script])).parse_args(rest)


@pytest.mark.parametrize("block", [block for page in LISTED for block in blocks(page, "yaml")])
def test_yaml_in_the_guide_names_known_flags(block):
    assert set(yaml.safe_load(block)) <= parser_flags()


# --- flags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_flag_that_is_named_exists(page):
    named = {flag.replace("-", "_") for flag in FLAG.findall(text_of(page))}
    known = parser_flags() | set(LEGACY_FLAGS) | FOREIGN_FLAGS | other_flags()
    assert not named - known


@pytest.mark.parametrize(("page", "types"), LISTED.items(), ids=lambda value: getattr(value, "name", ""))
def test_the_guide_lists_every_flag_of_ours_once_with_its_default(page, types):
    rows = [(name, shown) for name, shown in ROW.findall(text_of(page)) if name not in LEGACY_FLAGS]
    names = [name for name, _ in rows]
    own = own_fields(types)
    assert not own.keys() - set(names)
    assert sorted(name for name in names if name in own) == sorted(own)
    fields = {field.name: field for kind in types for field in dataclasses.fields(kind)}
    listed = {name: shown for name, shown in rows if name in fields}
    assert listed == {name: shown_default(fields[name]) for name in listed}


def test_the_guide_of_classification_lists_a_flag_once(guide):
    rows = [name for name, _ in ROW.findall(guide) if name not in LEGACY_FLAGS]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize(
    ("script", "page"),
    [("run_classification", GUIDE), ("run_ner", NER_GUIDE), ("run_continue_pretrain", PRETRAINING_GUIDE)],
)
def test_the_guide_gives_the_scripts_own_defaults(script, page):
    line = LINES[script]
    meanings = dict(re.findall(r"^\| `--(\w+)` \| (.*) \|$", text_of(page), re.MULTILINE))
    for name, value in line.scratch_defaults.items():
        shown = f"{value:.0e}".replace("e-0", "e-") if isinstance(value, float) and value < 0.1 else str(value)
        assert f"{shown} from scratch" in meanings[name]
    assert f"`{line.defaults['output_dir']}`" in text_of(page)


def test_old_flags_stand_beside_their_new_names(guide):
    section = guide.split("## Old flags")[1]
    rows = [line for line in section.splitlines() if line.startswith("| `--")]
    for old, legacy in LEGACY_FLAGS.items():
        row = next((line for line in rows if f"`--{old}`" in line.split(" | ")[0]), None)
        assert row is not None, f"--{old} is missing"
        if legacy.new is not None:
            shown = f"--{legacy.new}" + (f" {legacy.value}" if legacy.value not in (None, "true") else "")
            assert f"`{shown}`" in row.split(" | ")[1], row


# --- sets chosen by name ---------------------------------------------------------------------------------------------


def test_every_tagger_from_scratch_is_named():
    text = text_of(NER_GUIDE)
    assert all(f"`{name}`" in text for name in SCRATCH_TAGGERS)


def test_every_kind_of_tokenizer_has_a_row():
    assert re.findall(r"^\| `(\w+)` \| [^|]* \| [^|]* \| [^|]* \|$", text_of(TOKENIZER_GUIDE), re.MULTILINE) == list(
        KINDS
    )


@pytest.mark.parametrize("names", [POOLERS, FUSIONS, SCRATCH_MODELS], ids=["poolers", "fusions", "scratch models"])
def test_every_member_has_a_row_in_the_guide(names, guide):
    first_cells = " ".join(line.split(" | ")[0] for line in guide.splitlines() if line.startswith("| `"))
    assert not [name for name in names if f"`{name}`" not in first_cells]


@pytest.mark.parametrize(
    ("title", "problem_type", "logits", "labels"),
    [
        ("one label", SINGLE_LABEL, [[2.0, 0.0], [0.0, 2.0]], [0, 1]),
        ("several labels", MULTI_LABEL, [[2.0, -2.0], [-2.0, 2.0]], [[1, 0], [0, 1]]),
        ("regression", REGRESSION, [[0.0], [1.0], [3.0]], [0.0, 1.0, 2.0]),
    ],
)
def test_the_guide_lists_the_metrics_of_each_task(title, problem_type, logits, labels, guide):
    row = re.search(rf"^\| {title} \| (.*) \|$", guide, re.MULTILINE)
    assert row is not None
    assert re.findall(r"`(\w+)`", row[1]) == list(score(problem_type, logits, labels))


# --- files and links -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_a_file_or_heading(page):
    headings = {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    }
    for target in LINK.findall(text_of(page)):
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_readme_names_every_example_and_no_other():
    named = set(re.findall(r"examples/([\w-]+\.yaml)", text_of(ROOT / "README.md")))
    assert named == {path.name for path in (ROOT / "examples").glob("*.yaml")}


def test_the_readme_names_the_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    pages = text_of(ROOT / "README.md") + text_of(ROOT / "CONTRIBUTING.md")
    assert set(re.findall(r"`make ([a-z-]+)`", pages)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_path_of_a_machine(page):
    assert not re.search(r"(?<![\w.])/(?:home|work|tmp|root|Users)/|\.\./shared", text_of(page))


def test_pictures_are_small_and_have_a_text_for_who_cannot_see_them():
    shown = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text_of(ROOT / "README.md") + text_of(ROOT / "README.zh-CN.md"))
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert {ROOT / path for _, path in shown} == set(pictures)
    assert all(len(text) > 10 for text, _ in shown)
    assert all(path.stat().st_size < 120_000 for path in pictures)
