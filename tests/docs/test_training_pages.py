"""The pages on training say what the code has: every method and loss, the flags, what is printed, the benchmarks."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from reviews import review_rows
from scripts.support import read_json, run_main, write_csv
from transformers import BertConfig, BertForSequenceClassification, Trainer

from hf_ext.training import ExtTrainingArguments
from hf_ext.training.adversarial.methods import ADVERSARIES
from hf_ext.training.argument_groups import ARGUMENT_GROUPS, RunArguments
from hf_ext.training.averages.ema import EMA_FILE
from hf_ext.training.losses.registry import LOSSES
from hf_ext.training.optimization.group_record import PARAMETER_GROUPS_JSON, GroupRecord
from hf_ext.training.optimization.groups import parameter_groups, parameter_names
from hf_ext.training.watch.train_log import TRAIN_LOG

ROOT = Path(__file__).resolve().parents[2]
KINDS = {
    "single_label_classification": "one label",
    "multi_label_classification": "several labels",
    "regression": "a number",
}


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows_of(text: str) -> dict[str, list[str]]:
    """Give the cells of table rows whose first cell is a word in backticks, by that word."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:3] == "| `"]
    return {cells[0].strip("`"): cells for cells in rows}


# --- methods and losses ----------------------------------------------------------------------------------------------


def test_every_adversarial_method_has_a_row_and_no_other():
    rows = rows_of(section(page("docs/training.md"), "Adversarial training"))
    assert set(rows) == set(ADVERSARIES)


@pytest.mark.parametrize("steps", [2, 4])
def test_the_rows_give_the_number_of_passes(steps, tmp_path):
    from hf_ext.training.adversarial.methods import build_attack

    rows = rows_of(section(page("docs/training.md"), "Adversarial training"))
    for name, method in ADVERSARIES.items():
        flags = {"adversarial_steps": steps} if method.has_steps else {}
        attack = build_attack(ExtTrainingArguments(output_dir=str(tmp_path), adversarial=name, **flags))
        first, _, more = rows[name][1].partition(" + ")
        assert len(attack.weights) == (steps if first == "steps" else int(first)) + int(more or 0), name


def test_every_loss_has_a_row_with_its_kinds_of_label():
    rows = rows_of(section(page("docs/training.md"), "Losses"))
    assert {name: cells[1] for name, cells in rows.items()} == {
        name: ", ".join(KINDS[member.problem_type] for member in members) for name, members in LOSSES.items()
    }


def test_the_guide_names_every_method_and_loss_beside_its_flag():
    rows = rows_of(section(page("docs/run_classification.md"), "Training flags"))
    assert re.findall(r"`(\w+)`", rows["--adversarial"][2]) == list(ADVERSARIES)
    assert set(re.findall(r"`(\w+)`", rows["--loss"][2])) == set(LOSSES)


def test_every_flag_of_a_method_is_explained():
    text = page("docs/training.md")
    methods = [group for group in ARGUMENT_GROUPS if group is not RunArguments]  # its flags are the guides'
    flags = {name for group in methods for name in group.__annotations__}
    assert not {flag for flag in flags if f"--{flag}" not in text}


@pytest.mark.parametrize("name", [TRAIN_LOG, PARAMETER_GROUPS_JSON, EMA_FILE])
def test_the_files_of_a_training_are_listed(name):
    assert f"{name}`" in section(page("docs/run_classification.md"), "What a run leaves")
    assert f"`{name}`" in page("docs/training.md")


# --- what is printed -------------------------------------------------------------------------------------------------


def test_the_table_of_groups_is_the_one_that_the_code_prints(tmp_path):
    sizes = {"vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
    model = BertForSequenceClassification(BertConfig(**sizes, num_labels=5))
    rates = {"learning_rate": 2e-4, "head_learning_rate": 1e-3, "layerwise_lr_decay": 0.9}
    args = ExtTrainingArguments(output_dir=str(tmp_path), weight_decay=0.01, **rates)
    groups = parameter_groups(model, args, Trainer.get_decay_parameter_names(None, model))
    printed = GroupRecord(groups, parameter_names(model)).table().splitlines()
    shown = section(page("docs/training.md"), "Learning rates").partition("```\ngroup")[2].partition("```")[0]
    lines = ("group" + shown).strip().splitlines()
    cut = lines.index("…")
    assert lines[:cut] == printed[:cut]
    assert lines[cut + 1 :] == printed[-2:]


def test_the_oracle_table_keeps_the_tolerance_and_shows_where_the_snippet_fails():
    text = section(page("docs/training.md"), "Shown by oracle")
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if "e-" in line]
    gradients = [cells for cells in rows if cells[0] in ("stock", "ext", "crf")]
    assert {cells[1] for cells in gradients} == {*ADVERSARIES, "usual", "scaled"}
    for head, method, *errors in gradients:
        numbers = [float(error) for error in errors]
        if method in ADVERSARIES:
            assert max(numbers) <= 1e-12, (head, method)
        else:
            assert numbers[0] <= 1e-12 < 0.05 < min(numbers[1:]), (head, method)
    losses = [cells for cells in rows if len(cells) == 8]
    assert losses
    assert all(float(error) <= 1e-12 for cells in losses for error in cells[2:])


# --- benchmarks ------------------------------------------------------------------------------------------------------


def test_every_benchmark_has_a_section_with_its_command():
    shared = {"interleave.py", "render.py", "tables.py"}
    programs = {path.name for path in (ROOT / "benchmarks").glob("*.py")} - shared
    commands = re.findall(r"^(?:\w+=\S+ )?python benchmarks/(\w+\.py)", page("docs/benchmarks.md"), re.MULTILINE)
    assert set(commands) == programs


def test_the_benchmark_names_the_arms_that_it_has():
    found = ast.parse(page("benchmarks/adversarial.py"))
    arms = next(node for node in found.body if isinstance(node, ast.AnnAssign) and node.target.id == "ARMS")
    rows = section(page("docs/benchmarks.md"), "Adversarial training: what it costs")
    named = {
        name
        for line in rows.splitlines()
        if line.startswith("| ")
        for name in line.strip("| ").split(" | ")[0].split("; ")
    }
    assert {key.value for key in arms.value.keys} <= named


# --- commands of the README ------------------------------------------------------------------------------------------


def better_commands() -> list[str]:
    return re.findall(r"`python run_classification\.py ([^`]+)`", section(page("README.md"), "Train better"))


def test_the_readme_has_commands_to_train_better():
    assert len(better_commands()) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("command", better_commands())
def test_the_command_runs_on_a_few_rows(command, tmp_path, tiny_bert, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example, *flags = (str(ROOT / word) if (ROOT / word).is_file() else word for word in shlex.split(command))
    names = ["train", "validation", "test"]
    if "--tune" in flags:
        flags += ["--tune_trials", "2"]
    if "demo" not in example:
        names.remove("validation")  # held out from the training rows
        flags += ["--model_name_or_path", tiny_bert, "--max_seq_length", "24"]
    files = {name: write_csv(tmp_path / f"{name}.csv", review_rows(40, offset=100 * len(name))) for name in names}
    run_main(
        example,
        *flags,
        *(word for name, path in files.items() for word in (f"--{name}_file", path)),
        *("--text_column_names", "text", "--label_column_name", "label", "--num_train_epochs", "1", "--use_cpu"),
        *("--disable_tqdm", "true", "--cache_dir", tmp_path / "cache", "--output_dir", tmp_path / "out"),
    )
    if "--tune" in flags:
        assert (tmp_path / "out" / "best.yaml").is_file()
        return
    results = read_json(tmp_path / "out" / "all_results.json")
    assert "predict_f1_weighted" in results
    assert results["eval_f1_weighted_std"] >= 0 if "--num_folds" in flags else results["train_loss"] > 0
