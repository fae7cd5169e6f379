"""Which layers of a model get small matrices, and which modules are trained in full."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedModel

from hf_ext.errors import UserError, did_you_mean
from hf_ext.models.layers import layer_stack
from hf_ext.training.lora_arguments import ATTENTION, EVERY_LINEAR

OF_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
POOLING_LAYER = "pooler"  # of the encoder by its place, of the head in all but name; checkpoints often lack it
LISTS = (nn.ModuleList, nn.ModuleDict)  # they have no forward that could be wrapped


def find_targets(model: PreTrainedModel, asked: str = ATTENTION) -> list[str]:
    """Name the linear layers of an encoder that get small matrices, in the order of the model.

    Args:
        model: Encoder and head.
        asked: ``attention``, every linear layer below a module whose name says so (of BERT ``query``, ``key``,
            ``value`` and ``attention.output.dense``, of ModernBERT ``Wqkv`` and ``Wo``); ``all``, those of the
            feed-forward layers too; or the ends of their names, separated by commas.

    Returns:
        Names in the model. What comes before the layers, such as a projection of embeddings, is never among them.

    Raises:
        UserError: If the encoder cannot be told from the head, or has no such layer.
    """
    known = _linear_layers(model)
    if asked == EVERY_LINEAR:
        found = known
    elif asked == ATTENTION:
        found = [name for name in known if OF_ATTENTION.search(name)]
    else:
        found = _ending_with(known, [end.strip() for end in asked.split(",") if end.strip()])
    if not found:
        family = model.config.model_type
        raise UserError(
            f"--lora_r: the {asked} of this encoder ({family}) has no linear layers",
            fix=f"name some by --lora_target_modules, of {', '.join(_ends(known)[:6])}" if known else "leave it out",
        )
    return found


def find_trained_in_full(model: PreTrainedModel) -> list[str]:
    """Name the modules above the encoder, whose weights all learn: heads, poolers, CRF, table columns.

    The encoder's own pooling layer is among them. A decoder onto the vocabulary is not: its matrix is, or has the size
    of, the table of tokens.

    Returns:
        Names of the largest modules that hold nothing of the encoder or the decoder, in the order of the model.

    Raises:
        UserError: If a weight stands beside them in no module that could be kept.
    """
    encoder, decoder = model.base_model, model.get_output_embeddings()
    pooling = getattr(encoder, POOLING_LAYER, None)
    frozen = {id(weight) for weight in encoder.parameters()}
    frozen |= {id(weight) for weight in (decoder.parameters() if decoder is not None else ())}
    found = list(_whole_modules(model, encoder, frozen))
    if isinstance(pooling, nn.Module) and any(True for _ in pooling.parameters()):
        found.insert(0, f"{model.base_model_prefix}.{POOLING_LAYER}")
    return found


def _whole_modules(module: nn.Module, encoder: nn.Module, frozen: set[int], prefix: str = "") -> Iterator[str]:
    for name, weight in module.named_parameters(recurse=False):
        if id(weight) not in frozen:
            raise UserError(
                f"--lora_r: {prefix}{name} lies in no module that could be trained in full", fix="leave it out"
            )
    for name, child in module.named_children():
        weights = {id(weight) for weight in child.parameters()}
        if child is encoder or not weights:
            continue
        if weights & frozen or isinstance(child, LISTS):
            yield from _whole_modules(child, encoder, frozen, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _linear_layers(model: PreTrainedModel) -> list[str]:
    encoder = model.base_model
    if encoder is model:
        raise UserError(f"--lora_r: {type(model).__name__} does not say which part of it is the encoder")
    path, _ = layer_stack(encoder)
    inside = f"{path}." if path else ""
    return [
        f"{model.base_model_prefix}.{name}"
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and name.startswith(inside) and not name.startswith(POOLING_LAYER)
    ]


def _ending_with(known: list[str], ends: list[str]) -> list[str]:
    for end in ends:
        if not any(_ends_with(name, end) for name in known):
            raise UserError(
                f"--lora_target_modules {end}: the layers of this encoder have no such linear layer",
                fix=did_you_mean(end, _ends(known)),
            )
    return [name for name in known if any(_ends_with(name, end) for end in ends)]


def _ends_with(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _ends(known: list[str]) -> list[str]:
    """Give what follows the number of the layer, each once."""
    return list(dict.fromkeys(re.split(r"(?:\.\d+)+\.", name)[-1] for name in known))
