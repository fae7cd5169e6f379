"""What an adversarial method is to the trainer: a few weighted passes, and something that moves between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from hf_ext.training.adversarial.perturbation import EmbeddingPerturbation, token_table, touchable_tokens


@dataclass(frozen=True)
class AttackSettings:
    """How strong an attack is.

    Args:
        epsilon: Largest size of the perturbation, in ``norm``.
        alpha: Size of one step.
        steps: Number of steps.
        norm: ``"l2"`` or ``"linf"``, over the tokens of one row.
        weight: Weight of the adversarial loss beside the clean one.
        random_start: Size of a random start; 0 is none.
        untouched_ids: Token ids that are never perturbed, besides padding.
    """

    epsilon: float = 1.0
    alpha: float = 1.0
    steps: int = 1
    norm: str = "l2"
    weight: float = 1.0
    random_start: float = 0.0
    untouched_ids: tuple[int, ...] = ()


class Attack(ABC):
    """An adversarial method: which passes a training step makes, and what changes from pass to pass.

    The trainer runs one forward and backward pass for each of ``weights``, calls ``advance`` between them, and lets
    only the last one exchange gradients with other processes. All that a subclass says is here; it never sees the
    trainer, the optimizer or the loss scale.

    Attributes:
        default_epsilon, default_steps: Used where the arguments leave them open. 0.2 is about what a row of a batch
            of 32 receives from the usual snippet with epsilon 1; token vectors of BERT-like tables have norm 1 to 1.5.
        has_steps: Whether the number of steps and their size can be chosen.
        has_random_start: Whether it can begin at a random perturbation.
        touches_embeddings: Whether tokens can be left untouched.
        norms: The norms it knows.
        same_dropout: Whether all passes must use the same dropout masks.
        partial: Whether it can attack a fraction of the batch.
        has_own_loss: Whether it brings a loss (``row_losses``), and so can learn from a batch without labels.
        sharded: Whether it works where the parameters are sharded over processes (FSDP2).
    """

    default_epsilon = 0.2
    default_steps = 1
    has_steps = False
    has_random_start = False
    touches_embeddings = True
    norms: tuple[str, ...] = ("l2", "linf")
    same_dropout = False
    partial = True
    sharded = False
    has_own_loss = False

    def __init__(self, settings: AttackSettings) -> None:
        self.settings = settings

    @classmethod
    def default_alpha(cls, epsilon: float, steps: int) -> float:
        """Give the size of a step where the arguments leave it open."""
        return 2.5 * epsilon / steps

    @property
    @abstractmethod
    def weights(self) -> tuple[float, ...]:
        """How much each pass's parameter gradient counts; 0 for a pass that only the perturbation learns from."""

    @abstractmethod
    def install(self, model: PreTrainedModel) -> None:
        """Prepare the bare model before its first step; called again, do nothing."""

    @abstractmethod
    def remove(self) -> None:
        """Undo ``install``."""

    @abstractmethod
    def attached(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> Any:
        """Give the context manager in which the passes of one micro-batch run; its end restores the model."""

    @abstractmethod
    def advance(self, kept: Tensor | None) -> None:
        """Learn from the pass just run and set the perturbation of the next.

        Args:
            kept: Numbers of the rows that the next pass sees, shape ``(rows,)``; None if it sees the same ones.
        """

    @property
    def replaces_loss(self) -> bool:
        """Whether the pass about to run has a loss of the attack's own (``row_losses``) and needs no labels."""
        return False

    def see(self, outputs: Any) -> None:  # noqa: B027 - most attacks have no use for them
        """Look at the model's outputs of a pass whose loss is the model's."""

    def row_losses(self, outputs: Any, problem_type: str) -> Tensor:
        """Give the attack's own loss of each row, shape ``(B,)``."""
        raise NotImplementedError(f"{type(self).__name__} has no loss of its own.")


class EmbeddingAttack(Attack):
    """An attack on the output of the token table; a method says only where ``delta`` starts and how it moves.

    ``delta`` has the shape ``(B, T, E)``, is a leaf of its own in every pass, and so its gradient is that of this
    micro-batch alone, whatever accumulation, other processes and frozen or tied tables do to the parameters'.
    """

    def __init__(self, settings: AttackSettings) -> None:
        super().__init__(settings)
        self.number = 0
        self.mask: Tensor | None = None
        self._perturbation: EmbeddingPerturbation | None = None

    @abstractmethod
    def move(self, delta: Tensor, gradient: Tensor) -> Tensor:
        """Give the perturbation of the next pass.

        Args:
            delta: That of the pass just run (number ``self.number``, from 0), shape ``(B, T, E)``.
            gradient: The loss's gradient with respect to it, zero where a token must not be touched.

        Returns:
            Shape ``(B, T, E)``; untouchable tokens are set to zero afterwards.
        """

    def start(self, zeros: Tensor) -> Tensor:
        """Give the perturbation of the first pass, shape ``(B, T, E)``: none, unless a method wants one."""
        return zeros

    def install(self, model: PreTrainedModel) -> None:
        """Hook into the model's token table."""
        if self._perturbation is None:
            kinds = {getattr(getattr(part, "config", None), "model_type", None) for part in model.modules()}
            self._perturbation = EmbeddingPerturbation(token_table(model), time_first="xlnet" in kinds)

    def remove(self) -> None:
        """Take the hook off again."""
        if self._perturbation is not None:
            self._perturbation.remove()
        self._perturbation = None

    @contextmanager
    def attached(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Perturb what the token table gives, until the end of the context.

        Raises:
            ValueError: If the batch has no ``input_ids``.
        """
        if inputs.get("input_ids") is None:
            raise ValueError("adversarial training perturbs the embeddings of input_ids, and the batch has none.")
        hook = self._hook()
        ids = inputs["input_ids"]
        config: Any = getattr(model, "config", None)
        pad_token_id = getattr(config, "pad_token_id", None)
        mask = touchable_tokens(inputs, pad_token_id, self.settings.untouched_ids).to(hook.dtype)  # (B, T, 1)
        self.number, self.mask = 0, mask
        hook.delta = (self.start(hook.zeros(ids)) * mask).requires_grad_(True)
        try:
            yield
        finally:
            self.mask = hook.delta = None

    def advance(self, kept: Tensor | None) -> None:
        """Move ``delta`` by the gradient that the pass left on it.

        Raises:
            ValueError: If no gradient reached it, because the model never read its token table.
        """
        hook, mask = self._hook(), self._mask()
        delta = hook.delta
        if delta is None or delta.grad is None:
            raise ValueError("the loss does not depend on the token embeddings, so there is nothing to perturb.")
        moved = self.move(delta.detach(), delta.grad * mask) * mask
        self.number += 1
        if kept is not None:
            moved, self.mask = moved[kept], mask[kept]
        learns = self.number + 1 < len(self.weights)  # the last pass needs no gradient of delta
        hook.delta = moved.requires_grad_(learns)

    def _hook(self) -> EmbeddingPerturbation:
        if self._perturbation is None:
            raise RuntimeError("install() comes first.")
        return self._perturbation

    def _mask(self) -> Tensor:
        if self.mask is None:
            raise RuntimeError("advance() belongs into the context of attached().")
        return self.mask
