"""What every model of ours shares: an encoder of any family, loaded, initialised and resized as its own."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoModel, PreTrainedConfig, PreTrainedModel

from .configuration import ExtConfig
from .linear import init_weights as init_linear_weights
from .packing import init_weights as init_recurrent_weights
from .tabular import init_weights as init_tabular_weights
from .wide import init_weights as init_wide_weights

# Which kernels and savings a model of ours supports is decided by its encoder.
INHERITED_FLAGS = (
    "_supports_sdpa",
    "_supports_flash_attn",
    "_supports_flex_attn",
    "_supports_attention_backend",
    "supports_gradient_checkpointing",
)

ALIGNMENT = 64  # bytes; what torch gives the tensors that it allocates


class ExtPreTrainedModel(PreTrainedModel):
    """An encoder under its own family's name, ready for a head.

    The encoder is stored under the family's ``base_model_prefix`` (``bert``, ``model``, ``deberta``, ...), which
    becomes this instance's prefix as well: only so do both plain checkpoints (``embeddings...``) and task
    checkpoints (``bert.embeddings...``) find their place. The names of our own modules are chosen so that no
    family's head in a task checkpoint can be taken for one of them. Subclasses add modules, then call
    ``post_init``.

    Args:
        config: The configuration; its ``encoder_config`` is shared with the encoder.

    Raises:
        ValueError: If the encoder's family is an encoder-decoder, or has no plain model in transformers.
    """

    config_class = ExtConfig
    _keep_in_fp32_modules_strict = ["tabular", "wide"]  # noqa: RUF012 - the parent declares it

    def __init__(self, config: ExtConfig) -> None:
        encoder_class = _encoder_class(config.encoder_config)
        for flag in INHERITED_FLAGS:  # the parent's constructor reads them to choose the attention kernel
            setattr(self, flag, getattr(encoder_class, flag, False))
        super().__init__(config)
        # A pooling layer nobody reads would never get a gradient, which stops DistributedDataParallel.
        takes_pooling = "add_pooling_layer" in inspect.signature(encoder_class.__init__).parameters
        options = {"add_pooling_layer": False} if takes_pooling else {}
        # The dtype in a checkpoint's config must not make the encoder differ from the head.
        encoder = AutoModel.from_config(config.encoder_config, dtype=torch.get_default_dtype(), **options)
        for weight in encoder.parameters():  # XLNet makes some of its weights float32 whatever is asked for
            weight.data = weight.data.to(torch.get_default_dtype())
        self.base_model_prefix = encoder.base_model_prefix or "encoder"
        setattr(self, self.base_model_prefix, encoder)
        self._encoder_arguments = frozenset(inspect.signature(encoder.forward).parameters)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load as transformers does, then see to it that logits do not depend on where the file put the weights."""
        loaded = super().from_pretrained(*args, **kwargs)
        align_weights(loaded[0] if isinstance(loaded, tuple) else loaded)
        return loaded

    @property
    def encoder(self) -> PreTrainedModel:
        """The encoder, whatever its family calls itself."""
        return self._modules[self.base_model_prefix]  # type: ignore[return-value]

    def get_input_embeddings(self) -> nn.Module:
        """Return the encoder's token table."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the encoder's token table."""
        self.encoder.set_input_embeddings(value)

    def encode(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor,
        *,
        token_type_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the encoder.

        Args:
            input_ids: Token ids, shape ``(B, T)``, or None with ``inputs_embeds`` among the rest.
            attention_mask: 1 for a real token, 0 for padding, shape ``(B, T)``.
            token_type_ids: Segment ids, shape ``(B, T)``; dropped for families that know no segments, because
                their tokenizers may still send them.
            **kwargs: Anything else the encoder takes; what is None is left out.

        Returns:
            The encoder's output; element 0 holds the token vectors, shape ``(B, T, H)``.
        """
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, **kwargs}
        if "token_type_ids" in self._encoder_arguments:
            inputs["token_type_ids"] = token_type_ids
        return self.encoder(**{name: value for name, value in inputs.items() if value is not None})

    def default_attention_mask(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        """Tell real tokens from padding by the padding id; without ids every position is real.

        Returns:
            1 for a real token, 0 for padding, shape ``(B, T)``.

        Raises:
            ValueError: If both inputs are missing.
        """
        if input_ids is None and inputs_embeds is None:
            raise ValueError("the model needs input_ids or inputs_embeds; got neither.")
        if input_ids is not None and self.config.pad_token_id is not None:
            return (input_ids != self.config.pad_token_id).long()
        given: Tensor = inputs_embeds[..., 0] if input_ids is None else input_ids  # type: ignore[index]
        return torch.ones_like(given, dtype=torch.long)

    def _init_weights(self, module: nn.Module) -> None:
        # Loading builds on no memory at all; whatever is not set here is garbage (GRU weights, buffers).
        super()._init_weights(module)
        init_linear_weights(module)
        init_recurrent_weights(module)
        init_tabular_weights(module)
        init_wide_weights(module)


def align_weights(model: nn.Module) -> None:
    """Move weights that lie off a 64-byte boundary to memory of their own.

    A loaded weight lies in the mapped file, wherever its header ends. The kernels of a CPU round differently there
    than in torch's own aligned memory, so that a saved and loaded model gives almost, but not bitwise, equal
    logits (measured: 8 of 40 recurrent models).
    """
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.device.type == "cpu" and tensor.data_ptr() % ALIGNMENT:
            tensor.data = tensor.data.clone()


def _encoder_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    if config.is_encoder_decoder:
        raise ValueError(f"{config.model_type} is an encoder-decoder; a classifier of ours stands on an encoder alone.")
    if type(config) not in MODEL_MAPPING:
        raise ValueError(f"transformers has no plain model (AutoModel) for model_type {config.model_type!r}.")
    found: Any = MODEL_MAPPING[type(config)]
    return found[0] if isinstance(found, (tuple, list)) else found
