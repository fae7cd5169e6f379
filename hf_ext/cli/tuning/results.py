"""What a search leaves behind: trials.csv, tune.png, best.yaml, and the figures of the best trial."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hf_ext.cli.tuning.trial_settings import with_values
from hf_ext.errors import UserError
from hf_ext.evaluation.csv_tables import csv_table
from hf_ext.evaluation.reports import summary_table, write_atomically
from hf_ext.report.house_style import has_matplotlib, save_picture
from hf_ext.training.lora.merging import ADAPTER_FOLDER
from hf_ext.training.tuning.space import SearchSpace
from hf_ext.training.tuning.study import counted_trials
from hf_ext.training.tuning.trial_run import FAULT, METRICS

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

TRIALS, PICTURE, BEST = "trials.csv", "tune.png", "best.yaml"
SHOWN = 5  # trials in the table on the screen
STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
CUT_OFF = "cut off"


class SearchResults:
    """The trials of a study as files and tables.

    Args:
        study: The study.
        output: Output folder.
        folder: Its folder of the search, where each trial has a folder while it runs.
        metric: What is judged by, without ``eval_``.
        trials: How many trials the search has.
    """

    def __init__(self, study: optuna.Study, output: Path, folder: Path, *, metric: str, trials: int) -> None:
        self.study, self.output, self.folder, self.metric, self.trials = study, output, folder, metric, trials
        self.files: dict[str, Path] = {}
        self._told = len(study.get_trials(deepcopy=False))

    def tidy(self) -> None:
        """Say how the trials went that have ended since, and remove their folders but the best one's results."""
        trials = self.study.get_trials(deepcopy=False)
        ended = [trial for trial in trials[self._told :] if trial.state.is_finished()]
        for trial in ended:
            logger.info("Trial %d, %d of %d: %s.", trial.number, self._place(trial), self.trials, self._tell(trial))
        self._told += len(ended)
        best = self.best
        for folder in self.folder.glob("trial-*"):
            if best is None or folder.name != f"trial-{best.number}":
                shutil.rmtree(folder, ignore_errors=True)
        if best is not None:
            self._keep_results(best)

    def write(self, given: Mapping[str, Any], space: SearchSpace) -> None:
        """Write the table of all trials, the settings of the best one, and a picture.

        Raises:
            UserError: If no trial has given a figure, with what ended the last one.
        """
        header, rows = self._rows(space)
        self.files[TRIALS] = write_atomically(self.output / TRIALS, csv_table(header, rows))
        best = self.best
        if best is None:
            faults = [trial.user_attrs[FAULT] for trial in counted_trials(self.study) if FAULT in trial.user_attrs]
            what = f"no trial has given a figure ({faults[-1]})" if faults else "no trial has been finished"
            raise UserError(what, where=str(self.output / TRIALS), fix="correct the space, or the flags beside it")
        settings = {**with_values(given, best.params), "output_dir": str(self.output / "best")}
        title = f"# the best of {len(counted_trials(self.study))} trials: {self.metric} {best.value:.6g} on the "
        text = title + f"validation rows (trial {best.number})\n"
        text += yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        self.files[BEST] = write_atomically(self.output / BEST, text)
        self._draw()

    def figures(self) -> dict[str, Any]:
        """Give the best figure by its name, the number of its trial, and how many trials count."""
        best = self.study.best_trial
        return {self.metric: best.value, "trial": best.number, "trials": len(counted_trials(self.study))}

    def describe(self, space: SearchSpace, *, call: str) -> str:
        """Lay out the best trials, the files, and the command that trains with the best settings.

        Args:
            space: What was searched.
            call: How the command is called.
        """
        header, rows = self._rows(space)
        place = header.index(self.metric)
        sign = -1 if self.study.direction.name == "MAXIMIZE" else 1
        finished = [row for row in rows if row[1] == STATES["COMPLETE"]]
        best = sorted(finished, key=lambda row: sign * row[place])[:SHOWN]
        shown = [i for i, name in enumerate(header) if name not in ("state", FAULT)]
        table = [[header[i] for i in shown], *([_short(row[i]) for i in shown] for row in best)]
        files = [[name, str(path)] for name, path in self.files.items()]
        files.append(["train with it", f"{call} {self.files[BEST]}"])
        return f"\n{summary_table(table)}\n\n{summary_table(files)}\n"

    @property
    def broke_off(self) -> bool:
        """Whether the last trial was ended by something else than its values."""
        counted = {trial.number for trial in counted_trials(self.study)}
        return any(trial.number not in counted for trial in self.study.get_trials(deepcopy=False)[-1:])

    @property
    def best(self) -> optuna.trial.FrozenTrial | None:
        """The best of the trials that were finished; None without one."""
        try:
            return self.study.best_trial
        except ValueError:  # none is finished
            return None

    def _rows(self, space: SearchSpace) -> tuple[list[str], list[list[Any]]]:
        counted = {trial.number for trial in counted_trials(self.study)}
        header = ["trial", "state", self.metric, "seconds", *space, FAULT]
        rows = []
        for trial in self.study.get_trials(deepcopy=False):
            state = STATES.get(trial.state.name, trial.state.name)
            state = state if trial.number in counted else CUT_OFF
            value = trial.value if trial.value is None or trial.number in counted else None
            values = [trial.params.get(name) for name in space]
            rows.append([trial.number, state, value, _seconds(trial), *values, trial.user_attrs.get(FAULT, "")])
        return header, rows

    def _draw(self) -> None:
        if not has_matplotlib():
            logger.info("No picture without matplotlib: pip install hf_ext[plots] brings it.")
            return
        from hf_ext.report.trials import draw_trials

        points = [
            (trial.number, trial.value, trial.state.name == "COMPLETE")
            for trial in counted_trials(self.study)
            if trial.value is not None
        ]
        picture = draw_trials(points, self.metric, greater_is_better=self.study.direction.name == "MAXIMIZE")
        self.files[PICTURE] = save_picture(picture, self.output / PICTURE)

    def _keep_results(self, best: optuna.trial.FrozenTrial) -> None:
        folder = self.folder / f"trial-{best.number}"
        folder.mkdir(parents=True, exist_ok=True)
        for weights in (*folder.glob("checkpoint-*"), folder / ADAPTER_FOLDER):
            shutil.rmtree(weights, ignore_errors=True)
        figures = json.dumps(best.user_attrs.get(METRICS, {}), indent=4, sort_keys=True)
        write_atomically(folder / "eval_results.json", figures)

    def _place(self, trial: optuna.trial.FrozenTrial) -> int:
        return len(counted_trials(self.study, before=trial.number + 1))

    def _tell(self, trial: optuna.trial.FrozenTrial) -> str:
        state = STATES.get(trial.state.name, trial.state.name)
        figure = f"{self.metric} {trial.value:.4f}" if state == STATES["COMPLETE"] else state
        fault = f" ({trial.user_attrs[FAULT]})" if FAULT in trial.user_attrs else ""
        values = ", ".join(f"{name} {_short(value)}" for name, value in trial.params.items())
        return f"{figure}{fault} in {_seconds(trial) or 0:.0f} s with {values}"


def _seconds(trial: optuna.trial.FrozenTrial) -> float | None:
    return None if trial.duration is None else round(trial.duration.total_seconds(), 1)


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
