"""What training, evaluation and prediction cost: seconds, tokens, padding."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from hf_ext.training.batching.arguments import PACK

TRAIN, EVALUATE, PREDICT = PHASES = ("train", "evaluate", "predict")


@dataclass
class PhaseCost:
    """What one phase of a run has cost.

    Args:
        seconds: On the main process, without the phases inside of it.
        tokens: Real tokens that went through the model, on all processes.
        padded_tokens: The same with padding that the layers of the encoder compute on.
    """

    seconds: float
    tokens: float
    padded_tokens: float

    @property
    def tokens_per_second(self) -> float:
        """Real tokens a second."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def padding(self) -> float:
        """Tokens with padding over real ones; 1 is none."""
        return self.padded_tokens / self.tokens if self.tokens else 1.0


class RunCost:
    """Count the tokens and seconds of each phase of a trainer.

    Tokens are added up on the device and read once, at the end. A batch counts once, however many passes a method makes
    over it; a token is real where the attention mask is 1. An evaluation inside of training is no part of training.

    Args:
        trainer: Whose phases they are.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.seconds: dict[str, float] = {}
        self._tokens: dict[str, Tensor] = {}
        self._padded: dict[str, int] = {}
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what is inside to a phase, a name of ``PHASES``."""
        self._switch()
        self._running.append(name)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()

    def see(self, inputs: Mapping[str, Any]) -> None:
        """Count the tokens of a batch to the phase that is running."""
        tokens, mask = inputs.get("input_ids"), inputs.get("attention_mask")
        if not self._running or not isinstance(tokens, Tensor):
            return
        name = self._running[-1]
        is_mask = isinstance(mask, Tensor) and mask.shape == tokens.shape
        real = mask.sum() if is_mask else torch.tensor(tokens.numel(), device=tokens.device)  # type: ignore[union-attr]
        self._tokens[name] = self._tokens[name] + real if name in self._tokens else real
        self._padded[name] = self._padded.get(name, 0) + tokens.numel()

    def totals(self) -> dict[str, PhaseCost]:
        """Give the cost of each phase that has run; all processes must ask."""
        device = self.trainer.args.device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        sums = torch.zeros(len(PHASES), 2, dtype=dtype, device=device)
        for i, name in enumerate(PHASES):
            if name in self._tokens:
                sums[i, 0], sums[i, 1] = self._tokens[name], self._padded[name]
        if self.trainer.args.world_size > 1:
            sums = self.trainer.accelerator.reduce(sums, "sum")
        if getattr(self.trainer, "length_strategy", None) == PACK:
            sums[:, 1] = sums[:, 0]
        counts = sums.tolist()
        return {
            name: PhaseCost(self.seconds[name], *counts[i]) for i, name in enumerate(PHASES) if name in self.seconds
        }

    def _switch(self) -> None:
        """Add the seconds since the last switch to the phase that was running."""
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now
