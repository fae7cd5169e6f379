"""What the card of a tagger says."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from transformers import PreTrainedModel

from hf_ext.cli.card_texts import (
    EXAMPLES,
    describe_weakness,
    is_stock,
    show_predictor,
    show_script,
    show_stock_pipeline,
)
from hf_ext.cli.explaining import TaskFacts, guess_language
from hf_ext.data.tagging import TaggingData
from hf_ext.evaluation.tag_reports import ERROR_FILE, REPORT_FILE
from hf_ext.models.tag_schemes import read_tag
from hf_ext.report.model_card import CardTable

TOTAL = "total"  # the last line of the report


def describe_tagger(model: PreTrainedModel, data: TaggingData, folder: str, *, reports: Path, split: str) -> TaskFacts:
    """Say what the card needs to know of a tagger.

    Args:
        model: The model, without wrappers.
        data: What it was trained on.
        folder: The model as a reader of the card would name it.
        reports: Where the reports of this run lie, if it has written any.
        split: Which sentences they are about.
    """
    language = guess_language(data.training_texts())
    report, errors = _read(reports / REPORT_FILE), _read(reports / ERROR_FILE)
    show = show_stock_pipeline if is_stock(model) else show_predictor
    kind = "characters" if data.schema.level == "character" else "words"
    purpose = f"Tags the {kind} of a text ({data.schema.scheme} scheme)"
    if data.schema.sentence_labels:
        purpose += f" and gives the text one of {len(data.schema.sentence_labels):,} labels"
    return TaskFacts(
        f"{purpose}.",
        labels=list(filter(None, dict.fromkeys(read_tag(tag, data.schema.scheme)[1] for tag in data.schema.tags))),
        tables=_tables(report, errors, split),
        limits=describe_weakness(
            {row["type"]: float(row["f1"]) for row in report if row["type"] != TOTAL and int(row["gold"])}
        ),
        usage=show("token-classification", folder, EXAMPLES[language]),
        command=show_script("run_ner.py", folder),
        example=EXAMPLES[language],
        language=language,
    )


def _tables(report: list[dict[str, str]], errors: list[dict[str, str]], split: str) -> dict[str, CardTable]:
    if not report:
        return {}
    shown = ("type", "precision", "recall", "f1", "gold")
    rows = [[row["type"], *(float(row[name]) for name in shown[1:4]), int(row["gold"])] for row in report]
    tables = {f"By type ({split} sentences)": CardTable(("type", "precision", "recall", "f1", "entities"), rows)}
    kinds = Counter(row["kind"] for row in errors)
    if kinds:
        tables[f"Kinds of mistakes ({split} sentences)"] = CardTable(("mistake", "entities"), kinds.most_common())
    return tables


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
