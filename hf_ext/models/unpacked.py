"""Recurrent layers over padded batches without packing, for exporters, which cannot follow packed sequences."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def run_unpacked(rnn: nn.LSTM | nn.GRU, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Run a bidirectional layer as if its batch were packed.

    Each direction of each layer is run by itself. The backward one reads each row turned round within its own length,
    so that it starts at the last real token; padding comes last in both and reaches nothing.

    When: a graph is exported; packing is faster everywhere else.

    Args:
        rnn: A layer of ``packing.build_rnn``, in evaluation mode.
        inputs: Token vectors, real ones at the left end of each row, shape ``(B, T, H)``.
        lengths: Real tokens of each row, shape ``(B,)``.

    Returns:
        States, meaningless behind a row's length, shape ``(B, T, 2 * rnn.hidden_size)``; and the last states of both
        directions of the top layer, shape ``(B, 2 * rnn.hidden_size)``.
    """
    positions = torch.arange(inputs.shape[1], device=inputs.device).unsqueeze(0)
    last = lengths.clamp_min(1).unsqueeze(1) - 1  # (B, 1)
    turned = torch.where(positions <= last, last - positions, positions)  # (B, T)
    straight = positions.expand_as(turned)  # taking these says anew that T is free, which exporters forget in the layer
    states = inputs
    forward, backward = states, states
    for layer in range(rnn.num_layers):
        forward = _take(_run(rnn, states, layer, ""), straight)
        backward = _run(rnn, _take(states, turned), layer, "_reverse")
        states = torch.cat([forward, _take(backward, turned)], dim=-1)
    return states, torch.cat([_take(forward, last), _take(backward, last)], dim=-1).squeeze(1)


def _run(rnn: nn.LSTM | nn.GRU, inputs: Tensor, layer: int, direction: str) -> Tensor:
    """Run one direction of one layer from left to right."""
    names = [f"{part}_l{layer}{direction}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    weights = [getattr(rnn, name) for name in names]
    start = inputs.new_zeros(1, inputs.shape[0], rnn.hidden_size)
    if isinstance(rnn, nn.LSTM):
        return torch.lstm(inputs, [start, start], weights, True, 1, 0.0, False, False, True)[0]
    if torch.compiler.is_compiling():
        return _write_gru(inputs, weights, rnn.hidden_size)
    return torch.gru(inputs, start, weights, True, 1, 0.0, False, False, True)[0]


def _write_gru(inputs: Tensor, weights: list[Tensor], hidden_size: int) -> Tensor:
    """Write ONNX's GRU into the graph; torch's would be unrolled to as many steps as the sample has tokens."""
    ordered = []
    for weight in weights:
        reset, update, new = weight.chunk(3)
        ordered.append(torch.cat([update, reset, new]))  # the order of ONNX
    parts = [ordered[0], ordered[1], torch.cat(ordered[2:])]
    states = torch.onnx.ops.symbolic(
        "GRU",
        [inputs.transpose(0, 1), *(part.unsqueeze(0) for part in parts)],
        attrs={"hidden_size": hidden_size, "linear_before_reset": 1},
        dtype=inputs.dtype,
        shape=(inputs.shape[1], 1, inputs.shape[0], hidden_size),
        version=14,
    )  # (T, 1, B, H)
    return states.squeeze(1).transpose(0, 1)


def _take(states: Tensor, places: Tensor) -> Tensor:
    """Take the vectors ``(B, T, H)`` at some positions ``(B, P)``."""
    return states.gather(1, places.unsqueeze(-1).expand(-1, -1, states.shape[-1]))
