"""A model on its device: rows of features in batches of similar length, answers in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from hf_ext.errors import UserError
from hf_ext.training.precision import fastest_precision

PRECISIONS = ("fp32", "bf16", "fp16", "auto")

Features = Mapping[str, Any]


@dataclass
class Engine:
    """Compute a model's outputs row by row.

    Args:
        model: The model, in evaluation mode.
        device: Where it computes.
        precision: ``fp32``, ``bf16`` or ``fp16``; the last two by autocast, as in training. Weights stay float32.
        batch_size: Rows that are computed at once.
    """

    model: PreTrainedModel
    device: torch.device
    precision: str = "fp32"
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}.")
        self.model.to(self.device)  # type: ignore[arg-type]

    def run(
        self,
        rows: Sequence[Features],
        collate: Callable[[Sequence[Features]], Mapping[str, Tensor]],
        choose: Callable[[Any], Sequence[Tensor]],
    ) -> list[tuple[np.ndarray, ...]]:
        """Compute all rows, the longest first, so that lack of memory shows at once.

        Args:
            rows: Features of each row, ``input_ids`` among them.
            collate: Makes a padded batch of some rows.
            choose: Takes the wanted tensors, each of shape ``(B, ...)``, from the model's output.

        Returns:
            By row, in the order of ``rows``, what ``choose`` gave, each with the padding of its batch.
        """
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]), reverse=True)
        found: list[tuple[np.ndarray, ...]] = [()] * len(rows)
        for start in range(0, len(order), self.batch_size):
            places = order[start : start + self.batch_size]
            batch = {name: value.to(self.device) for name, value in collate([rows[i] for i in places]).items()}
            with torch.inference_mode(), self._autocast():
                chosen = [to_numpy(tensor) for tensor in choose(self.model(**batch))]
            for row, place in enumerate(places):
                found[place] = tuple(part[row] for part in chosen)
        return found

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16 if self.precision == "bf16" else torch.float16)


def choose_device(name: str | None = None) -> torch.device:
    """Take the device that is named, else the accelerator that there is, else the CPU.

    Raises:
        UserError: If there is no such device.
    """
    if name is None:
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"device {name!r} cannot be used ({reason})", fix="leave --device out, or say cpu") from error
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """Resolve ``auto`` for a device.

    Raises:
        ValueError: If the name is not one of ``PRECISIONS``.
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {name!r}.")
    return fastest_precision(use_cpu=device.type == "cpu")[0] if name == "auto" else name


def to_numpy(tensor: Tensor) -> np.ndarray:
    """Bring a tensor to the CPU, numbers of half precision as float32."""
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
