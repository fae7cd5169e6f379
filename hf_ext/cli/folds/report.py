"""What the folder of folds says: figures with their spread, a short card, the record of the run, a table."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_ext.cli.card_texts import describe_limits, describe_settings, folder_name, show_predictor, show_script
from hf_ext.cli.cost_report import COST, RunClock, cost_figures, cost_line
from hf_ext.cli.explaining import RunFacts, write_run_record
from hf_ext.errors import UserError
from hf_ext.evaluation.reports import summary_table, write_atomically
from hf_ext.report.model_card import CARD_FILE, CardTable, ModelCard
from hf_ext.report.run_record import RUN_FILE

Metrics = Mapping[str, float]
EVAL, PREDICT = "eval", "predict"
TRAIN, ANSWER = "train", "answer"  # phases of the cost
TITLES = {EVAL: "out of fold", PREDICT: "test: all folds together"}
PURPOSE = (
    "The models of {folds} folds, each trained without one of them, that answer together ({task}). The folder of a "
    "fold is a model of its own."
)


class FoldReport:
    """Collect the figures of folds and explain them.

    Args:
        model_args: Which model.
        data_args: Which data.
        args: The training arguments.
        folds: The folder of each fold.
        clock: Of the run.
    """

    def __init__(self, model_args: Any, data_args: Any, args: Any, *, folds: Sequence[Path], clock: RunClock) -> None:
        self.model_args, self.data_args, self.args = model_args, data_args, args
        self.folds, self.clock = list(folds), clock
        self.metrics: Sequence[str] = ()  # names of the main ones, without prefix
        self.folder = Path(args.output_dir)
        self.results: dict[str, dict[str, float]] = {}
        self.files: dict[str, Path] = {}
        self.single: dict[str, list[Metrics]] = {}

    def record(self, split: str, together: Metrics, single: Sequence[Metrics], *, rows: int) -> None:
        """Write the figures of a split: those of all rows or of the ensemble, and the spread of the single folds.

        Args:
            split: ``eval`` (out of fold) or ``predict``.
            together: Of all out-of-fold answers as one, or of the ensemble.
            single: Of each fold alone.
            rows: How many rows.
        """
        figures = {**together, **spread(single, self.metrics), "samples": rows, "folds": len(self.folds)}
        self.results[split] = {f"{split}_{name}": value for name, value in figures.items()}
        self.single[split] = list(single)
        self._write(split, self.results[split])

    def finish(
        self, labels: Sequence[str], *, task: str, script: str, example: str | None
    ) -> dict[str, dict[str, float]]:
        """Write card and record, and print the table.

        Args:
            labels: What the models can answer.
            task: As the Hub calls it.
            script: The name of the script of the task.
            example: A text to try the models with; None where a text alone is not enough.
        """
        self.clock.seconds[ANSWER] = self.clock.total - sum(self.clock.seconds.values())
        cost = cost_figures(self.clock, {})
        self._write(COST, cost)
        if self.args.do_train:
            self.files[CARD_FILE] = self._write_card(labels, task=task, script=script, example=example)
        facts = (self.folder, self.args, self.model_args, self.data_args, self.clock, cost, self.results, TITLES)
        self.files[RUN_FILE] = write_run_record(RunFacts(*facts, report=None))
        files = [["metrics", str(self.folder / "all_results.json")]]
        files += [[name, str(path)] for name, path in self.files.items()]
        tables = [summary_table(table) for table in self.tables().values()]
        sys.stdout.write("\n" + "\n\n".join([*tables, summary_table(files)]) + f"\n\n{cost_line(self.clock, cost)}\n")
        return self.results

    def tables(self) -> dict[str, list[list[Any]]]:
        """Lay out the figures of each split: a row for each fold, their mean and deviation, and all together."""
        tables = {}
        for split, single in self.single.items():
            known = [name for name in self.metrics if f"{split}_{name}_mean" in self.results[split]]
            if not known:
                continue
            rows: list[list[Any]] = [[TITLES[split].partition(":")[0], *known]]
            rows += [[fold.name, *(m[name] for name in known)] for fold, m in zip(self.folds, single, strict=True)]
            for suffix, title in (("_mean", "mean"), ("_std", "standard deviation"), ("", "all together")):
                rows.append([title, *(self.results[split].get(f"{split}_{name}{suffix}", "-") for name in known)])
            tables[TITLES[split]] = rows
        return tables

    def _write(self, split: str, figures: Metrics) -> None:
        """Write the figures of a split, and replace what ``all_results.json`` says of it."""
        path, kept = self.folder / "all_results.json", {}
        if path.is_file():
            stored = json.loads(path.read_text(encoding="utf-8"))
            kept = {name: value for name, value in stored.items() if not name.startswith(f"{split}_")}
        write_atomically(path, json.dumps(kept | dict(figures), indent=4, sort_keys=True))
        write_atomically(self.folder / f"{split}_results.json", json.dumps(dict(figures), indent=4, sort_keys=True))

    def _write_card(self, labels: Sequence[str], *, task: str, script: str, example: str | None) -> Path:
        name = folder_name(self.folder, self.args.hub_model_id)
        figures = {
            TITLES[split]: {key.removeprefix(f"{split}_"): value for key, value in found.items()}
            for split, found in self.results.items()
        }
        card = ModelCard(
            name=name.rpartition("/")[2],
            task=task,
            purpose=PURPOSE.format(folds=len(self.folds), task=task.replace("-", " ")),
            dataset=self.data_args.dataset_name,
            labels=labels,
            metrics=figures,
            main_metrics=self.metrics,
            tables={title: CardTable(["", *rows[0][1:]], rows[1:]) for title, rows in self.tables().items()},
            settings=describe_settings(self.args, {"folds": str(len(self.folds))}),
            limits=describe_limits(figures),
            usage="" if example is None else show_predictor(task, name, example),
            command=show_script(script, name),
        )
        return write_atomically(self.folder / CARD_FILE, str(card))


def spread(single: Sequence[Metrics], names: Sequence[str]) -> dict[str, float]:
    """Give ``<name>_mean`` and ``<name>_std`` (with n - 1) over the folds, of the figures that all of them have."""
    found = {}
    for name in names:
        values = [metrics[name] for metrics in single if name in metrics]
        if len(values) == len(single) > 1:
            found[f"{name}_mean"], found[f"{name}_std"] = statistics.fmean(values), statistics.stdev(values)
    return found


def fold_of_rows(sides: Sequence[tuple[Sequence[int], Sequence[int]]], folds: Sequence[Path]) -> dict[int, int]:
    """Tell which fold has held out which row.

    Args:
        sides: Of each fold the rows it was trained on and the rows it has held out.
        folds: The folders, for a message.

    Raises:
        UserError: If two folds have held out the same row, or one was trained on what it has held out.
    """
    found: dict[int, int] = {}
    for fold, (train, held_out) in enumerate(sides, start=1):
        if set(train) & set(held_out) or found.keys() & set(held_out):
            raise UserError(
                "this fold was cut otherwise than the others",
                where=str(folds[fold - 1]),
                fix="train it again with --resume_from_checkpoint last, after deleting its folder",
            )
        found |= dict.fromkeys(held_out, fold)
    return found
