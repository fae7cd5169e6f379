"""Trials of Trainer's own search: each is the run that its settings give alone."""

from __future__ import annotations

import pytest
import torch
from transformers import TrainingArguments, set_seed

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.tuning.trial_run import FAULT, METRICS, TrialWatch, with_values

optuna = pytest.importorskip("optuna")

# what an optimizer, an average, an attack or a callback that outlived its trial would give away
VALUES = [
    {"learning_rate": 1e-2, "ema_decay": 0.5, "adversarial": "fgm", "layerwise_lr_decay": 0.5},
    {"learning_rate": 3e-3, "early_stopping_patience": 1, "per_device_train_batch_size": 2, "weight_decay": 0.3},
    {"learning_rate": 5e-2, "gradient_accumulation_steps": 2, "loss": "focal", "head_learning_rate": 1e-3},
    {"learning_rate": 1e-3, "rdrop_alpha": 1.0, "warmup_steps": 0.5, "adversarial": "awp"},
]


def build_model(trial=None):
    from training.training_models import SIZES
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(**SIZES))


def settings(folder, **changes):
    common = {"eval_strategy": "epoch", "save_strategy": "no", "num_train_epochs": 2, "report_to": []}
    common |= {"metric_for_best_model": "loss", "disable_tqdm": True, "warmup_steps": 0}
    return ExtTrainingArguments(output_dir=str(folder), **{**common, **changes})


def search(folder, rows, values, **options):
    trainer = ExtTrainer(model_init=build_model, args=settings(folder), train_dataset=rows, eval_dataset=rows)

    def space(trial):
        trial.suggest_int("place", trial.number, trial.number)
        return values[trial.number]

    studies = []
    kept = optuna.create_study

    def create_study(**kwargs):
        studies.append(kept(**kwargs))
        return studies[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optuna, "create_study", create_study)
        trainer.hyperparameter_search(
            space, lambda metrics: metrics["eval_loss"], n_trials=len(values), backend="optuna", **options
        )
    return studies[0].trials


def run_alone(folder, rows, values):
    args = settings(folder, **values)
    set_seed(args.seed)
    trainer = ExtTrainer(model=build_model(), args=args, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    return trainer.evaluate()


@pytest.mark.slow
def test_a_trial_gives_what_its_settings_give_alone(rows, tmp_path):
    trials = search(tmp_path / "search", rows, VALUES)
    for trial, values in zip(trials, VALUES, strict=True):
        alone = run_alone(tmp_path / f"alone-{trial.number}", rows, values)
        assert trial.value == alone["eval_loss"], values
        assert trial.user_attrs[METRICS]["eval_loss"] == alone["eval_loss"]


def test_a_trial_that_fails_leaves_no_trace_in_the_next_one(rows, tmp_path, monkeypatch):
    values = [{"learning_rate": 1e-2, "adversarial": "fgm"}, {"learning_rate": 1e-2}]
    watch = TrialWatch.on_evaluate

    def fail_first(self, *args, **kwargs):
        if self.trial.number == 0:
            raise UserError("no such thing")
        return watch(self, *args, **kwargs)

    monkeypatch.setattr(TrialWatch, "on_evaluate", fail_first)
    failed, finished = search(tmp_path / "search", rows, values, catch=(UserError,))
    assert failed.state.name == "FAIL"
    assert failed.user_attrs[FAULT] == "no such thing"
    assert finished.value == run_alone(tmp_path / "alone", rows, values[1])["eval_loss"]


def test_trials_have_folders_of_their_own(rows, tmp_path):
    values = [{"save_strategy": "epoch"}, {}]
    search(tmp_path, rows, values, hp_name=lambda trial: f"trial-{trial.number}")
    assert list((tmp_path / "trial-0").glob("checkpoint-*"))
    assert not list(tmp_path.glob("checkpoint-*"))
    assert (tmp_path / "trial-1" / "train_log.jsonl").is_file()


def test_a_figure_that_is_not_defined_is_a_fault(rows, tmp_path):
    trainer = ExtTrainer(
        model_init=build_model, args=settings(tmp_path, num_train_epochs=1), train_dataset=rows, eval_dataset=rows
    )
    with pytest.raises(UserError, match="no figure to judge by"):
        trainer.hyperparameter_search(lambda trial: {}, lambda metrics: float("nan"), n_trials=1, backend="optuna")


def test_trials_of_another_backend_are_refused(rows, tmp_path):
    trainer = ExtTrainer(model_init=build_model, args=settings(tmp_path), train_dataset=rows, eval_dataset=rows)
    with pytest.raises(ValueError, match="those of optuna"):
        trainer.train(trial={"learning_rate": 1e-3})


# --- evaluations -----------------------------------------------------------------------------------------------------


class Searching:
    """A trainer as far as a watch knows it."""

    def compute_objective(self, metrics):
        return metrics["eval_f1"]


def test_a_trial_below_the_median_is_told_to_stop():
    from transformers import TrainerControl

    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    for best in (0.8, 0.9, 0.3):
        trial = study.ask()
        watch, control = TrialWatch(Searching(), trial), TrainerControl()
        for figure in (best - 0.2, float("nan"), best):
            watch.on_evaluate(None, None, control, metrics={"eval_f1": figure})
        assert watch.pruned == control.should_training_stop == (best == 0.3)
        study.tell(trial, best)
    assert study.trials[0].intermediate_values == {1: pytest.approx(0.6), 3: pytest.approx(0.8)}


# --- arguments -------------------------------------------------------------------------------------------------------


def test_values_keep_their_type(tmp_path):
    args = settings(tmp_path)
    changed = with_values(args, {"warmup_steps": 0.25, "adversarial": "fgm", "ema_decay": None})
    assert (changed.warmup_steps, changed.adversarial, changed.ema_decay) == (0.25, "fgm", None)
    assert (args.warmup_steps, args.adversarial) == (0, "none")


def test_values_that_no_run_could_have_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no such method"):
        with_values(settings(tmp_path), {"adversarial": "fgn"})
    with pytest.raises(ValueError, match="has no learning_rat"):
        with_values(settings(tmp_path), {"learning_rat": 1})
    assert with_values(TrainingArguments(output_dir=str(tmp_path)), {"learning_rate": 1.0}).learning_rate == 1


def test_the_random_state_at_the_start_is_that_of_the_seed(rows, tmp_path):
    search(tmp_path, rows, [{"num_train_epochs": 1}])
    torch.manual_seed(0)  # whatever the search has left
    first = run_alone(tmp_path / "a", rows, {"num_train_epochs": 1})["eval_loss"]
    torch.manual_seed(1)
    assert run_alone(tmp_path / "b", rows, {"num_train_epochs": 1})["eval_loss"] == first
