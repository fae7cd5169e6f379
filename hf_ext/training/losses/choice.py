"""Which loss a run has: the model's own, or one of ours by the flags."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.trainer_utils import unwrap_peft_model

from hf_ext.errors import UserError
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from hf_ext.training.arguments import ExtTrainingArguments
from hf_ext.training.losses.class_weights import read_class_weights
from hf_ext.training.losses.item_loss import ItemLoss, LossSettings
from hf_ext.training.losses.problem_types import problem_type_of
from hf_ext.training.losses.registry import LOSSES
from hf_ext.training.losses.train_labels import first_label

DEFAULT_LOSSES = {SINGLE_LABEL: "cross_entropy", MULTI_LABEL: "bce", REGRESSION: "mse"}


def choose_loss(args: TrainingArguments | None, model: Any, train_dataset: Any = None) -> ItemLoss | None:
    """Build the loss that ``--loss``, ``--class_weights`` and ``--label_smoothing_factor`` ask for.

    Args:
        args: Plain ``TrainingArguments`` ask for none.
        model: The bare model.
        train_dataset: Where balanced weights are counted; its first row tells the kind of label if the model does not.

    Returns:
        None if the model's own loss is wanted.

    Raises:
        UserError: If the model or the kind of label does not allow what is asked.
    """
    if not isinstance(args, ExtTrainingArguments):
        return None
    asked = {
        "--loss": args.loss,
        "--class_weights": args.class_weights,
        "--label_smoothing_factor": args.label_smoothing_factor,
    }
    flags = [flag for flag, value in asked.items() if value]
    if not flags:
        return None
    if owns_loss(model):
        raise UserError(
            f"{type(model).__name__} has a loss of its own, which cannot be replaced or weighted",
            fix=f"leave out {' and '.join(flags)}",
        )
    if _shifts_labels(model):
        if flags == ["--label_smoothing_factor"]:
            return None  # Trainer knows how to shift the labels
        raise UserError(f"{' and '.join(flags)} is not for causal language models", fix="leave it out")
    problem_type = problem_type_of(model, first_label(train_dataset))
    if args.label_smoothing_factor and problem_type != SINGLE_LABEL:
        raise UserError("--label_smoothing_factor needs one label a row", fix=f"leave it out for {problem_type}")
    member = find_loss(args.loss or DEFAULT_LOSSES[problem_type], problem_type)
    return member(
        LossSettings(
            class_weights=_weights(args.class_weights, member, model, problem_type, train_dataset),
            label_smoothing=args.label_smoothing_factor,
            focal_gamma=args.focal_gamma,
        )
    )


def install_loss(trainer: Trainer) -> None:
    """Give a trainer the loss that its arguments ask for, and its model the weight of two losses.

    Raises:
        ValueError: If the trainer was built with a ``compute_loss_func`` beside those flags.
    """
    model = unwrap_peft_model(trainer.model)
    set_multitask_alpha(trainer.args, model)
    loss = choose_loss(trainer.args, model, trainer.train_dataset)
    if loss is None:
        return
    if trainer.compute_loss_func is not None:
        raise ValueError("compute_loss_func replaces --loss, --class_weights and --label_smoothing_factor; give one.")
    trainer.compute_loss_func = loss


def find_loss(name: str, problem_type: str) -> type[ItemLoss]:
    """Find the loss of this name for this kind of label.

    Raises:
        UserError: If the name is for other kinds.
    """
    fitting = [known for known, members in LOSSES.items() if any(m.problem_type == problem_type for m in members)]
    if name not in fitting:
        raise UserError(f"--loss {name} does not fit {problem_type}", fix=f"use {', '.join(fitting)}")
    return next(member for member in LOSSES[name] if member.problem_type == problem_type)


def owns_loss(model: nn.Module) -> bool:
    """Tell whether a model's loss is its own business.

    It is if the class says ``owns_loss = True``, if there is a CRF of the package torchcrf inside, or if it weighs two
    losses by ``config.multitask_alpha``.
    """
    if getattr(getattr(model, "config", None), "multitask_alpha", None) is not None:
        return True
    return any(getattr(module, "owns_loss", False) or _is_crf(module) for module in model.modules())


def set_multitask_alpha(args: TrainingArguments, model: PreTrainedModel) -> None:
    """Write ``--multitask_alpha`` where a model with two heads looks for it: ``alpha * first + (1 - alpha) * second``.

    Raises:
        UserError: If the model weighs no two losses.
    """
    alpha = args.multitask_alpha if isinstance(args, ExtTrainingArguments) else None
    if alpha is None:
        return
    config: Any = getattr(model, "config", None)
    if getattr(config, "multitask_alpha", None) is None:
        raise UserError(
            f"--multitask_alpha needs a model with two heads, which {type(model).__name__} is not",
            fix="leave it out, or give run_ner.py sentences with a label (--sentence_label_column_name)",
        )
    config.multitask_alpha = alpha


def _weights(given: str | None, member: type[ItemLoss], model: Any, problem_type: str, train_dataset: Any) -> Any:
    if not given:
        return None
    if not member.takes_class_weights:
        raise UserError(f"--class_weights does not go with {member.__name__} ({problem_type})", fix="leave it out")
    config: Any = getattr(model, "config", None)
    if not hasattr(config, "id2label"):
        raise ValueError(f"--class_weights needs the labels of the model, and {type(model).__name__} has no config.")
    names = [str(config.id2label[i]) for i in range(config.num_labels)]
    return read_class_weights(given, names=names, problem_type=problem_type, train_dataset=train_dataset)


def _shifts_labels(model: nn.Module) -> bool:
    causal = type(model).__name__ in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()  # as Trainer asks when it smooths
    return causal or "CausalLM" in str(getattr(model, "loss_type", ""))


def _is_crf(module: nn.Module) -> bool:
    return any(base.__name__ == "CRF" and base.__module__.split(".")[0] == "torchcrf" for base in type(module).__mro__)
