"""Attention over texts that stand in one row, each seeing itself alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from .token_layout import Bucket, TokenLayout

PACKED = "packed"  # the name among transformers' attention implementations
VARLEN_HEAD_SIZES = range(8, 257, 8)  # what flash attention takes


def layout_mask(*, attention_mask: Tensor | None = None, **given: Any) -> TokenLayout | Tensor | None:
    """Describe a padded batch by its layout where transformers would make a mask of it.

    Args:
        attention_mask: True for a real token, bool ``(B, T)``.
        **given: What else transformers tells a mask function.

    Returns:
        The layout; None without padding; a mask as ``sdpa`` has it where queries do not see their whole text or its
        surroundings (decoders, masks of other kinds).
    """
    plain = given.get("allow_is_bidirectional_skip", False) and given["q_length"] == given["kv_length"]
    if attention_mask is None or not plain:
        return sdpa_mask(attention_mask=attention_mask, **given)
    places = attention_mask.reshape(-1).nonzero().squeeze(1)  # (N,); the one wait for an accelerator in a pass
    if len(places) in (0, attention_mask.numel()):
        return sdpa_mask(attention_mask=attention_mask, **given)
    return TokenLayout(attention_mask, places, given.get("local_size"))


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: TokenLayout | Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **given: Any,
) -> tuple[Tensor, None]:
    """Attend within each text.

    On CUDA flash attention takes the row as it is, in half precision and without dropout, which torch's
    ``varlen_attn`` has none of. Everything else pads inside of attention alone, to a few rectangles.

    Args:
        module: The layer that asks.
        query: Of the real tokens, shape ``(1, heads, N, D)``.
        key: As the queries.
        value: As the queries.
        attention_mask: The layout of the texts; anything else is left to ``sdpa``.
        dropout: Probability that a weight is dropped.
        scaling: What scores are multiplied by.
        **given: What else the layer tells.

    Returns:
        Shape ``(1, N, heads, D)``, and no weights.
    """
    if not isinstance(attention_mask, TokenLayout):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **given
        )
    rows = [states[0].transpose(0, 1) for states in (query, key, value)]  # (N, heads, D) each
    if dropout == 0.0 and _takes_rows(query):
        mixed = _attend_in_row(*rows, layout=attention_mask, scaling=scaling)
    else:
        mixed = _attend_in_rectangles(*rows, layout=attention_mask, scaling=scaling, dropout=dropout)
    return mixed[None], None


def _takes_rows(query: Tensor) -> bool:
    half = query.dtype in (torch.float16, torch.bfloat16)
    return query.device.type == "cuda" and half and query.shape[-1] in VARLEN_HEAD_SIZES


def _attend_in_row(query: Tensor, key: Tensor, value: Tensor, *, layout: TokenLayout, scaling: float | None) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    bounds, longest = layout.boundaries, layout.shape[1]
    window = (-1, -1) if layout.window is None else (layout.window, layout.window)
    mixed: Any = varlen_attn(query, key, value, bounds, bounds, longest, longest, scale=scaling, window_size=window)
    return mixed


def _attend_in_rectangles(
    query: Tensor, key: Tensor, value: Tensor, *, layout: TokenLayout, scaling: float | None, dropout: float
) -> Tensor:
    buckets, tokens, places = layout.buckets()
    sizes = [bucket.rows * bucket.length for bucket in buckets]
    parts = (states.index_select(0, tokens).split(sizes) for states in (query, key, value))  # (M, heads, D), cut
    mixed = []
    for bucket, queries, keys, values in zip(buckets, *parts, strict=True):
        attended = functional.scaled_dot_product_attention(
            _to_rectangle(queries, bucket),
            _to_rectangle(keys, bucket),
            _to_rectangle(values, bucket),
            attn_mask=bucket.mask,
            dropout_p=dropout,
            scale=scaling,
        )  # (R, heads, S, D)
        mixed.append(attended.transpose(1, 2).flatten(0, 1))
    return torch.cat(mixed).index_select(0, places)  # (N, heads, D)


def _to_rectangle(states: Tensor, bucket: Bucket) -> Tensor:
    return states.unflatten(0, (bucket.rows, bucket.length)).transpose(1, 2)  # (R, heads, S, D)


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, layout_mask)
