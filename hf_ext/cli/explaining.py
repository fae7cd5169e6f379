"""What the folder of a run says of it in words: the model card, and the record of the run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from hf_ext.cli.card_texts import describe_limits, describe_origin, describe_settings, folder_name, hub_name
from hf_ext.cli.cost_report import RunClock
from hf_ext.data.checks.report import DataReport
from hf_ext.han import han_prevails
from hf_ext.report.folder_files import list_files
from hf_ext.report.model_card import CARD_FILE, CardTable, ModelCard
from hf_ext.report.run_record import describe_arguments, describe_versions, record_run

SOURCE_FLAGS = ("train_file", "validation_file", "test_file", "data_dir", "label_file", "split_indices")
TEXTS_LOOKED_AT, CHARACTERS_LOOKED_AT = 200, 500
PICTURES = {
    "learning_curves.png": "Learning curves",
    "perplexity.png": "Perplexity",
    "confusion_matrix.png": "Confusion matrix",
    "calibration.png": "Calibration",
}


@dataclass(frozen=True)
class TaskFacts:
    """What a task says of its model.

    Args:
        purpose: What the model does, one sentence.
        labels: What it can answer.
        tables: Heading to table, for the card.
        limits: Where it may fail, a sentence each.
        usage: Python that asks it.
        command: Shell that asks it.
        example: A text to try it with, of nobody's data; None where a text alone is not enough.
        language: ISO 639-1, None if unknown.
    """

    purpose: str
    labels: Sequence[str] = ()
    tables: Mapping[str, CardTable] = field(default_factory=dict)
    limits: Sequence[str] = ()
    usage: str = ""
    command: str = ""
    example: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class RunFacts:
    """What a run was asked for and what it gave.

    Args:
        folder: Output folder.
        args: The training arguments.
        model_args: Which model.
        data_args: Which data.
        clock: Of the script.
        cost: Its cost, by name.
        results: Figures by prefix (``eval`` and so on), names with the prefix.
        titles: Prefix to what its rows are called.
        report: What was found in the data; None on other processes.
    """

    folder: Path
    args: Any
    model_args: Any
    data_args: Any
    clock: RunClock
    cost: Mapping[str, float]
    results: Mapping[str, Mapping[str, float]]
    titles: Mapping[str, str]
    report: DataReport | None

    @property
    def started(self) -> float:
        """When the run began, as ``time.time`` gives it."""
        return time.time() - self.clock.total

    def figures(self) -> dict[str, dict[str, float]]:
        """Give the figures of the model and of what it was compared with, by title, names without prefix."""
        named = {}
        for prefix, title in self.titles.items():
            if prefix in self.results:
                named[title] = {key.removeprefix(f"{prefix}_"): value for key, value in self.results[prefix].items()}
        return named


def write_card(
    run: RunFacts, task: TaskFacts, *, model: PreTrainedModel, hub_task: str, metrics: Sequence[str]
) -> Path:
    """Write the model card of a run that has trained; give its path.

    Args:
        run: What was asked for and what came out.
        task: What the task says.
        model: The trained model, without wrappers.
        hub_task: As the Hub calls the task.
        metrics: Names of the figures that matter, in order.
    """
    figures = run.figures()
    own = {title: values for title, values in figures.items() if ":" not in title}
    name = folder_name(run.folder, run.args.hub_model_id)
    written = list_files(run.folder, since=run.started)
    card = ModelCard(
        name=name.rpartition("/")[2],
        task=hub_task,
        purpose=task.purpose,
        base_model=hub_name(run.model_args.model_name_or_path),
        origin=describe_origin(run.model_args.model_name_or_path, type(model).__name__),
        dataset=run.data_args.dataset_name,
        language=task.language,
        labels=task.labels,
        metrics=own,
        compared={title: values for title, values in figures.items() if title not in own},
        main_metrics=metrics,
        tables=task.tables,
        data=_data_table(run.report),
        settings=describe_settings(run.args, _versions_in_short()),
        limits=describe_limits({title: own[title] for title in own if title != run.titles.get("train")}, task.limits),
        usage=task.usage,
        command=task.command,
        widgets=[task.example] if task.example else [],
        pictures={file: words for file, words in PICTURES.items() if file in written},
    )
    path = run.folder / CARD_FILE
    path.write_text(str(card), encoding="utf-8")
    return path


def write_run_record(run: RunFacts) -> Path:
    """Write ``run.json``, as the last file of a run, since it lists them; give its path."""
    return record_run(
        run.folder,
        did=[name for name in ("train", "eval", "predict") if getattr(run.args, f"do_{name}")],
        started=run.started,
        arguments={
            "model": describe_arguments(run.model_args),
            "data": describe_arguments(run.data_args),
            "training": describe_arguments(run.args, changed_only=True),  # all of them are in training_args.json
        },
        sources=[getattr(run.data_args, flag, None) for flag in SOURCE_FLAGS],
        device=run.args.device,
        processes=run.args.world_size,
        cost=run.cost,
    )


def guess_language(texts: Iterable[str]) -> str | None:
    """Tell whether texts are Chinese (``zh``); None for anything else, which letters alone do not tell."""
    return "zh" if han_prevails(text[:CHARACTERS_LOOKED_AT] for text in islice(texts, TEXTS_LOOKED_AT)) else None


def _data_table(report: DataReport | None) -> CardTable | None:
    """Give the whole numbers that are known of each split; where its rows lie is nobody's business."""
    splits = report.splits if report is not None else {}
    names = dict.fromkeys(name for split in splits.values() for name, value in split.items() if isinstance(value, int))
    if not names:
        return None
    rows = [[split, *(figures.get(name, "") for name in names)] for split, figures in splits.items()]
    return CardTable(("", *(name.replace("_", " ") for name in names)), rows)


def _versions_in_short() -> dict[str, str]:
    known = describe_versions()
    shown = (f"{name} {known[name]}" for name in ("hf_ext", "transformers", "torch", "datasets") if known[name])
    return {"versions": ", ".join(shown)}
