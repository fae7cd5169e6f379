"""How a text vector and a table vector become one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .linear import GlorotLinear


class Fusion(nn.Module):
    """Join the vector of the text and the vector of the table; the contract of every fusion.

    The result has the dtype of the text vector's computation; the table vector, which is float32, is cast.

    Args:
        output_size: Width ``O`` of the result.
    """

    def __init__(self, output_size: int) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, text: Tensor, table: Tensor) -> Tensor:
        """Join a batch.

        Args:
            text: Text vectors, shape ``(B, F)``.
            table: Table vectors, shape ``(B, D)``.

        Returns:
            Joint vectors, shape ``(B, output_size)``.
        """
        raise NotImplementedError


class ConcatFusion(Fusion):
    """Put both vectors side by side: ``[x; c]``.

    When: the default; hard to beat with enough rows and a hidden layer in the classifier.
    """

    def __init__(self, *, text_size: int, table_size: int) -> None:
        super().__init__(text_size + table_size)

    def forward(self, text: Tensor, table: Tensor) -> Tensor:
        """Join a batch; see ``Fusion``."""
        return torch.cat([text, table.to(text.dtype)], dim=-1)


class GatedFusion(Fusion):
    """Move the text vector by what the table says, as far as a gate lets it.

    ``h = W_2 relu(W_1 c)``, ``g = sigmoid(W_g [x; c])``, ``out = x + g * h``, all with biases: the multimodal
    adaptation gate of Rahman et al. (2020, arXiv:1908.05787, equations 3-5) with the sigmoid gate of Arevalo et
    al. (2017, arXiv:1702.01992) in place of its relu, a hidden layer, and no cap on the length of the shift.

    When: the table corrects the text rather than standing on its own; keeps the width of the text vector.
    """

    def __init__(self, *, text_size: int, table_size: int) -> None:
        super().__init__(text_size)
        self.shift = nn.Sequential(GlorotLinear(table_size, text_size), nn.ReLU(), GlorotLinear(text_size, text_size))
        self.gate = GlorotLinear(text_size + table_size, text_size)

    def forward(self, text: Tensor, table: Tensor) -> Tensor:
        """Join a batch; see ``Fusion``."""
        table = table.to(text.dtype)
        gate = torch.sigmoid(self.gate(torch.cat([text, table], dim=-1)))  # (B, F)
        return text + gate * self.shift(table)


class AttentionFusion(Fusion):
    """Let the text decide for each row how much of itself and how much of the table to keep.

    With ``m_1 = W_x x`` and ``m_2 = W_c c`` of the text's width ``F`` and the query ``q = W_q x``:
    ``a = softmax(q . m_i / sqrt(F))``, ``out = a_1 m_1 + a_2 m_2``. This is the scaled dot product of Vaswani et al.
    (2017, arXiv:1706.03762, equation 1) over two vectors that are key and value at once; the sum of projected
    modalities by attention is the idea of Multimodal-Toolkit (Gu and Budhkar, 2021), which scores additively.

    When: the table matters for some rows only. With few rows prefer ``concat``.
    """

    def __init__(self, *, text_size: int, table_size: int) -> None:
        super().__init__(text_size)
        self.query = GlorotLinear(text_size, text_size)
        self.text = GlorotLinear(text_size, text_size)
        self.table = GlorotLinear(table_size, text_size)

    def forward(self, text: Tensor, table: Tensor) -> Tensor:
        """Join a batch; see ``Fusion``."""
        table = table.to(text.dtype)
        modes = torch.stack([self.text(text), self.table(table)], dim=1)  # (B, 2, F)
        scores = (modes * self.query(text).unsqueeze(1)).sum(-1, keepdim=True) / math.sqrt(self.output_size)
        return (scores.softmax(1) * modes).sum(1)


def build_fusion(name: str, *, text_size: int, table_size: int) -> Fusion:
    """Build a fusion by name.

    Args:
        name: A key of ``FUSIONS``.
        text_size: Width ``F`` of the text vector.
        table_size: Width ``D`` of the table vector.

    Raises:
        ValueError: If there is no such fusion.
    """
    if name not in FUSIONS:
        raise ValueError(f"unknown fusion {name!r}; choose one of {', '.join(FUSIONS)}.")
    return FUSIONS[name](text_size=text_size, table_size=table_size)


FUSIONS: dict[str, type[ConcatFusion] | type[GatedFusion] | type[AttentionFusion]] = {
    "concat": ConcatFusion,
    "gated": GatedFusion,
    "attention": AttentionFusion,
}
