"""Every YAML file in examples/ for run_classification.py runs, on a few rows of the shape that its own data has."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from reviews import review_rows
from scripts.ner_files import NER_EXAMPLES
from scripts.support import ROOT, read_csv, read_json, run_main

from hf_ext.cli import classifier_building
from hf_ext.data import demo

ALL_EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
OTHER_SCRIPTS = ("pretrain_", "tokenizer_")  # what their examples begin with
EXAMPLES = [path for path in ALL_EXAMPLES if path.stem not in NER_EXAMPLES and not path.stem.startswith(OTHER_SCRIPTS)]
ROWS = {"train_file": 60, "validation_file": 12, "test_file": 12}
COLUMN_FILE = {
    "text_cols": ["Title", "Review Text"],
    "cat_cols": ["Division Name", "Department Name", "Class Name"],
    "num_cols": ["Rating", "Age", "Positive Feedback Count"],
    "label_col": "Recommended IND",
    "label_list": ["Not Recommended", "Recommended"],
}
ALEXA = ["", "rating", "date", "variation", "verified_reviews", "feedback"]
HEADERS = {
    "adversarial": ALEXA,
    "banking77": ["text", "category"],
    "bdci_car2018": ["content_id", "content", "subject", "sentiment_value", "sentiment_word"],
    "amazon_alexa": ALEXA,
    "womens_clothing": [
        *("", "Clothing ID", "Age", "Title", "Review Text", "Rating", "Recommended IND"),
        *("Positive Feedback Count", "Division Name", "Department Name", "Class Name"),
    ],
}
TEXTS = {"text", "content", "verified_reviews", "Title", "Review Text", "sentence1", "sentence2"}
NUMBERS = {"Age", "Rating", "Positive Feedback Count", "rating", "score"}


def cell(column: str, row: dict[str, str], number: int, settings: dict) -> str:
    """Make the cell of a column: labels follow from the review, texts hold it, the rest is of the right kind."""
    good = row["label"] == "good"
    if column in TEXTS:
        return row["text"] + f" {number}"
    if column == "labels":
        return "0,2" if good else "1"
    if column == settings.get("label_column_name", "label") or column in ("category", "Recommended IND"):
        return {"sentiment_value": "-1", "rating": "5"}.get(column, "1") if good else "0"
    if column == "content_id":
        return str(number)
    return str(number % 5) if column in NUMBERS else row["shop"]


def columns_of(name: str, settings: dict) -> tuple[list[str], bool]:
    if settings.get("column_names"):
        return settings["column_names"].split(","), False
    return next(header for key, header in HEADERS.items() if name.startswith(key)), True


def write_rows(path: Path, name: str, settings: dict, *, count: int, offset: int) -> None:
    columns, has_header = columns_of(name, settings)
    table = [
        [cell(column, row, offset + i, settings) for column in columns]
        for i, row in enumerate(review_rows(count, offset=offset))
    ]
    delimiter = settings.get("delimiter") or ("," if path.suffix == ".csv" else "\t")
    with path.open("w", encoding="utf-8", newline="") as file:
        if len(delimiter) > 1:
            file.writelines(delimiter.join(row) + "\n" for row in table)
        else:
            csv.writer(file, delimiter=delimiter).writerows([columns, *table] if has_header else table)


def flags_for(path: Path, folder: Path, tiny_bert: str) -> list[str]:
    """Write the files that an example names and give the flags that point it there."""
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    flags = []
    for offset, (flag, count) in enumerate(ROWS.items()):
        if flag in settings:
            target = folder / f"{flag}{Path(settings[flag]).suffix}"
            write_rows(target, path.stem, settings, count=count, offset=offset * 500)
            flags += [f"--{flag}", str(target)]
    if "label_file" in settings:
        (folder / "labels.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
        flags += ["--label_file", str(folder / "labels.txt")]
    if "column_file" in settings:
        (folder / "columns.json").write_text(json.dumps(COLUMN_FILE), encoding="utf-8")
        flags += ["--column_file", str(folder / "columns.json")]
    if "model_name_or_path" in settings:
        flags += ["--model_name_or_path", tiny_bert, "--max_seq_length", "24"]
    if "freeze_encoder" in settings:
        flags += ["--freeze_encoder", "1"]
    return flags


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(path, tmp_path, tiny_bert, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = flags_for(path, tmp_path, tiny_bert)
    if path.stem == "demo":
        monkeypatch.setattr(classifier_building, "prepare_demo", lambda folder: tiny_demo(tmp_path))
    run_main(
        *(
            path,
            *flags,
            "--num_train_epochs",
            "1",
            "--use_cpu",
            "--disable_tqdm",
            "true",
            "--cache_dir",
            tmp_path / "c",
        ),
        *("--output_dir", tmp_path / "out"),
    )
    results = read_json(tmp_path / "out" / "all_results.json")
    metric = "spearman" if "sts" in path.stem else "f1_weighted"
    evaluated = [name for name in ("eval", "predict") if f"{name}_{metric}" in results]
    assert evaluated
    assert all(f"baseline_{name}_{metric}" in results for name in evaluated)
    assert len(read_csv(tmp_path / "out" / "predictions.csv")) == results["predict_samples"]


def tiny_demo(folder: Path) -> dict[str, Path]:
    files = {}
    for offset, name in enumerate(("train", "validation", "test")):
        files[name] = folder / f"{name}.csv"
        rows = review_rows(40, offset=100 * offset)
        files[name].write_text("text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in rows), encoding="utf-8")
    return files


def test_the_examples_cover_what_the_readme_lists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"examples/{path.name}" in readme for path in ALL_EXAMPLES)


def test_the_demo_package_is_pinned_alike_everywhere():
    assert demo.REQUIREMENT in (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert demo.REQUIREMENT in (ROOT / "constraints.txt").read_text(encoding="utf-8")
