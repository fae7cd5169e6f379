"""Recurrent layers over padded batches, whichever side the padding is on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from transformers import initialization as init

from .unpacked import run_unpacked

RNN_CLASSES: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


def build_rnn(kind: str, input_size: int, hidden_size: int, *, num_layers: int, dropout: float) -> nn.LSTM | nn.GRU:
    """Build a bidirectional, batch-first recurrent layer.

    Args:
        kind: ``lstm`` or ``gru``.
        input_size: Width of the input vectors.
        hidden_size: Units in each direction, so that the output is twice as wide.
        num_layers: Stacked layers.
        dropout: Share of zeroed outputs between layers; without effect on a single layer.

    Raises:
        ValueError: If ``kind`` is unknown.
    """
    if kind not in RNN_CLASSES:
        raise ValueError(f"unknown recurrent layer {kind!r}; choose one of {', '.join(RNN_CLASSES)}.")
    return RNN_CLASSES[kind](
        input_size,
        hidden_size,
        num_layers,
        batch_first=True,
        bidirectional=True,
        dropout=dropout if num_layers > 1 else 0.0,  # torch warns about dropout that has no place to act
    )


def left_order(attention_mask: Tensor) -> Tensor:
    """Give the order that moves the real tokens of each row to its left end, in their sequence.

    Args:
        attention_mask: 1 for a real token, 0 for padding, anywhere, shape ``(B, T)``.

    Returns:
        Positions, shape ``(B, T)``; ``values.gather(1, order)`` compacts and ``scatter(1, order, values)`` undoes it.
    """
    real = attention_mask.bool()
    places = torch.where(real, real.cumsum(1), real.sum(1, keepdim=True) + (~real).cumsum(1)) - 1  # (B, T)
    positions = torch.arange(real.shape[1], device=real.device).expand_as(places)
    return torch.zeros_like(places).scatter(1, places, positions)  # a stable sort, which exporters lack


def run_packed(rnn: nn.LSTM | nn.GRU, inputs: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Run a recurrent layer over the real tokens of each row only.

    The backward direction starts at the last real token, so neither the amount nor the side of the padding
    changes anything.

    Args:
        rnn: A layer of ``build_rnn``.
        inputs: Token vectors, shape ``(B, T, H)``.
        attention_mask: 1 for a real token, 0 for padding, shape ``(B, T)``.

    Returns:
        The states at the tokens' own positions, zeros at padding, shape ``(B, T, 2 * rnn.hidden_size)``, and the
        last states of both directions of the top layer, shape ``(B, 2 * rnn.hidden_size)``. A row without any
        real token gives zeros in both.
    """
    real = attention_mask.bool()
    order = left_order(attention_mask)
    lengths = real.sum(1)
    # Padding is zeroed first: a row without tokens still runs one step, and a NaN there would reach the gradient.
    inputs = inputs.masked_fill(~real.unsqueeze(-1), 0.0)
    compact = inputs.gather(1, order.unsqueeze(-1).expand_as(inputs))  # (B, T, H)
    if torch.compiler.is_compiling() and torch.onnx.is_in_onnx_export():
        states, final = run_unpacked(rnn, compact, lengths)
    else:
        states, final = _run_compact(rnn, compact, lengths)
    index = order.unsqueeze(-1).expand_as(states)
    states = torch.zeros_like(states).scatter(1, index, states).masked_fill(~real.unsqueeze(-1), 0.0)
    return states, final.masked_fill((lengths == 0).unsqueeze(-1), 0.0)


def _run_compact(rnn: nn.LSTM | nn.GRU, compact: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    packed = pack_padded_sequence(compact, lengths.clamp_min(1).cpu(), batch_first=True, enforce_sorted=False)
    packed_states, last = _run(rnn, packed)
    states, _ = pad_packed_sequence(packed_states, batch_first=True, total_length=compact.shape[1])
    top = last[0] if isinstance(last, tuple) else last  # an LSTM gives (hidden, cell); (layers * 2, B, units)
    return states, torch.cat([top[-2], top[-1]], dim=-1)  # (B, 2 * units)


def _run(rnn: nn.LSTM | nn.GRU, packed: PackedSequence) -> tuple[PackedSequence, Tensor | tuple[Tensor, Tensor]]:
    """Run the layer; on a CPU in its own dtype, since autocast asks for a bf16 kernel that many CPUs lack."""
    if packed.data.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return rnn(packed)
    with torch.autocast("cpu", enabled=False):
        data = packed.data.to(next(rnn.parameters()).dtype)
        return rnn(PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices))


def init_weights(module: nn.Module) -> bool:
    """Initialise a GRU, which transformers' own ``_init_weights`` leaves out.

    Recurrent matrices start orthogonal (Saxe et al., 2014, arXiv:1312.6120), input matrices Glorot-uniform
    (Glorot and Bengio, 2010), biases at zero. Tensors that came from a checkpoint are left alone.

    Returns:
        Whether the module was one of ours.
    """
    if not isinstance(module, nn.GRU):
        return False
    for name, parameter in module.named_parameters():
        if "weight_hh" in name:
            init.orthogonal_(parameter)
        elif "weight_ih" in name:
            init.xavier_uniform_(parameter)
        else:
            init.zeros_(parameter)
    return True
