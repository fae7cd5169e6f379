"""Attacks on the weights: the classic form of FGM, and adversarial weight perturbation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hf_ext.training.adversarial.attack import Attack
from hf_ext.training.adversarial.perturbation import token_table


class WeightAttack(Attack):
    """Perturb some weights for the second pass.

    Their gradient is caught by tensor hooks during the first one, so it is that of this micro-batch in this process
    alone, and the weights are exchanged for perturbed copies and put back, never added to and subtracted from.
    """

    norms = ("l2",)
    touches_embeddings = False

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self._gradients: dict[nn.Parameter, Tensor] = {}
        self._originals: dict[nn.Parameter, Tensor] = {}

    @abstractmethod
    def targets(self, model: PreTrainedModel) -> list[nn.Parameter]:
        """Name the weights to perturb."""

    @abstractmethod
    def step(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Give the perturbation of one weight, of its shape."""

    @property
    def weights(self) -> tuple[float, ...]:
        """One clean pass, one with perturbed weights."""
        return (1.0, self.settings.weight)

    def install(self, model: PreTrainedModel) -> None:
        """Need nothing beforehand."""

    def remove(self) -> None:
        """Leave nothing behind."""

    @contextmanager
    def attached(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Catch gradients in the first pass, and put the weights back at the end, whatever happens."""
        handles = [weight.register_hook(self._catch(weight)) for weight in self.targets(model)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for weight, original in self._originals.items():
                weight.data = original
            self._gradients.clear()
            self._originals.clear()

    def advance(self, kept: Tensor | None) -> None:
        """Exchange the weights for perturbed ones."""
        for weight, gradient in self._gradients.items():
            self._originals[weight] = weight.data
            weight.data = weight.data + self.step(weight.data, gradient).to(weight.dtype)
        self._gradients.clear()

    def _catch(self, weight: nn.Parameter) -> Any:
        def catch(gradient: Tensor) -> None:
            if weight in self._originals:  # the second pass
                return
            caught = self._gradients.get(weight)  # set already where reentrant checkpointing goes backward in parts
            # a copy: the gradient itself becomes .grad where nothing has been accumulated yet
            self._gradients[weight] = gradient.detach().clone() if caught is None else caught + gradient.detach()

        return catch


class WeightFastGradientMethod(WeightAttack):
    """The usual FGM snippet, made right: ``W <- W + epsilon * G / ||G||`` for the whole token table.

    One norm over the whole matrix makes what a single row receives depend on the batch: with epsilon 1 it is 1.00
    for a batch of 1, about 0.37 for 8 and 0.23 for 32. It copies the table, and a tied output layer moves along.

    When: to compare with other code; otherwise ``fgm``, whose epsilon means the same for every batch size.
    """

    default_epsilon = 0.5

    def targets(self, model: PreTrainedModel) -> list[nn.Parameter]:
        """Take the token table.

        Raises:
            ValueError: If it is frozen.
        """
        weight: nn.Parameter = token_table(model).weight  # type: ignore[assignment]
        if not weight.requires_grad:
            raise ValueError("--adversarial fgm_weight perturbs the token table, which is frozen; use fgm instead.")
        return [weight]

    def step(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Scale the gradient to length epsilon."""
        return self.settings.epsilon * _unit(gradient)


class AdversarialWeightPerturbation(WeightAttack):
    """Perturb every weight matrix in proportion to its norm: ``epsilon * ||W|| * G / ||G||``.

    Wu et al. (2020, arXiv:2004.05884, eq. 10), with one step and without an attack on the input.

    When: the run overfits and the embeddings are frozen or few; it keeps a gradient and a copy of every matrix.
    """

    default_epsilon = 0.01

    def targets(self, model: PreTrainedModel) -> list[nn.Parameter]:
        """Take all trainable matrices, leaving out biases and norms."""
        return [weight for weight in model.parameters() if weight.requires_grad and weight.dim() > 1]

    def step(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Scale the gradient to epsilon times the length of the matrix."""
        return self.settings.epsilon * torch.linalg.vector_norm(weight) * _unit(gradient)


def _unit(gradient: Tensor) -> Tensor:
    """Scale to length 1, at least in float32; nothing where the length is zero or not finite."""
    wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    size = torch.linalg.vector_norm(wide)
    usable = torch.isfinite(size) & (size > 0)
    return torch.where(usable, wide / torch.where(usable, size, 1.0), 0.0)
