"""An encoder that spends nothing on padding: its layers see the real tokens of a batch in one row."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from .packed_attention import PACKED
from .token_layout import TokenLayout
from .trial import evaluation, in_single_precision, make_texts

REPLACED = "sdpa"  # the attention implementation that packing takes the place of
SHORT = 3  # tokens of the shorter text that is tried
TOLERANCE = {"cpu": 1e-5}  # in hidden states of float32, by device
ROUNDED = 1e-3  # on others, whose products may be rounded to TF32


class PackedLayer(nn.Module):
    """The forward of a layer that takes a padded batch, computes on its real tokens, and gives a padded batch back.

    See ``pack_encoder``, which puts this in front of the class of every layer.
    """

    def forward(self, hidden_states: Tensor, attention_mask: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Run the layer.

        Args:
            hidden_states: Token vectors, shape ``(B, T, H)``.
            attention_mask: The layout of the batch; with anything else the layer runs as it is.
            *args: As the layer takes them.
            **kwargs: Likewise; rotary positions, a pair of ``(1, T, D)`` or ``(B, T, D)``, are laid out too.

        Returns:
            Token vectors, shape ``(B, T, H)``; zeros where padding stood.
        """
        if not isinstance(attention_mask, TokenLayout):
            return super().forward(hidden_states, attention_mask, *args, **kwargs)
        if kwargs.get("position_embeddings") is not None:
            kwargs["position_embeddings"] = tuple(map(attention_mask.flatten, kwargs["position_embeddings"]))
        flat = super().forward(attention_mask.flatten(hidden_states), attention_mask, *args, **kwargs)
        return attention_mask.unflatten(flat)


def pack_encoder(model: nn.Module) -> bool:
    """Let the layers of an encoder compute on real tokens alone, whatever head stands on it.

    Embeddings, with their positions and segments, are made of the padded batch, and each layer gives a padded batch
    back. So heads, poolers, hooks on the embeddings and recorded hidden states see what they always see, but for zeros
    at padding. Inside a layer the real tokens stand in one row ``(1, N, H)``, and attention stays within each text.
    Whether this gives the encoder's hidden states is tried on two texts of different lengths; random numbers and the
    mode of the model are as before afterwards. Weights, their names and what is saved stay.

    Args:
        model: An encoder with or without a head, plain or with adapters; before it is wrapped for several processes.

    Returns:
        False, and nothing is changed, if the family's attention cannot be chosen, or was chosen to be another than
        ``sdpa``, if the encoder is a decoder, or if it gives other hidden states.
    """
    encoder = _find_encoder(model)
    if encoder is None:
        return False
    if encoder.config._attn_implementation == PACKED:
        return True
    layers = _find_layers(encoder)
    decoder = getattr(encoder.config, "is_decoder", False)
    if not layers or decoder or encoder.config._attn_implementation != REPLACED:
        return False
    if not _packs_well(encoder):
        return False
    _pack(encoder)
    return True


def unpack_encoder(model: nn.Module) -> None:
    """Undo ``pack_encoder``; a model that is not packed stays as it is."""
    encoder = _find_encoder(model)
    if encoder is None or encoder.config._attn_implementation != PACKED:
        return
    encoder.config._attn_implementation = REPLACED
    for layer in encoder.modules():
        if isinstance(layer, PackedLayer):
            layer.__class__ = type(layer).__bases__[1]


def _pack(encoder: PreTrainedModel) -> None:
    encoder.config._attn_implementation = PACKED
    for layer in _find_layers(encoder):
        stock: Any = type(layer)  # mypy takes classes for what cannot be hashed
        layer.__class__ = _put_in_front(stock)


def _find_encoder(model: nn.Module) -> PreTrainedModel | None:
    """Find the plain model of a family below heads and adapters."""
    plain = (part for part in model.modules() if isinstance(part, PreTrainedModel) and part.base_model is part)
    return next(plain, None)


def _find_layers(encoder: PreTrainedModel) -> list[nn.Module]:
    """Find what transformers itself counts as layers; none where attention cannot be chosen."""
    recorded = (getattr(encoder, "_can_record_outputs", None) or {}).get("hidden_states")
    if not encoder._supports_attention_backend or not isinstance(recorded, type):
        return []
    return [part for part in encoder.modules() if isinstance(part, recorded)]


@functools.cache
def _put_in_front(stock: Any) -> Any:
    names = {"__module__": stock.__module__, "__qualname__": stock.__qualname__, "__doc__": stock.__doc__}
    return type(stock.__name__, (PackedLayer, stock), names)


def _packs_well(encoder: PreTrainedModel) -> bool:
    """Compare the hidden states of two texts with and without padding in the layers."""
    tried = in_single_precision(encoder)
    first, second = make_texts(tried)
    ids = torch.stack([first, functional.pad(second, (0, 1))])[:, : len(first)]
    mask = torch.ones_like(ids)
    mask[1, SHORT:] = 0
    seen: list[bool] = []
    with evaluation(tried):
        expected = tried(input_ids=ids, attention_mask=mask)[0]
        _pack(tried)
        try:
            with _noting_layouts(tried, seen):
                found = tried(input_ids=ids, attention_mask=mask)[0]
        except (IndexError, RuntimeError, TypeError, ValueError):
            return False
        finally:
            unpack_encoder(tried)
    if not seen or not all(seen):
        return False
    real, tolerance = mask.bool(), TOLERANCE.get(ids.device.type, ROUNDED)
    return bool(torch.allclose(found[real], expected[real], rtol=tolerance, atol=tolerance))


@contextmanager
def _noting_layouts(encoder: PreTrainedModel, seen: list[bool]) -> Iterator[None]:
    """Note of each layer whether the encoder hands it a layout; one that asks for no mask never does."""

    def note(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(any(isinstance(value, TokenLayout) for value in (*args, *kwargs.values())))

    handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in _find_layers(encoder)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
