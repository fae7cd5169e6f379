"""Keep the lower part of an encoder as it was loaded."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from .layers import embedding_weights, layer_stack


def freeze_encoder(model: PreTrainedModel, layers: str | int) -> int:
    """Take the encoder, or its embeddings and first layers, out of training.

    The head stays trainable, and so does an encoder's pooling layer (``bert.pooler``), which belongs to the head in
    all but name: checkpoints often lack it, and a frozen random layer would help nobody.

    When: little data or little time; the lower layers hold what is common to all texts (Lee et al., 2019,
    arXiv:1911.03090).

    Args:
        model: A model with a head, stock or ours.
        layers: ``"all"``, or the number ``n`` of lower layers to freeze together with every embedding; 0 freezes
            the embeddings alone.

    Returns:
        The number of frozen weights (scalars).

    Raises:
        ValueError: If the encoder cannot be told from the head, or has no ``n`` layers of its own.
    """
    encoder = model.base_model
    if encoder is model:
        raise ValueError(f"{type(model).__name__} does not say which part of it is the encoder, so nothing is frozen.")
    if layers == "all":
        frozen = [weight for name, weight in encoder.named_parameters() if not name.startswith("pooler.")]
    else:
        frozen = _lower_part(encoder, int(layers))
    for weight in frozen:
        weight.requires_grad_(False)
    return sum(weight.numel() for weight in frozen)


def _lower_part(encoder: nn.Module, count: int) -> list[nn.Parameter]:
    _, stack = layer_stack(encoder)
    if count:
        _check_count(encoder.config, len(stack), count)
    lower = [weight for layer in stack[:count] for weight in layer.parameters()]
    return list(embedding_weights(encoder).values()) + lower


def _check_count(config: Any, available: int, count: int) -> None:
    applied = getattr(config, "num_hidden_layers", available)
    if available < applied:
        raise ValueError(
            f"{config.model_type} applies {available} shared layer(s) {applied} times, so its first {count} cannot be "
            "frozen alone; freeze 'all', or 0 for the embeddings."
        )
    if count > available:
        raise ValueError(f"cannot freeze {count} layers: the {config.model_type} encoder has {available}.")
