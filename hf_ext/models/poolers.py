"""How the token vectors of a text become one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .packing import build_rnn, run_packed


class SequencePooler(nn.Module):
    """Turn token vectors into one vector a text; the contract of every pooler.

    Padding may stand on either side and never changes the result, not even where its vectors are NaN. A row
    without any real token gives zeros.

    Args:
        output_size: Width ``F`` of the pooled vector.
    """

    def __init__(self, output_size: int) -> None:
        super().__init__()
        self.output_size = output_size

    @classmethod
    def from_settings(cls, hidden_size: int, settings: Mapping[str, Any]) -> SequencePooler:
        """Build the pooler from the settings that concern it; the rest are for other poolers."""
        raise NotImplementedError

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Pool a batch.

        Args:
            hidden_states: Token vectors, shape ``(B, T, H)``.
            attention_mask: 1 for a real token, 0 for padding, shape ``(B, T)``.

        Returns:
            One vector a row, shape ``(B, output_size)``.
        """
        raise NotImplementedError


class ClsPooler(SequencePooler):
    """Take the vector of one special token, as it stands.

    When: the default for encoders whose pretraining summarised the text there (BERT); otherwise prefer ``mean``.

    Args:
        hidden_size: Width of the token vectors.
        position: ``first`` real token, or ``last`` for encoders that put their summary at the end (XLNet).
    """

    def __init__(self, hidden_size: int, *, position: str = "first") -> None:
        super().__init__(hidden_size)
        if position not in ("first", "last"):
            raise ValueError(f"cls_position must be first or last, got {position!r}.")
        self.position = position

    @classmethod
    def from_settings(cls, hidden_size: int, settings: Mapping[str, Any]) -> ClsPooler:
        """Read ``cls_position``."""
        return cls(hidden_size, position=settings.get("cls_position", "first"))

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Pool a batch; see ``SequencePooler``."""
        real = attention_mask.bool()
        if self.position == "first":
            index = real.int().argmax(1)  # the first of equal maxima
        else:
            index = real.shape[1] - 1 - real.flip(1).int().argmax(1)
        picked = hidden_states[torch.arange(len(index), device=index.device), index]  # (B, H)
        return picked.masked_fill(~real.any(1, keepdim=True), 0.0)


class MeanPooler(SequencePooler):
    """Average the real tokens.

    When: sentence encoders, and encoders without a trained summary token (ModernBERT, models from scratch).
    """

    @classmethod
    def from_settings(cls, hidden_size: int, settings: Mapping[str, Any]) -> MeanPooler:
        """Read nothing."""
        return cls(hidden_size)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Pool a batch; see ``SequencePooler``."""
        real = attention_mask.bool().unsqueeze(-1)  # (B, T, 1)
        # Half precision would overflow (float16) or lose digits (bfloat16) while the sum is still large.
        total = hidden_states.masked_fill(~real, 0.0).sum(1, dtype=_wide(hidden_states))
        return (total / real.sum(1).clamp_min(1)).to(hidden_states.dtype)


class MaxPooler(SequencePooler):
    """Take the largest value of each feature over the real tokens.

    When: a label hangs on whether something occurs at all; the usual choice above a BiLSTM.
    """

    @classmethod
    def from_settings(cls, hidden_size: int, settings: Mapping[str, Any]) -> MaxPooler:
        """Read nothing."""
        return cls(hidden_size)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Pool a batch; see ``SequencePooler``."""
        real = attention_mask.bool()
        lowest = torch.finfo(hidden_states.dtype).min
        largest = hidden_states.masked_fill(~real.unsqueeze(-1), lowest).amax(1)  # (B, H)
        return largest.masked_fill(~real.any(1, keepdim=True), 0.0)


class AttentionPooler(SequencePooler):
    """Average the real tokens with learned weights (additive self-attention).

    ``u_t = tanh(W h_t + b)``, ``a = softmax_t(u_t . c)``, ``out = sum_t a_t h_t``: Yang et al. (2016, "Hierarchical
    Attention Networks for Document Classification", equations 5-7); Lin et al. (2017, arXiv:1703.03130) is the
    same without the bias and with several contexts ``c``. Here ``u`` is as wide as ``h``.

    When: a few tokens decide and their place varies; costs one linear layer more than ``mean``.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.projection = nn.Linear(hidden_size, hidden_size)
        self.context = nn.Linear(hidden_size, 1, bias=False)

    @classmethod
    def from_settings(cls, hidden_size: int, settings: Mapping[str, Any]) -> AttentionPooler:
        """Read nothing."""
        return cls(hidden_size)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Pool a batch; see ``SequencePooler``."""
        padding = ~attention_mask.bool().unsqueeze(-1)  # (B, T, 1)
        hidden_states = hidden_states.masked_fill(padding, 0.0)
        scores = self.context(torch.tanh(self.projection(hidden_states)))  # (B, T, 1)
        weights = scores.masked_fill(padding, torch.finfo(scores.dtype).min).softmax(1)
        # An empty row has equal weights over zeros, hence gives zeros.
        return (weights * hidden_states).sum(1).to(hidden_states.dtype)


class TextCNNPooler(SequencePooler):
    """Slide filters over the token vectors and keep the strongest answer of each (Kim, 2014, arXiv:1408.5882).

    ``c_i = relu(w . h_{i:i+k-1} + b)`` (equation 2), ``out = max_i c_i`` for every filter of every width ``k``.
    Unlike Kim's narrow windows ours may reach over both ends of the text, where the vectors are zero: a text
    shorter than the widest filter still has windows. Windows without any real token do not count.

    When: short texts whose label hangs on local phrases; for long texts prefer ``lstm``.

    Args:
        hidden_size: Width of the token vectors.
        num_filters: Filters of each width.
        filter_sizes: Widths, in tokens.
    """

    def __init__(self, hidden_size: int, *, num_filters: int = 256, filter_sizes: Sequence[int] = (3, 4, 5)) -> None:
        super().__init__(num_filters * len(filter_sizes))
        if num_filters < 1 or not filter_sizes or min(filter_sizes) < 1:
            raise ValueError(
                f"textcnn needs filter_num >= 1 and at least one filter size >= 1, got {num_filters} and "
                f"{list(filter_sizes)}."
            )
        self.filter_sizes = tuple(filter_sizes)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(hidden_size, num_filters, size, padding=size - 1) for size in filter_sizes
        )

    @classmethod
    def from_settings(cls, hidden_size: int, settings: Mapping[str, Any]) -> TextCNNPooler:
        """Read ``filter_num`` and ``filter_sizes``."""
        return cls(
            hidden_size,
            num_filters=settings.get("filter_num", 256),
            filter_sizes=settings.get("filter_sizes", (3, 4, 5)),
        )

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Pool a batch; see ``SequencePooler``."""
        real = attention_mask.bool()
        features = hidden_states.masked_fill(~real.unsqueeze(-1), 0.0).transpose(1, 2)  # (B, H, T)
        pooled = []
        for size, convolution in zip(self.filter_sizes, self.convolutions, strict=True):
            answers = convolution(features)  # (B, filters, T + k - 1)
            counts = _windows_with_tokens(real, size).unsqueeze(1)
            strongest = answers.masked_fill(~counts, torch.finfo(answers.dtype).min).amax(2)
            # relu commutes with the maximum, and turns a row without any window into zeros
            pooled.append(strongest.relu())
        return torch.cat(pooled, dim=-1)


class _RecurrentPooler(SequencePooler):
    kind: str

    def __init__(self, hidden_size: int, *, rnn_hidden_size: int = 300, num_layers: int = 2, dropout: float = 0.5):
        super().__init__(2 * rnn_hidden_size)
        self.rnn = build_rnn(self.kind, hidden_size, rnn_hidden_size, num_layers=num_layers, dropout=dropout)

    @classmethod
    def from_settings(cls, hidden_size: int, settings: Mapping[str, Any]) -> _RecurrentPooler:
        return cls(
            hidden_size,
            rnn_hidden_size=settings.get(f"{cls.kind}_hidden_size", 300),
            num_layers=settings.get(f"{cls.kind}_layers", 2),
            dropout=settings.get(f"{cls.kind}_dropout", 0.5),
        )

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        return run_packed(self.rnn, hidden_states, attention_mask)[1]


class LSTMPooler(_RecurrentPooler):
    """Read the text in both directions and join the last states of the top layer (Hochreiter and Schmidhuber, 1997).

    When: word order over long distances matters and the encoder below has little of it.

    Args:
        hidden_size: Width of the token vectors.
        rnn_hidden_size: Units in each direction.
        num_layers: Stacked layers.
        dropout: Dropout between layers.
    """

    kind = "lstm"


class GRUPooler(_RecurrentPooler):
    """Like ``LSTMPooler`` with gated recurrent units (Cho et al., 2014, arXiv:1406.1078).

    When: as ``lstm``, with a quarter fewer weights. Arguments are those of ``LSTMPooler``.
    """

    kind = "gru"


def build_pooler(name: str, hidden_size: int, settings: Mapping[str, Any]) -> SequencePooler:
    """Build a pooler by name.

    Args:
        name: A key of ``POOLERS``.
        hidden_size: Width of the token vectors.
        settings: Settings of all poolers together, of which each reads its own: ``cls_position``, ``filter_num``,
            ``filter_sizes``, ``lstm_hidden_size``, ``lstm_layers``, ``lstm_dropout``, and the same three for ``gru``.

    Raises:
        ValueError: If there is no such pooler.
    """
    if name not in POOLERS:
        raise ValueError(f"unknown pooler {name!r}; choose one of {', '.join(POOLERS)}.")
    return POOLERS[name].from_settings(hidden_size, settings)


def _wide(tensor: Tensor) -> torch.dtype:
    """Give the dtype for sums: at least float32, and float64 where it came so."""
    return torch.promote_types(tensor.dtype, torch.float32)


def _windows_with_tokens(real: Tensor, size: int) -> Tensor:
    """Tell which windows of a convolution padded by ``size - 1`` hold a real token, shape ``(B, T + size - 1)``."""
    padded = nn.functional.pad(real.float(), (size - 1, size - 1)).unsqueeze(1)
    return nn.functional.max_pool1d(padded, size, stride=1).squeeze(1).bool()


POOLERS: dict[str, type[SequencePooler]] = {
    "cls": ClsPooler,
    "mean": MeanPooler,
    "max": MaxPooler,
    "attention": AttentionPooler,
    "textcnn": TextCNNPooler,
    "lstm": LSTMPooler,
    "gru": GRUPooler,
}
