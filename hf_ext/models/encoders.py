"""A small encoder that is trained from scratch: token vectors and, if asked for, recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from .encoder_arguments import EncoderArguments
from .packing import RNN_CLASSES, build_rnn, init_weights, run_packed


class RecurrentEncoderConfig(PreTrainedConfig):
    """Sizes of a ``RecurrentEncoder``.

    Args:
        vocab_size: Rows of the token table.
        embedding_size: Width of a token vector.
        embedding_dropout: Dropout on the token vectors.
        rnn: ``none``, ``lstm`` or ``gru``; recurrent layers are bidirectional.
        rnn_hidden_size: Units in each direction.
        rnn_layers: Stacked recurrent layers.
        rnn_dropout: Dropout between recurrent layers.
        pad_token_id: The id whose vector is zero and which is padding where no mask is given; may be None.
        initializer_range: Standard deviation of fresh token vectors; larger than the usual 0.02, which leaves a
            shallow model without LayerNorm too little signal to start on.
    """

    model_type = "hf_ext_recurrent"

    vocab_size: int = 30000
    embedding_size: int = 200
    embedding_dropout: float = 0.3
    rnn: str = "none"
    rnn_hidden_size: int = 256
    rnn_layers: int = 1
    rnn_dropout: float = 0.0
    pad_token_id: int | None = 0
    initializer_range: float = 0.1

    def __post_init__(self, **kwargs: Any) -> None:
        """Check the choice that would otherwise fail far from here."""
        if self.rnn != "none" and self.rnn not in RNN_CLASSES:
            raise ValueError(f"rnn must be one of none, {', '.join(RNN_CLASSES)}; got {self.rnn!r}.")
        super().__post_init__(**kwargs)

    @classmethod
    def from_arguments(
        cls, arguments: EncoderArguments, *, rnn: str, vocab_size: int, pad_token_id: int
    ) -> RecurrentEncoderConfig:
        """Take the sizes from the flags of a run.

        Args:
            arguments: The flags.
            rnn: ``none``, ``lstm`` or ``gru``.
            vocab_size: Rows of the token table.
            pad_token_id: The padding id.

        Raises:
            ValueError: If another dtype than float32 is asked for.
        """
        if arguments.dtype not in (None, "auto", "float32"):
            raise ValueError(
                f"a model from scratch is built in float32, not {arguments.dtype}; --bf16 trains it faster."
            )
        return cls(
            vocab_size=vocab_size,
            pad_token_id=pad_token_id,
            embedding_size=arguments.embedding_size,
            embedding_dropout=arguments.embedding_dropout,
            rnn=rnn,
            rnn_hidden_size=arguments.rnn_hidden_size,
            rnn_layers=arguments.rnn_layers,
            rnn_dropout=arguments.rnn_dropout,
        )

    @property
    def hidden_size(self) -> int:
        """The width of the encoder's output; follows from the other sizes and is therefore not stored."""
        return self.embedding_size if self.rnn == "none" else 2 * self.rnn_hidden_size


class RecurrentEncoder(PreTrainedModel):
    """Embed tokens and optionally run a BiLSTM or BiGRU over them.

    When: no pretrained encoder fits the language, the domain or the time budget.
    """

    config_class = RecurrentEncoderConfig
    base_model_prefix = "recurrent"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    # There is no attention here, hence no choice of kernel to refuse when one is set for the whole run.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: RecurrentEncoderConfig) -> None:
        super().__init__(config)
        self.embeddings: nn.Module = nn.Embedding(
            config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id
        )
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.rnn = (
            build_rnn(
                config.rnn,
                config.embedding_size,
                config.rnn_hidden_size,
                num_layers=config.rnn_layers,
                dropout=config.rnn_dropout,
            )
            if config.rnn != "none"
            else None
        )
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the token table."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token table."""
        self.embeddings = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple[Tensor, ...]:
        """Encode a batch of token sequences.

        Args:
            input_ids: Token ids, shape ``(B, T)``; beside ``inputs_embeds`` they only tell padding.
            attention_mask: 1 for a real token, 0 for padding, on either side, shape ``(B, T)``. If missing, every
                token but ``pad_token_id`` is real; without ids, every position is.
            inputs_embeds: Token vectors instead of looked-up ones, shape ``(B, T, embedding_size)``.
            output_hidden_states: Also return the token vectors below the recurrent layers.
            return_dict: False for a plain tuple.

        Returns:
            ``last_hidden_state`` of shape ``(B, T, hidden_size)``, zeros at padding.
        """
        if input_ids is None and inputs_embeds is None:
            raise ValueError("RecurrentEncoder needs input_ids or inputs_embeds; got neither.")
        vectors = self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, E)
        if attention_mask is None:
            attention_mask = self._default_mask(input_ids, vectors)
        vectors = self.dropout(vectors).masked_fill(~attention_mask.bool().unsqueeze(-1), 0.0)
        states = vectors if self.rnn is None else self._run_rnn(self.rnn, vectors, attention_mask)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = BaseModelOutput(last_hidden_state=states, hidden_states=(vectors, states) if wanted else None)
        as_dict = self.config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()

    def _default_mask(self, input_ids: Tensor | None, vectors: Tensor) -> Tensor:
        if input_ids is None or self.config.pad_token_id is None:
            return torch.ones(vectors.shape[:2], dtype=torch.long, device=vectors.device)
        return (input_ids != self.config.pad_token_id).long()

    def _run_rnn(self, rnn: nn.LSTM | nn.GRU, vectors: Tensor, attention_mask: Tensor) -> Tensor:
        if self.gradient_checkpointing and self.training:
            return self._gradient_checkpointing_func(run_packed, rnn, vectors, attention_mask)[0]
        return run_packed(rnn, vectors, attention_mask)[0]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        init_weights(module)


def set_word_vectors(encoder: RecurrentEncoder, vectors: Mapping[int, Sequence[float]]) -> None:
    """Write given vectors into the token table; other tokens, and the padding token, keep what they have.

    Args:
        encoder: The encoder to write into.
        vectors: Token id to vector; each as wide as ``embedding_size``.

    Raises:
        ValueError: If an id is not a row of the table, or a vector has another width or a non-finite number.
    """
    weight = encoder.get_parameter("embeddings.weight")
    rows, width = weight.shape
    for token_id, vector in vectors.items():
        if not 0 <= token_id < rows:
            raise ValueError(f"token id {token_id} is not a row of the token table, which has {rows} rows.")
        if len(vector) != width:
            raise ValueError(f"the vector of token id {token_id} has {len(vector)} numbers; the table holds {width}.")
    chosen = [token_id for token_id in vectors if token_id != encoder.config.pad_token_id]
    if not chosen:
        return
    values = torch.stack([torch.as_tensor(vectors[token_id], dtype=weight.dtype) for token_id in chosen])
    finite = values.isfinite().all(1)
    if not finite.all():
        raise ValueError(f"the vector of token id {chosen[int(finite.int().argmin())]} holds a non-finite number.")
    with torch.no_grad():
        weight.index_copy_(0, torch.tensor(chosen, device=weight.device), values.to(weight.device))


AutoConfig.register(RecurrentEncoderConfig.model_type, RecurrentEncoderConfig, exist_ok=True)
AutoModel.register(RecurrentEncoderConfig, RecurrentEncoder, exist_ok=True)
