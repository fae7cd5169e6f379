"""Which parameter learns at which rate, and which of them decay."""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torchcrf import CRF
from transformers import TrainingArguments
from transformers.trainer_utils import SchedulerType

from hf_ext.training.optimization.group_record import GroupRecord
from hf_ext.training.optimization.rate_sections import (
    RATE_FLAGS,
    assign_sections,
    name_sections,
    parameter_names,
    rates_asked,
)

logger = logging.getLogger(__name__)

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _NormBase)
NORM_NAME = re.compile(r"norm(\d+d)?$", re.IGNORECASE)  # the norms that models bring along


def parameter_groups(
    model: nn.Module, args: TrainingArguments, decay_names: list[str], *, base_rate: float | None = None
) -> list[dict[str, Any]]:
    """Sort the parameters that learn into groups of equal rate and equal weight decay.

    The rate of a parameter is that of the first of these that holds: the first expression of
    ``learning_rate_mapping`` found in its name; in a CRF, ``crf_learning_rate``; outside the encoder,
    ``head_learning_rate``; in layer ``i`` of ``L``, ``learning_rate * layerwise_lr_decay ** (L - 1 - i)``, and
    ``learning_rate * layerwise_lr_decay ** L`` in the embeddings (discriminative fine-tuning, Howard & Ruder, 2018,
    arXiv:1801.06146, section 3.1, where the decay is 1 / 2.6); else ``learning_rate``, as for pooling layers, a last
    norm, and tables of relative positions, which every layer reads. Layers that a family applies several times count
    once; an encoder without layers counts all above its embeddings as one.

    Biases, the weights of norms of any kind and the transitions of a CRF do not decay.

    Without any rate asked for, the groups are the two of Trainer, even if one is empty or both are equal, so that
    either's checkpoints can be resumed by the other.

    Args:
        model: The model as it is trained: bare, with an adapter, compiled or wrapped.
        args: Training arguments; plain ones ask for no rate.
        decay_names: What decays by Trainer's rules (``get_decay_parameter_names``), of which we take out more.
        base_rate: Rate to use in place of ``args.learning_rate``.

    Returns:
        Groups with ``params``, ``lr``, ``weight_decay`` and ``name``, the group of the base rate first; every
        parameter that requires a gradient is in exactly one, tied ones once. With ``L`` layers at most
        ``2 (L + 2)``, and two for each expression and for a CRF with a rate of its own.

    Raises:
        UserError: If a rate is asked for that no parameter would learn at.
    """
    base = args.learning_rate if base_rate is None else base_rate
    asked = bool(rates_asked(args))
    sections = assign_sections(model, args, base)
    names = name_sections(sections.values())
    decaying, exempt = set(decay_names), _exempt_from_decay(model)
    found: dict[tuple, list[nn.Parameter]] = {} if asked else {(base, True, None): [], (base, False, None): []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = name in decaying and id(parameter) not in exempt and not (asked and args.weight_decay == 0)
            # tensors of different device meshes cannot share a fused step; Trainer splits its own groups likewise
            key = (sections[id(parameter)].rate, decays, getattr(parameter, "device_mesh", None))
            found.setdefault(key, []).append(parameter)
    has_twin = {rate for rate, decays, _ in found if decays}
    order = [base, *(rate for rate in names if rate != base)]
    return [
        {
            "params": parameters,
            "lr": rate,
            "weight_decay": args.weight_decay if decays else 0.0,
            "name": names.get(rate, "model") + (", no decay" if rate in has_twin and not decays else ""),
        }
        for (rate, decays, _), parameters in sorted(
            found.items(), key=lambda item: (order.index(item[0][0]), not item[0][1])
        )
    ]


@contextmanager
def grouped_parameters(trainer: Any, model: nn.Module | None = None) -> Iterator[None]:
    """Have Trainer's own ``create_optimizer`` use our groups, and keep and show a ``GroupRecord`` of them.

    Optimizers that choose their parameters themselves (Muon, GaLore, LOMO, one given to the constructor) are left
    alone, and so are those whose rate is not a plain number.

    Args:
        trainer: Whose ``group_record`` is set, unless plain TrainingArguments ask for nothing of ours.
        model: What Trainer makes the optimizer for; its ``model`` when unset.

    Raises:
        ValueError: If rates are asked for that such an optimizer would not use.
    """
    asked = rates_asked(trainer.args)
    if trainer.optimizer is not None:  # given by the user, or ours from an earlier call of train()
        if trainer.group_record is None:
            _refuse(asked, "The optimizer given to the trainer")
        yield
        return
    chosen = trainer.model if model is None else model
    given = trainer.optimizer_cls_and_kwargs
    optimizer, options = given or trainer.get_optimizer_cls_and_kwargs(trainer.args, chosen)
    options = dict(options)  # Trainer takes things out of it
    if _takes_groups(optimizer, options):
        options["params"] = _groups_for(trainer, chosen, starting_rate=_starting_rate(optimizer, options))
    else:
        _refuse(asked, f"{getattr(optimizer, '__name__', optimizer)} (--optim {trainer.args.optim})")
    trainer.optimizer_cls_and_kwargs = (optimizer, options)
    try:
        yield
    finally:
        trainer.optimizer_cls_and_kwargs = given


def settle_min_lr(args: Any) -> None:
    """Turn ``min_lr_ratio`` into the scheduler of transformers that ends above zero.

    With ``n`` steps after ``w`` of warmup every group's rate is ``start * (r + (1 - r) * (1 + cos(pi * t)) / 2)`` at
    ``t = (step - w) / n``: it falls to ``r`` times its own start.

    Raises:
        ValueError: If another schedule, or another floor, is asked for as well.
    """
    if args.min_lr_ratio is None:
        return
    kind = SchedulerType(args.lr_scheduler_type)
    if kind not in (SchedulerType.COSINE, SchedulerType.COSINE_WITH_MIN_LR):
        raise ValueError(f"--min_lr_ratio is the floor of a cosine: add --lr_scheduler_type cosine, not {kind.value}.")
    given = args.lr_scheduler_kwargs or {}
    options = dict(json.loads(given) if isinstance(given, str) else given)
    floor = {"min_lr_rate": args.min_lr_ratio}
    if options.get("min_lr") is not None or options.get("min_lr_rate", args.min_lr_ratio) != args.min_lr_ratio:
        raise ValueError("--min_lr_ratio and --lr_scheduler_kwargs both give a floor; leave one of them out.")
    args.lr_scheduler_type = SchedulerType.COSINE_WITH_MIN_LR
    args.lr_scheduler_kwargs = {**options, **floor}


def _groups_for(trainer: Any, model: nn.Module, *, starting_rate: float | None) -> list[dict[str, Any]]:
    if starting_rate is None:
        _refuse(rates_asked(trainer.args), "An optimizer without a plain number for its learning rate")
    decay_names = trainer.get_decay_parameter_names(model)
    groups = parameter_groups(model, trainer.args, decay_names, base_rate=starting_rate)
    if starting_rate is None:
        return [{key: value for key, value in group.items() if key != "lr"} for group in groups]
    if hasattr(trainer.args, RATE_FLAGS[0]):
        trainer.group_record = GroupRecord(groups, parameter_names(model))
        if trainer.is_world_process_zero():
            logger.info("The optimizer's groups:\n%s", trainer.group_record.table())
    return groups


def _takes_groups(optimizer: Any, options: Mapping[str, Any]) -> bool:
    is_class = isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer)
    return is_class and not {"params", "model", "optimizer_dict"} & set(options)


def _starting_rate(optimizer: Any, options: Mapping[str, Any]) -> float | None:
    """Find the rate at which an optimizer would start, which for a class given by the user may be its default."""
    default = inspect.signature(optimizer).parameters.get("lr")
    rate = options.get("lr", default.default if default is not None else None)
    return rate if isinstance(rate, (int, float)) else None


def _exempt_from_decay(model: nn.Module) -> set[int]:
    """Collect biases, what belongs to a norm, and the transitions of a CRF, by identity."""
    return {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if "bias" in name or isinstance(module, (*NORMS, CRF)) or NORM_NAME.search(type(module).__name__)
    }


def _refuse(asked: list[str], what: str) -> None:
    if asked:
        raise ValueError(f"{what} chooses its parameters and rates itself; leave out {', '.join(asked)}.")
