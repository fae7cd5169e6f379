"""The parts of a model that can learn at rates of their own: embeddings, layers, head, CRF, names by expression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from accelerate.utils import extract_model_from_parallel
from torch import nn
from torchcrf import CRF
from transformers import TrainingArguments
from transformers.trainer_utils import unwrap_peft_model

from hf_ext.errors import UserError, did_you_mean
from hf_ext.models.layers import embedding_weights, layer_stack

RATE_FLAGS = ("head_learning_rate", "crf_learning_rate", "layerwise_lr_decay", "learning_rate_mapping")
# Prefixes that compilation, FSDP and activation checkpointing put into names.
WRAPPED = re.compile(r"(?:^module\.)|(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
RELATIVE_POSITIONS = re.compile(r"(?:^|[._])rel(?:ative)?_")  # read by every layer, so not below the first one
REST = "encoder rest"


@dataclass(frozen=True, order=True)
class Section:
    """A part of a model and the rate at which it learns.

    Args:
        order: Where it stands in tables: embeddings, layers from the lowest, the rest of the encoder, head, CRF, names.
        name: What users read.
        rate: Learning rate at the start.
        of_encoder: Whether it belongs to the encoder.
    """

    order: tuple[int, int]
    name: str
    rate: float
    of_encoder: bool = field(default=False, compare=False)


def assign_sections(model: nn.Module, args: TrainingArguments, base_rate: float) -> dict[int, Section]:
    """Find the section of every parameter that learns, by its identity: names differ between wrappers.

    Args:
        model: The model, wrapped or not.
        args: Training arguments; plain ones ask for no rate.
        base_rate: The rate of all that has none of its own.

    Returns:
        ``id(parameter)`` to section.

    Raises:
        UserError: If a rate is asked for a part that the model does not have.
    """
    _check_whole(model, args)
    bare = bare_module(model)
    base = getattr(bare, "base_model", None)
    encoder = base if isinstance(base, nn.Module) else bare
    head_rate = _given(args, "head_learning_rate")
    crf_rate = _given(args, "crf_learning_rate")
    head = Section((3, 0), "head", base_rate if head_rate is None else head_rate)
    crf = Section((4, 0), "crf", head.rate if crf_rate is None else crf_rate)
    found = {id(weight): head for weight in model.parameters()}
    found.update(_encoder_sections(encoder, base_rate, _given(args, "layerwise_lr_decay")))
    crfs = [module for module in model.modules() if isinstance(module, CRF)]
    found.update({id(weight): crf for module in crfs for weight in module.parameters()})
    if head_rate is not None and encoder is bare:
        what = f"--head_learning_rate: {type(bare).__name__} does not say which part of it is the encoder"
        raise UserError(what, fix="leave it out, or name parts with --learning_rate_mapping")
    if crf_rate is not None and not crfs:
        raise UserError(f"--crf_learning_rate: {type(bare).__name__} has no CRF", fix="leave it out")
    mapping = getattr(args, "learning_rate_mapping", None)
    if mapping:
        found.update(_mapped_sections(_all_names(model), mapping))
    return {id(weight): found[id(weight)] for weight in model.parameters() if weight.requires_grad}


def rates_asked(args: TrainingArguments) -> list[str]:
    """Name the flags that give some parameters a rate of their own; plain TrainingArguments have none."""
    return [f"--{flag}" for flag in RATE_FLAGS if getattr(args, flag, None) is not None]


def name_sections(sections: Iterable[Section]) -> dict[float, str]:
    """Give every rate one name, made of the sections that learn at it.

    Returns:
        Rate to name, in the order of the sections: ``embeddings``, ``layer 0``, ``encoder + head``; ``model`` where
        all learn alike.
    """
    every = sorted(set(sections))
    by_rate: dict[float, list[Section]] = {}
    for section in every:
        by_rate.setdefault(section.rate, []).append(section)
    if len(by_rate) == 1 and len(every) > 1:
        return {every[0].rate: "model"}
    whole = {section for section in every if section.of_encoder}
    return {rate: " + ".join(_join(alike, whole)) for rate, alike in by_rate.items()}


def parameter_names(model: nn.Module) -> dict[int, str]:
    """Name every parameter as the bare model does, by its identity; of a tied one the first name."""
    return {key: names[0] for key, names in _all_names(model).items()}


def bare_module(model: nn.Module) -> nn.Module:
    """Take off what processes, compilation or an adapter wrapped around a model."""
    inner = unwrap_peft_model(extract_model_from_parallel(model, keep_torch_compile=False))
    return inner if inner is model else bare_module(inner)  # in whatever order they lie around it


def _encoder_sections(encoder: nn.Module, rate: float, decay: float | None) -> dict[int, Section]:
    if decay is None:
        whole = Section((2, 0), "encoder", rate, True)
        return {id(weight): whole for weight in encoder.parameters()}
    _, layers = layer_stack(encoder)
    depth = len(layers) or 1  # without layers, all above the embeddings is one
    rest = Section((2, 0), REST, rate, True) if layers else Section((1, 0), "layer 0", rate, True)
    lowest = Section((0, 0), "embeddings", rate * decay**depth, True)
    found = {id(weight): rest for weight in encoder.parameters()}
    embeddings = embedding_weights(encoder)
    found.update({id(embeddings[name]): lowest for name in embeddings if not RELATIVE_POSITIONS.search(name)})
    for index, layer in reversed(list(enumerate(layers))):  # a weight shared by layers learns as the lowest of them
        section = Section((1, index), f"layer {index}", rate * decay ** (depth - 1 - index), True)
        found.update({id(weight): section for weight in layer.parameters()})
    return found


def _mapped_sections(names: Mapping[int, list[str]], mapping: Mapping[str, float]) -> dict[int, Section]:
    found: dict[int, Section] = {}
    for index, (pattern, rate) in enumerate(mapping.items()):
        try:
            expression = re.compile(pattern)
        except re.error as error:
            what = f"--learning_rate_mapping: {pattern!r} is no regular expression ({error})"
            raise UserError(what, fix="put a backslash before characters that stand for themselves") from None
        matched = [key for key, known in names.items() if any(expression.search(name) for name in known)]
        if not matched:
            what = f"--learning_rate_mapping: no parameter that learns has a name with {pattern!r}"
            raise UserError(f"{what}; {did_you_mean(pattern, _parts(names))}", fix="correct or remove the expression")
        section = Section((5, index), f"regex {pattern!r}", rate)
        for key in matched:
            found.setdefault(key, section)
    return found


def _all_names(model: nn.Module) -> dict[int, list[str]]:
    """Collect the names of every parameter that learns, all of them if it is tied."""
    names: dict[int, list[str]] = {}
    for name, weight in bare_module(model).named_parameters(remove_duplicate=False):
        if weight.requires_grad:
            names.setdefault(id(weight), []).append(WRAPPED.sub("", name))
    for name, weight in model.named_parameters():  # what an adapter keeps outside, such as a learned prompt
        if weight.requires_grad and id(weight) not in names:
            names[id(weight)] = [WRAPPED.sub("", name)]
    return names


def _parts(names: Mapping[int, list[str]]) -> set[str]:
    """Cut names into what an expression may have meant: single words, and beginnings."""
    parts: set[str] = set()
    for name in (name for known in names.values() for name in known):
        words = name.split(".")
        parts.update(word for word in words if not word.isdigit())
        parts.update(".".join(words[:end]) for end in range(2, len(words) + 1))
    return parts


def _join(alike: list[Section], encoder: set[Section]) -> list[str]:
    """List the names of sections in order, the whole encoder by its own."""
    if len(encoder) > 1 and encoder <= set(alike):
        return ["encoder", *(section.name for section in alike if section not in encoder)]
    return [section.name for section in alike]


def _check_whole(model: nn.Module, args: TrainingArguments) -> None:
    flat = any(name.endswith("_flat_param") for name, _ in model.named_parameters())
    if flat and rates_asked(args):
        what = f"{', '.join(rates_asked(args))}: FSDP has melted the parameters of different parts into one"
        raise UserError(what, fix='set "use_orig_params": true in --fsdp_config')


def _given(args: TrainingArguments, name: str) -> float | None:
    return getattr(args, name, None)
