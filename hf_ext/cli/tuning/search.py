"""``--tune``: what is checked before it, the trials, and what is left when they are over."""

from __future__ import annotations

import importlib.util
import logging
import math
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import Trainer

from hf_ext.cli.command_lines import CommandLine
from hf_ext.cli.faults import blame_run
from hf_ext.cli.tuning.results import SearchResults
from hf_ext.cli.tuning.space_file import read_space
from hf_ext.cli.tuning.trial_settings import Build, TrialSettings
from hf_ext.errors import UserError
from hf_ext.training.arguments import ExtTrainingArguments, greater_is_better
from hf_ext.training.tuning.arguments import TuningArguments
from hf_ext.training.tuning.study import close_killed_trials, counted_trials, study_settings
from hf_ext.training.tuning.trial_run import FAULTS

logger = logging.getLogger(__name__)

FOLDER, STUDY_FILE = "tune", "study.db"
RECORD = "settings"  # attribute of a study: what its trials are run with
# flags that say how long or where is searched: they may change when a search goes on, and best.yaml has none of them
SEARCH_FLAGS = {
    *TuningArguments.__dataclass_fields__,
    *("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "resume_or_start", "resume_changed_run"),
}


def plan_search(command: CommandLine, argv: Sequence[str], args: ExtTrainingArguments) -> Search | None:
    """Read what is to be searched, and refuse what cannot be, before data and model are read.

    The test rows and the Hub are none of a search's business, and to go on with one is no matter of checkpoints: these
    flags are taken out of the arguments.

    Args:
        command: Which command it is.
        argv: The words of its command line.
        args: Its training arguments, which are changed.

    Returns:
        The search; None without ``--tune``.

    Raises:
        UserError: For a space that cannot be searched, flags that contradict a search, a missing package.
    """
    if args.tune is None:
        return None
    if importlib.util.find_spec("optuna") is None:
        raise UserError("--tune needs the package optuna", fix="pip install 'hf_ext[tune]'")
    _check_flags(args)
    search = Search(command, argv, args)
    search.check_folder()
    args.do_predict, args.push_to_hub, args.resume_from_checkpoint = False, False, None
    return search


def _check_flags(args: ExtTrainingArguments) -> None:
    if args.world_size > 1:
        raise UserError("--tune runs its trials in one process", fix="start it without torchrun")
    if not (args.do_train and args.do_eval):
        raise UserError("--tune trains, and judges by the validation rows", fix="add --do_train --do_eval")
    if args.tune_thresholds:
        fix = "leave it out, and give it to the run with best.yaml"
        raise UserError("--tune judges by labels that hold from 0.5 on, not by --tune_thresholds", fix=fix)
    if args.resume_from_checkpoint not in (None, True):
        raise UserError("a search goes on from its study, not from a checkpoint", fix="--resume_from_checkpoint last")


class Search:
    """A search for the flags that do best on the validation rows.

    Args:
        command: Which command it is.
        argv: The words of its command line.
        args: Its training arguments.

    Raises:
        UserError: For a space that cannot be searched.
    """

    def __init__(self, command: CommandLine, argv: Sequence[str], args: ExtTrainingArguments) -> None:
        self.command, self.args, self.parser = command, args, command.parser()
        given = self.parser.read_given(argv)
        self.given = {name: value for name, value in given.items() if name not in SEARCH_FLAGS}
        self.space = read_space(Path(str(args.tune)), self.parser, self.given)
        self.output = Path(args.output_dir or ".")
        self.folder = self.output / FOLDER
        self.resumes = bool(args.resume_from_checkpoint)

    def check_folder(self) -> None:
        """Refuse to search where another search has left its study, unless this one goes on with it.

        Raises:
            UserError: If there is a study and this is to be a new search, or none and one is to go on.
        """
        found = (self.folder / STUDY_FILE).exists()
        if found and not self.resumes and not self.args.overwrite_output_dir:
            raise UserError(
                "the output folder already holds a search",
                where=str(self.folder),
                fix="go on with --resume_from_checkpoint last, replace it with --overwrite_output_dir, or name another "
                "--output_dir",
            )
        if self.resumes and not found and not self.args.resume_or_start:
            fix = "leave out --resume_from_checkpoint to start anew"
            raise UserError("no search to go on with", where=str(self.folder), fix=fix)

    def run(self, trainer: Trainer, build: Build, *, metric: str) -> dict[str, Any]:
        """Run the trials that are missing, and write what came of all.

        Args:
            trainer: Of the run: its data, collator, metric and callbacks are those of each trial.
            build: Builds the model of a run from its model and training arguments.
            metric: What is judged by where ``metric_for_best_model`` is unset, without ``eval_``.

        Returns:
            ``{"tune": {...}}``: the best figure of the metric by its name, the number of its trial, how many count.

        Raises:
            UserError: If the study is of another search, or no trial has given a figure.
        """
        import optuna

        metric = (self.args.metric_for_best_model or metric).removeprefix("eval_")
        better = self.args.greater_is_better if self.args.metric_for_best_model else greater_is_better(metric)
        if not self.resumes:
            shutil.rmtree(self.folder, ignore_errors=True)
        settings = study_settings(
            self.folder / STUDY_FILE,
            direction="maximize" if better else "minimize",
            pruning=self.args.tune_pruning,
        )
        study = optuna.create_study(**settings)
        self._compare(study, metric)
        killed = close_killed_trials(study)
        if killed:
            logger.info("%d trial(s) of this search had been cut off and are run again.", killed)
        results = SearchResults(study, self.output, self.folder, metric=metric, trials=self.args.tune_trials)
        trials = TrialSettings(self.parser, self.given, self.space, args=self.args, build=build)

        def build_model(trial: Any) -> Any:
            results.tidy()
            return trials.build_model(trial)

        missing = self.args.tune_trials - len(counted_trials(study))
        trainer.model_init = build_model
        if missing > 0:
            with blame_run(), _without_best(results):
                trainer.hyperparameter_search(
                    trials.give_arguments,
                    lambda metrics: judge(metrics, metric),
                    n_trials=missing,
                    backend="optuna",
                    hp_name=trial_folder,
                    timeout=self.args.tune_timeout,
                    catch=FAULTS,
                    gc_after_trial=True,
                    **settings,
                )
        results.tidy()
        results.write(self.given, self.space)
        sys.stdout.write(results.describe(self.space, call=self.command.call()))
        return {"tune": results.figures()}

    def _compare(self, study: Any, metric: str) -> None:
        """Refuse to go on with a search whose trials were run with other settings.

        Raises:
            UserError: Naming the first setting that differs.
        """
        settings = {**self.given, "metric": metric, "seed": self.args.seed}
        now = {**settings, **{name: str(part) for name, part in self.space.items()}}
        now = {name: str(value) for name, value in now.items()}
        before = study.user_attrs.get(RECORD, now)
        changed = sorted(name for name in {*now, *before} if now.get(name) != before.get(name))
        if changed and self.args.resume_changed_run:
            logger.warning("Of the search that goes on other %s were asked for before.", ", ".join(changed))
        elif changed:
            name = changed[0]
            raise UserError(
                f"the search was begun with {name} {before.get(name, 'unset')}, not {now.get(name, 'unset')}",
                where=str(self.folder),
                fix="go on with the same flags and space; --resume_changed_run goes on all the same",
            )
        study.set_user_attr(RECORD, now)


@contextmanager
def _without_best(results: SearchResults) -> Iterator[None]:
    """Go on where Trainer asks for the best of trials of which none was finished; the results say what it was."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, UserError) or results.best is not None or results.broke_off:
            raise


def trial_folder(trial: Any) -> str:
    """Name the folder of a trial below the output folder."""
    return f"{FOLDER}/trial-{trial.number}"


def judge(metrics: Mapping[str, float], metric: str) -> float:
    """Take the figure that counts out of an evaluation; NaN where these rows and answers have none."""
    return float(metrics.get(f"eval_{metric}", math.nan))
