"""What a run leaves behind: metrics, predictions, the model, its card, and a table that says where they are."""

from __future__ import annotations

import json
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME

from hf_ext.cli.card_texts import folder_name
from hf_ext.cli.cost_report import COST, RunClock, cost_figures, cost_line
from hf_ext.cli.explaining import RunFacts, TaskFacts, write_card, write_run_record
from hf_ext.cli.faults import blame_run
from hf_ext.cli.feature_cache import find_feature_cache
from hf_ext.cli.main_process_first import main_process_first
from hf_ext.cli.pictures import Pictures
from hf_ext.data.checks.report import REPORT_FILE, DataReport, write_report
from hf_ext.data.checks.summary import summarise
from hf_ext.errors import UserError
from hf_ext.evaluation.reports import summary_table
from hf_ext.report.model_card import CARD_FILE
from hf_ext.report.run_record import RUN_FILE
from hf_ext.training.averages.averaging import load_checkpoint
from hf_ext.training.lora.merging import merge_lora, unmerged
from hf_ext.training.trainer import ExtTrainer
from hf_ext.training.watch.loss_watch import NonFiniteLossError

logger = logging.getLogger(__name__)


class RunData(Protocol):
    """What the data of a run, whatever its task, can tell."""

    splits: Any
    split_indices: dict[str, Any] | None

    def locate(self, split: str, rows: Sequence[int]) -> str | None:
        """Give file and lines of some rows, or None if nobody knows."""


Data = TypeVar("Data", bound=RunData)


class Outcome(ABC, Generic[Data]):
    """The last step of a script: train, evaluate, predict, and write what each of them gives.

    A script takes the subclass of its task, which adds ``predict``.

    Args:
        args: The run's training arguments.
    """

    task = ""  # as the Hub calls it
    titles: ClassVar[dict[str, str]] = {"eval": "validation", "predict": "test"}  # rows of the table, by metric prefix
    next_step = "--model_name_or_path {folder} --do_predict --test_file …"  # what the model is for

    def __init__(self, args: Any) -> None:
        self.args = args
        self.folder = Path(args.output_dir)
        self.clock = RunClock()
        self.results: dict[str, dict[str, float]] = {}
        self.files: dict[str, Path] = {}
        self.data_report: DataReport | None = None
        self.with_adapter: Any = None  # the model before LoRA was merged, where checkpoints are to be evaluated

    @property
    def needs(self) -> set[str]:
        """The splits that the run asks for.

        Raises:
            UserError: If it asks for nothing.
        """
        asked = {"train": self.args.do_train, "validation": self.args.do_eval, "test": self.args.do_predict}
        if not any(asked.values()):
            raise UserError("nothing to do", where="command line", fix="add --do_train, --do_eval or --do_predict")
        return {name for name, wanted in asked.items() if wanted}

    def cache_dir(self, named: str | None) -> Path:
        """Give the folder of preprocessed data: the named one, or one beside the datasets library's cache."""
        return find_feature_cache(named)

    def report(self, data: Data) -> None:
        """Tell what was noticed in the data, and write it into ``data_report.json``; the main process does."""
        if self.args.process_index == 0:
            self.data_report = self._inspect(data)
            logger.info("The data:\n%s\n", summarise(self.data_report))
            self.files[REPORT_FILE] = write_report(self.data_report, self.folder)

    def train(self, trainer: Trainer, data: Data) -> None:
        """Train, then save the model, the metrics and the row numbers of a split made here."""
        with blame_run(), blame_rows(data):
            metrics = trainer.train(resume_from_checkpoint=self.args.resume_from_checkpoint).metrics
            self.with_adapter = merge_lora(trainer, keep=self.args.eval_all_checkpoints)
            trainer.save_model(_internal_call=True)  # which leaves the upload to the end
        rows = self._count(data, "train")
        if rows is not None:
            metrics["train_samples"] = rows
        self._record(trainer, "train", metrics | self._figures(trainer, data, "train", metrics))
        trainer.save_state()
        if data.split_indices and trainer.is_world_process_zero():
            self._write_json("split_indices.json", data.split_indices)

    def evaluate(self, trainer: Trainer, data: Data) -> None:
        """Evaluate on the validation split, and each checkpoint too when ``eval_all_checkpoints`` asks for it."""
        with blame_run():
            metrics = trainer.evaluate(metric_key_prefix="eval")
        metrics["eval_samples"] = self._count(data, "validation") or 0
        self._record(trainer, "eval", metrics | self._figures(trainer, data, "eval", metrics))
        if self.args.eval_all_checkpoints:
            self._evaluate_checkpoints(trainer)

    def finish(self, trainer: Trainer, data: Data, model_args: Any, data_args: Any) -> dict[str, dict[str, float]]:
        """Add what else the task has, explain the run, print the table of results, files and costs; push."""
        if self.args.write_report:
            self._judge(trainer, data)
        with main_process_first(self.args):
            self._extras(trainer, data, data_args)
        cost = self._record_cost(trainer)
        if trainer.is_world_process_zero():
            run = RunFacts(
                *(self.folder, self.args, model_args, data_args, self.clock, cost, self.results, self.titles),
                report=self.data_report,
            )
            self._explain(trainer, data, run)
            sys.stdout.write(f"{self._table(self._main_metrics(data))}{cost_line(self.clock, cost)}\n")
        if self.args.do_train and self.args.push_to_hub:
            trainer.push_to_hub()
        return self.results

    def main_metric(self, data: Data) -> str:
        """Name the metric that a model is judged by where nothing else is asked for, without prefix."""
        return self._main_metrics(data)[0]

    @abstractmethod
    def _count(self, data: Data, split: str) -> int | None:
        """Count the rows of a split; None where nobody knows."""

    @abstractmethod
    def _inspect(self, data: Data) -> DataReport:
        """Look at the data for what is worth telling."""

    @abstractmethod
    def _main_metrics(self, data: Data) -> Sequence[str]:
        """Name the metrics of the table, without prefix; a split shows if it has the first one."""

    def _figures(self, trainer: Trainer, data: Data, split: str, metrics: dict[str, float]) -> dict[str, Any]:
        """Give what the task says of a split (``train`` or ``eval``) beside its metrics."""
        return {}

    def _judge(self, trainer: Trainer, data: Data) -> None:
        """Predict what the report needs and no step before has predicted; every process does."""

    def _draw(self, pictures: Pictures, data: Data) -> None:
        """Draw the pictures of the run."""
        pictures.draw_training(self._main_metrics(data))

    @abstractmethod
    def _describe(self, trainer: Trainer, data: Data, folder: str) -> TaskFacts:
        """Say what the model card needs to know of the task.

        Args:
            trainer: Of the run.
            data: Of the run.
            folder: The model as a reader of the card would name it.
        """

    def _explain(self, trainer: Trainer, data: Data, run: RunFacts) -> None:
        """Draw the pictures, write the model card of a training, and record the run."""
        if self.args.write_report:
            pictures = Pictures(trainer, self.folder)
            self._draw(pictures, data)
            self.files |= pictures.files
        if self.args.do_train:
            task = self._describe(trainer, data, folder_name(self.folder, self.args.hub_model_id))
            model = trainer.accelerator.unwrap_model(trainer.model)
            metrics = self._main_metrics(data)
            self.files[CARD_FILE] = write_card(run, task, model=model, hub_task=self.task, metrics=metrics)
        self.files[RUN_FILE] = write_run_record(run)

    def _extras(self, trainer: Trainer, data: Data, data_args: Any) -> None:
        """Do what the task does at the end beside training, evaluation and prediction."""

    def _record(self, trainer: Trainer, split: str, metrics: dict[str, float]) -> None:
        trainer.log_metrics(split, metrics)
        if trainer.is_world_process_zero():
            self._forget(split)
        trainer.save_metrics(split, metrics)
        self.results[split] = metrics

    def _record_cost(self, trainer: Trainer) -> dict[str, float]:
        """Write what each phase has cost beside the metrics."""
        phases = trainer.cost.totals() if isinstance(trainer, ExtTrainer) else {}
        figures = cost_figures(self.clock, phases)
        if trainer.is_world_process_zero():
            self._forget(COST)
        trainer.save_metrics(COST, figures)
        return figures

    def _forget(self, split: str) -> None:
        """Take what an earlier run said of a split out of ``all_results.json``, where transformers only adds."""
        path = self.folder / "all_results.json"
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            kept = {name: value for name, value in kept.items() if not name.startswith(f"{split}_")}
            path.write_text(json.dumps(kept, indent=4, sort_keys=True), encoding="utf-8")

    def _evaluate_checkpoints(self, trainer: Trainer) -> None:
        """Score every ``checkpoint-N`` of the output folder, then put the final weights back."""
        with unmerged(trainer, self.with_adapter) as model:
            scores = self._score_checkpoints(trainer, model)
        if not scores:
            logger.warning(
                "--eval_all_checkpoints: there is no checkpoint in %s; save with --save_strategy.", self.folder
            )
        elif trainer.is_world_process_zero():
            self._write_json("eval_all_checkpoints.json", scores)
            first = next(iter(scores.values()))
            shown = [name for name in first if not name.endswith(("_runtime", "_per_second", "epoch"))]
            header = ["checkpoint", *(name.removeprefix("eval_") for name in shown)]
            rows = [[name, *(_short(metrics.get(column)) for column in shown)] for name, metrics in scores.items()]
            sys.stdout.write(summary_table([header, *rows]) + "\n")

    def _score_checkpoints(self, trainer: Trainer, model: Any) -> dict[str, dict[str, float]]:
        final = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        state, scores = trainer.state, {}
        ended_at = state.global_step, state.epoch
        try:
            for folder in self._checkpoints():
                load_checkpoint(model, folder)
                saved = json.loads((folder / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
                state.global_step, state.epoch = saved["global_step"], saved["epoch"]  # what logs and trackers name
                scores[folder.name] = trainer.evaluate(metric_key_prefix="eval")
        finally:
            model.load_state_dict(final)
            state.global_step, state.epoch = ended_at
        return scores

    def _checkpoints(self) -> list[Path]:
        """Give the ``checkpoint-N`` folders, the oldest first."""
        numbers = [path.name.rpartition("-")[2] for path in self.folder.glob("checkpoint-*")]
        return [
            self.folder / f"checkpoint-{n}" for n in sorted(int(number) for number in numbers if number.isdecimal())
        ]

    def _table(self, names: Sequence[str]) -> str:
        rows = [["", *names, "rows", "seconds"]]
        for prefix, title in self.titles.items():
            metrics = self.results.get(prefix, {})
            if metrics.get(f"{prefix}_{names[0]}") is not None:
                cells = [_short(metrics.get(f"{prefix}_{name}")) for name in names]
                counts = [metrics.get(f"{prefix}_samples"), metrics.get(f"{prefix}_runtime")]
                rows.append([title, *cells, *map(_short, counts)])
        files = [["metrics", str(self.folder / "all_results.json")]]
        files += [[name, str(path)] for name, path in self.files.items()]
        if self.args.do_train:
            files.append(["model", f"{self.folder}  ({self.next_step.format(folder=self.folder)})"])
        table = f"{summary_table(rows)}\n" if len(rows) > 1 else ""
        return f"\n{table}\n{summary_table(files)}\n"

    def _write_json(self, name: str, content: Any) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")
        self.files[name] = path


@contextmanager
def blame_rows(data: RunData) -> Iterator[None]:
    """Add file and lines to an error about training rows.

    Raises:
        NonFiniteLossError: The same one, with a place.
    """
    try:
        yield
    except NonFiniteLossError as error:
        where = data.locate("train", error.alone or error.rows)
        if where is None:
            raise
        raise error.at(where) from error


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) or float(value).is_integer() else f"{value:.4f}"
