"""The memory of a search: a file of trials that a search which was killed goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ext.training.tuning.space import SearchSpace, Value, suggest_values
from hf_ext.training.tuning.trial_run import FAULT

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "tune"
STARTUP_TRIALS = 10  # drawn by chance before the sampler learns from them
UNPRUNED_TRIALS = 5
BIGGEST_SEED = 2**32


def study_settings(path: Path, *, direction: str, pruning: bool) -> dict[str, Any]:
    """Give what ``optuna.create_study`` makes or loads the study of a file from; Trainer hands it on.

    Args:
        path: The SQLite file; it is made where it is missing.
        direction: ``maximize`` or ``minimize``.
        pruning: Whether trials below the median are ended early.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # of a trial that fails it would show the traceback
    path.parent.mkdir(parents=True, exist_ok=True)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS) if pruning else optuna.pruners.NopPruner()
    return {
        "storage": optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}"),
        "study_name": STUDY_NAME,
        "direction": direction,
        "sampler": _sampler(0),  # every trial gets one of its own, see ``suggest_seeded``
        "pruner": pruner,
        "load_if_exists": True,
    }


def close_killed_trials(study: optuna.Study) -> int:
    """Mark the trials that were running when the search was killed as failed; give how many there were."""
    from optuna.trial import TrialState

    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        study.tell(trial.number, state=TrialState.FAIL)
    return len(running)


def counted_trials(study: optuna.Study, *, before: int | None = None) -> list[optuna.trial.FrozenTrial]:
    """Give the trials that need not be run again: finished, pruned, or failed by their own values.

    A trial that was killed is none of them.

    Args:
        study: The study.
        before: Only those with a smaller number.
    """
    from optuna.trial import TrialState

    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    trials = study.get_trials(deepcopy=False)[:before]
    return [trial for trial in trials if trial.state in ended or (FAULT in trial.user_attrs)]


def suggest_seeded(space: SearchSpace, trial: optuna.Trial, *, seed: int) -> dict[str, Value]:
    """Ask a trial for its values such that they depend on nothing but the seed and the trials that count before it.

    A study keeps its trials but not the state of its sampler. So every trial gets a sampler of its own, seeded by its
    place among the trials that count: a search that is killed and goes on tries what it would have tried anyway, and
    the trial that takes the place of a killed one has its values.

    The sampler is TPE, which models the values of good and of bad trials apart and takes what is likelier among the
    good (Bergstra et al., 2011, "Algorithms for Hyper-Parameter Optimization"), each flag by itself; the first ten
    trials are drawn by chance.

    Args:
        space: What may be tried.
        trial: The trial.
        seed: Of the search.
    """
    study = trial.study
    place = len(counted_trials(study, before=trial.number))
    study.sampler = _sampler(seed + place)
    return suggest_values(space, trial)


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(
        n_startup_trials=STARTUP_TRIALS, multivariate=False, constant_liar=False, seed=seed % BIGGEST_SEED
    )
