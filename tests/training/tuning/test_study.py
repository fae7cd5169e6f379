"""A study that was killed goes on as if it had not been."""

from __future__ import annotations

import pytest

from hf_ext.training.tuning.space import Choices, NumberRange
from hf_ext.training.tuning.study import close_killed_trials, counted_trials, study_settings, suggest_seeded
from hf_ext.training.tuning.trial_run import FAULT

optuna = pytest.importorskip("optuna")

SPACE = {"x": NumberRange(-3.0, 3.0), "y": NumberRange(1e-4, 1.0, log=True), "z": Choices(("a", "b", None))}
TRIALS = 13  # three more than are drawn by chance


class KilledError(BaseException):
    """No Exception: optuna leaves the trial as it was, as a killed process does."""


def open_study(path, **changes):
    return optuna.create_study(**study_settings(path, **{"direction": "maximize", "pruning": False, **changes}))


def search(path, trials: int, *, dies_in: int | None = None, fails_in: int | None = None) -> list[dict]:
    """Search for the top of a hill; give the values of the trials that count."""
    study = open_study(path)
    close_killed_trials(study)

    def climb(trial):
        values = suggest_seeded(SPACE, trial, seed=3)
        if trial.number == dies_in:
            raise KilledError
        if trial.number == fails_in:
            trial.set_user_attr(FAULT, "no room")
            raise ValueError
        return -((values["x"] - 1) ** 2) - values["y"] + (values["z"] == "b")

    try:
        study.optimize(climb, n_trials=trials - len(counted_trials(study)), catch=(ValueError,))
    except KilledError:
        return []
    return [trial.params for trial in counted_trials(study)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return search(tmp_path_factory.mktemp("study") / "study.db", TRIALS)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [1, 11])
def test_a_killed_search_tries_what_it_would_have_tried(undisturbed, tmp_path, killed):
    path = tmp_path / "study.db"
    search(path, TRIALS, dies_in=killed)
    assert search(path, TRIALS) == undisturbed
    states = [trial.state.name for trial in open_study(path).get_trials()]
    assert states.count("FAIL") == 1
    assert states[killed] == "FAIL"


def test_a_search_that_asks_for_more_later_goes_on_where_it_was(undisturbed, tmp_path):
    path = tmp_path / "study.db"
    assert search(path, 7) == undisturbed[:7]
    assert search(path, TRIALS) == undisturbed


def test_a_trial_that_failed_by_its_values_counts_and_is_not_run_again(tmp_path):
    path = tmp_path / "study.db"
    first = search(path, 3, fails_in=1)
    assert len(first) == 3
    assert search(path, 3) == first
    assert len(open_study(path).get_trials()) == 3


def test_another_seed_tries_other_values(tmp_path):
    one, other = (open_study(tmp_path / f"{name}.db").ask() for name in "ab")
    assert suggest_seeded(SPACE, one, seed=1) != suggest_seeded(SPACE, other, seed=2)


def test_it_learns_where_the_hill_is(undisturbed):
    early, late = (
        sum(abs(values["x"] - 1) for values in part) / len(part) for part in (undisturbed[:10], undisturbed[10:])
    )
    assert late < early


def test_only_the_median_prunes_and_only_if_asked_for(tmp_path):
    assert isinstance(open_study(tmp_path / "a.db").pruner, optuna.pruners.NopPruner)
    assert isinstance(open_study(tmp_path / "b.db", pruning=True).pruner, optuna.pruners.MedianPruner)
