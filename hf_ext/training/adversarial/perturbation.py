"""Perturbations of a token table's output: their size, their direction, and the hook that adds them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

NORMS = ("l2", "linf")


def size_per_row(values: Tensor, norm: str) -> Tensor:
    """Measure each row over all its tokens and dimensions.

    Args:
        values: Shape ``(B, T, E)``.
        norm: ``"l2"`` (root of the summed squares) or ``"linf"`` (largest absolute value).

    Returns:
        Shape ``(B, 1, 1)``.
    """
    flat = values.flatten(1)  # (B, T * E)
    size = flat.abs().amax(1) if norm == "linf" else torch.linalg.vector_norm(flat, dim=1)
    return size[:, None, None]  # (B, 1, 1)


def steepest(gradient: Tensor, norm: str) -> Tensor:
    """Give the perturbation of size 1 that raises each row's loss most, to first order.

    ``g / ||g||_2`` for l2, ``sign(g)`` for linf. A row without a finite, non-zero gradient is left alone.

    Args:
        gradient: Gradient of the loss, shape ``(B, T, E)``.
        norm: ``"l2"`` or ``"linf"``.

    Returns:
        Shape ``(B, T, E)``.
    """
    size = size_per_row(gradient, norm)
    usable = torch.isfinite(size) & (size > 0)
    unit = gradient.sign() if norm == "linf" else gradient / torch.where(usable, size, 1.0)
    return torch.where(usable, unit, 0.0)


def project(delta: Tensor, radius: float, norm: str) -> Tensor:
    """Bring each row's perturbation back to at most ``radius``, by the shortest way.

    Args:
        delta: Shape ``(B, T, E)``.
        radius: Largest size allowed.
        norm: ``"l2"`` (scale down) or ``"linf"`` (clip).

    Returns:
        Shape ``(B, T, E)``.
    """
    if norm == "linf":
        return delta.clamp(-radius, radius)
    size = size_per_row(delta, norm)
    return delta * torch.where(size > radius, radius / size, 1.0)


def random_perturbation(like: Tensor, mask: Tensor, size: float, norm: str) -> Tensor:
    """Draw a perturbation of the given size for each row, from torch's global random numbers.

    Args:
        like: What it is to be added to, shape ``(B, T, E)``.
        mask: 1 where it may be other than zero, shape ``(B, T, 1)``.
        size: Its norm (l2: exactly; linf: uniform up to it).
        norm: ``"l2"`` or ``"linf"``.

    Returns:
        Shape ``(B, T, E)``.
    """
    if norm == "linf":
        return torch.empty_like(like).uniform_(-size, size) * mask
    return size * steepest(torch.randn_like(like) * mask, norm)


def touchable_tokens(inputs: Mapping[str, Any], pad_token_id: int | None, untouched_ids: tuple[int, ...]) -> Tensor:
    """Tell which positions may be perturbed: real tokens, less the special ones if they are named.

    Args:
        inputs: A batch with ``input_ids`` of shape ``(B, T)``; its ``attention_mask``, if of that shape, says what
            is padding, otherwise ``pad_token_id`` does.
        pad_token_id: Id of padding, if known.
        untouched_ids: Ids of tokens that are left alone besides.

    Returns:
        1.0 or 0.0, shape ``(B, T, 1)``.
    """
    ids = inputs["input_ids"]
    attention_mask = inputs.get("attention_mask")
    if attention_mask is not None and attention_mask.shape == ids.shape:
        touchable = attention_mask != 0
    elif pad_token_id is not None:
        touchable = ids != pad_token_id
    else:
        touchable = torch.ones_like(ids, dtype=torch.bool)
    if untouched_ids:
        touchable = touchable & ~torch.isin(ids, _on_device(untouched_ids, ids.device))
    return touchable.unsqueeze(-1).float()  # (B, T, 1)


@lru_cache(maxsize=8)
def _on_device(ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Keep the ids where they are needed: a copy at each step would make the host wait."""
    return torch.tensor(ids, device=device)


class EmbeddingPerturbation:
    """A forward hook on a token table that adds ``delta`` to its output while there is one.

    It is installed once and then only switched: a compiled model does not notice hooks that come later.

    Args:
        table: The module of ``get_input_embeddings()``.
        time_first: Whether the model asks it for tokens of shape ``(T, B)``.

    Raises:
        ValueError: If the table does not say how wide its output is.
    """

    def __init__(self, table: nn.Module, *, time_first: bool = False) -> None:
        weight = getattr(table, "weight", None)
        if weight is None or weight.dim() != 2:
            raise ValueError(f"{type(table).__name__} is no token table that can be perturbed: it has no 2-d weight.")
        self.width = weight.shape[1]
        self.dtype = torch.promote_types(weight.dtype, torch.float32)
        self.time_first = time_first
        self.delta: Tensor | None = None
        self._handle = table.register_forward_hook(self)

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        """Add ``delta`` of shape ``(B, T, E)``; leave the output alone without one.

        Raises:
            ValueError: If the table was asked for other rows than the batch has.
        """
        if self.delta is None:
            return None
        delta = self.delta.transpose(0, 1) if self.time_first else self.delta
        if output.dim() == 3 and len(output) == len(delta) and output.shape[1] > delta.shape[1]:
            # models with windows or blocks fill the row up by themselves
            delta = functional.pad(delta, (0, 0, 0, output.shape[1] - delta.shape[1]))
        if output.shape != delta.shape:
            raise ValueError(
                f"the model looked up token vectors of shape {tuple(output.shape)} for a batch of "
                f"{tuple(delta.shape)}; adversarial training needs one vector for each of input_ids."
            )
        return output + delta.to(output.dtype)

    def zeros(self, ids: Tensor) -> Tensor:
        """Give a perturbation of nothing for token ids of shape ``(B, T)``; shape ``(B, T, E)``."""
        return torch.zeros(*ids.shape, self.width, dtype=self.dtype, device=ids.device)

    def remove(self) -> None:
        """Take the hook off the table."""
        self.delta = None
        self._handle.remove()


def token_table(model: nn.Module) -> nn.Module:
    """Give the module that turns token ids into vectors.

    Raises:
        ValueError: If the model does not say which one it is, as every ``PreTrainedModel`` does.
    """
    find: Any = getattr(model, "get_input_embeddings", None)
    if find is None:
        name = type(model).__name__
        raise ValueError(f"adversarial training needs the token table: give {name} a method get_input_embeddings.")
    return find()
