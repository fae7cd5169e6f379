"""Whether a model keeps documents apart that share a row."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .positions import first_position
from .trial import evaluation, in_single_precision, make_texts

TOLERANCE = 1e-5  # in hidden states of float32
LOCAL, GLOBAL = "sliding_attention", "full_attention"  # transformers' names of kinds of layers


def isolates_documents(model: PreTrainedModel) -> bool:
    """Try whether each of two documents in one row gets the hidden states that it has alone.

    The row is given with a block-diagonal mask, bool ``(B, 1, T, T)``, and positions that begin anew in each document.
    Not every family, nor every attention kernel, makes of it what is meant: some fail, some take the mask for numbers
    to add, some lose the window of their local attention. The documents are longer than such a window, see
    ``window_local_layers``. Random numbers and the mode of the model are as before afterwards.

    Args:
        model: An encoder with or without a head; tried in float32.

    Returns:
        Whether the hidden states are equal to 1e-5. False too if the model fails on such a row.
    """
    tried = in_single_precision(model)
    first, second = make_texts(tried)
    documents = torch.tensor([0] * len(first) + [1] * len(second) + [2], device=tried.device)  # the last is padding
    positions = torch.cat([torch.arange(len(part), device=tried.device) for part in (first, second, first[:1])])
    with evaluation(tried):
        try:
            packed = _hidden_states(
                tried,
                input_ids=torch.cat([first, second, first[:1]])[None],
                attention_mask=(documents[:, None] == documents)[None, None],
                position_ids=positions[None] + first_position(tried),
            )
        except (IndexError, RuntimeError, TypeError, ValueError):
            return False
        alone = [
            _hidden_states(tried, input_ids=part[None], attention_mask=torch.ones_like(part)[None])
            for part in (first, second)
        ]
    apart = torch.cat([*alone, packed[:, -1:]], dim=1)
    return packed.shape == apart.shape and bool(torch.allclose(packed, apart, rtol=TOLERANCE, atol=TOLERANCE))


def window_local_layers(model: PreTrainedModel) -> bool:
    """Let the layers of a ModernBERT that see only their surroundings do so under a block-diagonal mask as well.

    Transformers hands a mask of four axes to all layers as it is, so that local layers see whole documents. From now
    on they see those of its tokens that are no further away than their window. Nothing of it is saved.

    Args:
        model: Any model; none but a ModernBERT is changed.

    Returns:
        Whether the model has local layers that were changed.
    """
    encoder = model.base_model
    if model.config.model_type != "modernbert" or LOCAL not in model.config.layer_types:
        return False
    encoder.register_forward_pre_hook(_split_mask, with_kwargs=True)
    return True


def _split_mask(encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    mask = kwargs.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.dim() != 4 or mask.dtype is not torch.bool:
        return args, kwargs
    places = torch.arange(mask.shape[-1], device=mask.device)
    near = (places[:, None] - places).abs() <= encoder.config.sliding_window
    return args, {**kwargs, "attention_mask": {GLOBAL: mask, LOCAL: mask & near}}


def _hidden_states(model: PreTrainedModel, **inputs: Tensor) -> Tensor:
    """Run the model and take the encoder's output: ``(1, T, H)``."""
    if "position_ids" in inputs and "position_ids" not in inspect.signature(model.forward).parameters:
        raise TypeError("the model takes no positions.")
    seen: list[Tensor] = []
    handle = model.base_model.register_forward_hook(lambda module, args, output: seen.append(output[0]))
    try:
        model(**inputs)
    finally:
        handle.remove()
    return seen[-1]
