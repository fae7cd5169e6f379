"""What may be tried: choices and ranges, asked of a trial."""

from __future__ import annotations

import pytest

from hf_ext.training.tuning.space import Choices, NumberRange, suggest_values

optuna = pytest.importorskip("optuna")


def trial_with(**values):
    return optuna.trial.FixedTrial(values)


@pytest.mark.parametrize("values", [(1, 2), ("a", None), (True, 1), (0.1,)])
def test_choices_are_given_as_they_were_written(values):
    for value in values:
        given = Choices(values).suggest(trial_with(x=value), "x")
        assert given == value
        assert type(given) is type(value)


def test_a_range_of_whole_numbers_gives_whole_numbers():
    assert NumberRange(1, 4).whole
    assert NumberRange(2, 8, step=2).whole
    assert not NumberRange(1, 4.0).whole
    assert not NumberRange(1, 4, step=0.5).whole


@pytest.mark.parametrize(
    ("part", "allowed"),
    [
        (NumberRange(1, 3), {1, 2, 3}),
        (NumberRange(2, 6, step=2), {2, 4, 6}),
        (NumberRange(0.0, 0.3, step=0.1), {0.0, 0.1, 0.2, 0.3}),
        (Choices(("a", "b")), {"a", "b"}),
    ],
)
def test_everything_allowed_is_tried_and_nothing_else(part, allowed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = {part.suggest(study.ask(), "x") for _ in range(60)}
    assert {round(value, 9) if isinstance(value, float) else value for value in found} == allowed


def test_a_logarithmic_range_draws_each_power_of_ten_alike():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = [NumberRange(1e-5, 1e-1, log=True).suggest(study.ask(), "x") for _ in range(400)]
    assert min(found) >= 1e-5
    assert max(found) <= 1e-1
    for power in range(-5, -1):
        assert 70 < sum(10**power <= value < 10 ** (power + 1) for value in found) < 130


def test_asked_again_a_trial_gives_the_same_values():
    space = {"a": NumberRange(0.0, 1.0), "b": Choices((1, 2, 3))}
    trial = optuna.create_study().ask()
    assert suggest_values(space, trial) == suggest_values(space, trial) == trial.params


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choices(()), "nothing to choose"),
        (lambda: Choices((1, 2, 1)), "1 stands there twice"),
        (lambda: NumberRange(2, 1), "nothing between"),
        (lambda: NumberRange(1, 1), "nothing between"),
        (lambda: NumberRange(float("nan"), 1.0), "nothing between"),
        (lambda: NumberRange(0, 1.0, log=True), "above 0"),
        (lambda: NumberRange(1, 8, log=True, step=2), "contradict"),
        (lambda: NumberRange(1, 3, step=5), "at most 2"),
        (lambda: NumberRange(1, 3, step=0), "above 0"),
    ],
)
def test_what_leaves_no_choice_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
