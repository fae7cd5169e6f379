"""Virtual adversarial training: the direction in which the prediction changes most, without a label."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hf_ext.training.adversarial.attack import EmbeddingAttack
from hf_ext.training.adversarial.perturbation import random_perturbation, steepest
from hf_ext.training.losses.divergence import divergence


class VirtualAdversarial(EmbeddingAttack):
    """Keep the prediction the same around each row (Miyato et al., 2018, arXiv:1704.03976, eqs. 6 to 8 and alg. 1).

    ``L + weight * KL(p(x) || p(x + delta))``, where ``delta`` of norm epsilon is found by power iteration: from a
    random direction of size ``alpha``, ``steps`` times along the divergence's gradient. ``p(x)`` is a constant. All
    passes use the same dropout masks, since otherwise the divergence would measure the dropout.

    When: many rows have no label (-100, or a batch without ``labels``): they learn from this term alone.
    """

    has_steps = True
    same_dropout = True
    partial = False
    has_own_loss = True

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self._clean: Tensor | None = None

    @classmethod
    def default_alpha(cls, epsilon: float, steps: int) -> float:
        """Look for the direction close to the row: at a tenth of epsilon."""
        return 0.1 * epsilon

    @property
    def weights(self) -> tuple[float, ...]:
        """Clean, the power iterations, and the pass that counts."""
        return (1.0, *[0.0] * self.settings.steps, self.settings.weight)

    @property
    def replaces_loss(self) -> bool:
        """From the second pass on the loss is the divergence."""
        return self.number > 0

    def move(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Begin anywhere, turn to where the divergence grows, and end on the sphere of radius epsilon."""
        settings = self.settings
        if self.number == 0:
            return random_perturbation(delta, self._mask(), settings.alpha, settings.norm)
        size = settings.epsilon if self.number == settings.steps else settings.alpha
        return size * steepest(gradient, settings.norm)

    def see(self, outputs: Any) -> None:
        """Keep the clean prediction."""
        self._clean = _logits(outputs).detach()

    def row_losses(self, outputs: Any, problem_type: str) -> Tensor:
        """Give the divergence of each row, shape ``(B,)``, the mean over its tokens where each has a prediction.

        In a clean pass without labels there is nothing to diverge from, and nothing to learn: zeros.
        """
        logits = _logits(outputs)
        if not self.replaces_loss or self._clean is None:
            self.see(outputs)
            return 0.0 * logits.flatten(1).sum(1)
        each = divergence(self._clean, logits, problem_type)  # (B,) or (B, T)
        if each.dim() == 1:
            return each
        real = self._mask().squeeze(-1).to(each.dtype)  # (B, T)
        return (each * real).sum(1) / real.sum(1).clamp_min(1.0)


def _logits(outputs: Any) -> Tensor:
    logits = outputs.get("logits") if isinstance(outputs, dict) else None
    if not isinstance(logits, torch.Tensor):
        raise ValueError("--adversarial vat compares predictions, and this model's output has no logits.")
    return logits
