"""Backward passes that stay in this process, leave parameters alone, or repeat their dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn


@contextmanager
def local_backward(accelerator: Accelerator, model: nn.Module) -> Iterator[None]:
    """Let a backward pass add to the gradients of this process without exchanging them with the others.

    Afterwards the choice that Trainer made for this micro-batch stands again. (Under FSDP2 accelerate's own
    ``no_sync`` ends by switching the exchange on, which is too early inside of another one.)
    """
    state = accelerator.gradient_state
    exchanges = state.sync_gradients
    state._set_sync_gradients(False)
    try:
        if accelerator.is_fsdp2:
            sharded: Any = model
            sharded.set_requires_gradient_sync(False)
            try:
                yield
            finally:
                sharded.set_requires_gradient_sync(exchanges)
        else:
            with accelerator.no_sync(model):
                yield
    finally:
        state._set_sync_gradients(exchanges)


@contextmanager
def frozen_parameters(model: nn.Module) -> Iterator[None]:
    """Keep a backward pass from computing any parameter's gradient; what has been accumulated stays untouched."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


class RandomState:
    """The random numbers to come, noted so that they can come once more.

    Args:
        device: The device that the model computes on, beside the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        """Let them come again."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)
