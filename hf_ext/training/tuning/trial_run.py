"""One trial of a search: a run of its own, with nothing in it that was made for another."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    enable_full_determinism,
    set_seed,
)
from transformers.trainer_utils import HPSearchBackend

from hf_ext.errors import UserError
from hf_ext.training.argument_groups import ARGUMENT_GROUPS
from hf_ext.training.lora.merging import merge_lora

if TYPE_CHECKING:
    import optuna

FAULT, METRICS = "fault", "metrics"  # attributes of a trial: why it gave no figure; all figures that it gave
FAULTS = (UserError, torch.OutOfMemoryError)  # what its values may be to blame for


def run_trial(trainer: Any, trial: optuna.Trial) -> Any:
    """Train and judge one trial, as a run by itself with the same arguments and the same seed would.

    Trainer writes the values of a trial into its arguments and goes on with what it has made of those of the trial
    before. Here every trial gets a trainer of its own, so that its optimizer, average, attack, loss and callbacks are
    made from its own values. It is judged by an evaluation after the training: by the weights that would be saved.

    Args:
        trainer: An ``ExtTrainer`` with a ``model_init``, within ``hyperparameter_search``. ``model_init`` is called
            before ``hp_space``, both with the trial.
        trial: Of optuna. It keeps its figures as its attribute ``metrics``, or what ended it as ``fault``.

    Returns:
        What ``train`` of the trial's trainer gives. The figure is in ``trainer.objective``.

    Raises:
        TrialPruned: If the pruner of the study ended it.
        ValueError: For values that the arguments refuse, and for trials of another backend.
    """
    if trainer.hp_search_backend != HPSearchBackend.OPTUNA:
        raise ValueError(f"trials are those of optuna, not of {trainer.hp_search_backend}.")
    trainer.model = trainer.model_wrapped = None  # makes room
    try:
        own = _build_trainer(trainer, trial)
        watch = TrialWatch(trainer, trial)
        own.add_callback(watch)
        output = own.train()
        own.remove_callback(watch)
        if watch.pruned:
            raise _pruned()
        merge_lora(own)
        metrics = own.evaluate()
        trial.set_user_attr(METRICS, metrics)
        trainer.objective = trainer.compute_objective(metrics)
        if math.isnan(trainer.objective):
            raise UserError("the validation rows give no figure to judge by")
    except FAULTS as error:
        trial.set_user_attr(FAULT, str(error).splitlines()[0])
        raise
    return output


class TrialWatch(TrainerCallback):
    """Tell a study of each evaluation of a trial, and end the trial where its pruner wants that.

    Evaluations are counted from 1, since trials with other batch sizes reach them after other numbers of steps.

    Args:
        trainer: That of the search, which says what of an evaluation counts.
        trial: The trial.
    """

    def __init__(self, trainer: Trainer, trial: optuna.Trial) -> None:
        self.trainer, self.trial = trainer, trial
        self.evaluations = 0
        self.pruned = False

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Report the figure of an evaluation; stop after it if the trial is pruned."""
        self.evaluations += 1
        figure = self.trainer.compute_objective(metrics or {})
        if math.isnan(figure):
            return
        self.trial.report(figure, self.evaluations)
        if self.trial.should_prune():
            self.pruned = control.should_training_stop = True


def _build_trainer(trainer: Any, trial: optuna.Trial) -> Any:
    args = trainer.args
    enable_full_determinism(args.seed) if args.full_determinism else set_seed(args.seed)
    model = trainer.call_model_init(trial)
    args = with_values(args, trainer.hp_space(trial) | {"output_dir": trainer._get_output_dir(trial)})
    return type(trainer)(**trainer.given | {"model": model, "args": args, "model_init": None})


def with_values(args: TrainingArguments, values: Mapping[str, Any]) -> TrainingArguments:
    """Copy training arguments with other values, as they are: Trainer turns each into the type of the one before.

    Raises:
        ValueError: For a name that is no argument, or a value that a group of ours refuses.
    """
    changed = copy.copy(args)
    for name, value in values.items():
        if name not in args.__dataclass_fields__:
            raise ValueError(f"{type(args).__name__} has no {name}.")
        setattr(changed, name, value)
    for group in ARGUMENT_GROUPS:
        if isinstance(changed, group):
            group.__post_init__(changed)
    return changed


def _pruned() -> Exception:
    from optuna import TrialPruned

    return TrialPruned()
