"""Trying a model on a few random tokens without leaving a trace."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .positions import count_positions

SHORTEST = 9  # tokens of a text


def in_single_precision(model: PreTrainedModel) -> PreTrainedModel:
    """Give the model, or a copy in float32 of one that computes less exactly."""
    return model if model.dtype in (torch.float32, torch.float64) else copy.deepcopy(model).float()


def make_texts(model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """Make two texts of random tokens, longer than any window of local attention that the model has.

    Returns:
        Token ids without padding, the second text one token shorter; both on the model's device.
    """
    config = model.config.get_text_config()
    window = int(getattr(config, "sliding_window", None) or 0)
    length = min(max(SHORTEST, window + 2), count_positions(model) or window + SHORTEST)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(config.vocab_size, (2 * length - 1,), generator=generator)
    ids[ids == (config.pad_token_id or 0)] = config.vocab_size - 1  # padding would be left out when alone
    return ids[:length].to(model.device), ids[length:].to(model.device)


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode without gradients; each module gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
