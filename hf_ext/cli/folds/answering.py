"""The steps of ``--num_folds``: train, ask each model once, put together what they say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from hf_ext.cli.card_texts import EXAMPLES
from hf_ext.cli.command_lines import CommandLine
from hf_ext.cli.cost_report import RunClock
from hf_ext.cli.folds.loading import check_prediction, load_fold
from hf_ext.cli.folds.report import TRAIN, FoldReport, fold_of_rows
from hf_ext.cli.folds.training import train_folds
from hf_ext.cli.main_process_first import main_process_first
from hf_ext.cli.running import start_session
from hf_ext.data.splits import read_split_indices
from hf_ext.inference.folds import find_folds
from hf_ext.training.arguments import ExtTrainingArguments


class FoldAnswers(ABC):
    """The models of all folds, loaded one after the other; a task takes the subclass of its own.

    Args:
        model_args: Which model.
        data_args: Which data.
        args: The training arguments.
        report: Takes the figures; knows the folds.
    """

    line: ClassVar[CommandLine]
    task = ""  # as the Hub calls it
    script = ""  # of the task
    example: str | None = EXAMPLES[None]  # a text to try the models with; None where a text alone is not enough

    def __init__(self, model_args: Any, data_args: Any, args: ExtTrainingArguments, report: FoldReport) -> None:
        self.data_args, self.args, self.report = data_args, args, report
        self.places = {"cache_dir": model_args.cache_dir, "token": model_args.token}

    @classmethod
    @abstractmethod
    def check(cls, args: ExtTrainingArguments, data_args: Any) -> None:
        """Refuse what the task cannot do, and take the demo data where none is named.

        Raises:
            UserError: Naming the flag.
        """

    @classmethod
    def run(cls, command: Callable[..., dict], argv: Sequence[str]) -> dict[str, dict[str, float]]:
        """Train the folds if that is asked for, judge them on the rows they have not seen, and predict the test rows.

        Args:
            command: ``main`` of the command of the task.
            argv: The words of its command line.

        Returns:
            The figures of each split, on the main process.

        Raises:
            UserError: As ``train_folds`` and ``check_prediction`` do, and for whatever is wrong with the data.
        """
        clock = RunClock()
        model_args, data_args, args = cls.line.parse(argv)
        cls.check(args, data_args)
        if data_args.num_folds:
            folds = train_folds(command, argv, args=args, data_args=data_args)
            clock.seconds[TRAIN] = clock.total
        else:
            check_prediction(args)
            folds = find_folds(model_args.model_name_or_path)
        start_session(args)
        with main_process_first(args):  # the other processes have nothing to do until it is written
            if args.process_index != 0:
                return {}
            report = FoldReport(model_args, data_args, args, folds=folds, clock=clock)
            return cls(model_args, data_args, args, report).answer()

    def answer(self) -> dict[str, dict[str, float]]:
        """Ask every model once, then write predictions, figures and reports."""
        seen = self.read_training_rows() if self.data_args.num_folds else None
        test = self.read_test_rows() if self.args.do_predict else None
        fold_of = self._find_folds(seen) if seen else {}
        unseen, asked = {}, []
        for fold, folder in enumerate(self.report.folds, start=1):
            model = load_fold(folder, self.args)
            if seen:
                unseen[fold] = self.ask_unseen(model, seen, [row for row in sorted(fold_of) if fold_of[row] == fold])
            if test:
                asked.append(self.ask(model, test))
        if seen:
            self.judge(seen, fold_of, unseen)
        if test:
            self.predict(test, asked)
        return self.report.finish(self.names(), task=self.task, script=self.script, example=self.example)

    @abstractmethod
    def names(self) -> Sequence[str]:
        """Name what the models can answer."""

    @abstractmethod
    def read_training_rows(self) -> Any:
        """Read all training rows as test rows, in input order."""

    @abstractmethod
    def read_test_rows(self) -> Any:
        """Read the test rows."""

    @abstractmethod
    def count(self, data: Any) -> int:
        """Count the test rows."""

    @abstractmethod
    def ask_unseen(self, model: Any, data: Any, rows: Sequence[int]) -> Any:
        """Let a model answer some of the test rows."""

    @abstractmethod
    def ask(self, model: Any, data: Any) -> Any:
        """Let a model say of all test rows what is to be put together."""

    @abstractmethod
    def judge(self, data: Any, fold_of: dict[int, int], unseen: dict[int, Any]) -> None:
        """Write and score the answers for the training rows, each by the model of its fold.

        Args:
            data: The training rows, as test rows.
            fold_of: The fold of each row that one has held out.
            unseen: What ``ask_unseen`` gave, by fold.
        """

    @abstractmethod
    def predict(self, data: Any, asked: list[Any]) -> None:
        """Write and score what all models together say of the test rows.

        Args:
            data: The test rows.
            asked: What ``ask`` gave, a model each.
        """

    def _find_folds(self, data: Any) -> dict[int, int]:
        rows, source, folds = self.count(data), data.splits["test"].source, self.report.folds
        sides = [read_split_indices(fold / "split_indices.json", rows=rows, source=source) for fold in folds]
        return fold_of_rows([(side.train, side.validation + side.test) for side in sides], folds)
