"""Batches without padding inside the encoder, where it can be had."""

from __future__ import annotations

import functools
import logging
from typing import Any

from transformers import Trainer
from transformers.trainer_utils import has_length

from hf_ext.models.packed_encoder import pack_encoder
from hf_ext.training.batching.arguments import DYNAMIC, GROUP, PACK

logger = logging.getLogger(__name__)


def pack_or_group(trainer: Trainer) -> str:
    """Pack the encoder of a trainer's model; where it cannot be, choose the strategy that saves most without.

    With ``model_init`` every model that it makes is packed: Trainer asks for a new one at the start of training.

    Returns:
        ``pack``; else ``group``, or ``dynamic`` where rows are streamed or come in an order that was asked for.
    """
    if trainer.model is not None and pack_encoder(trainer.model):
        if trainer.model_init is not None:
            trainer.model_init = _packing(trainer.model_init)
        return PACK
    rows = trainer.train_dataset
    can_group = (rows is None or has_length(rows)) and trainer.args.train_sampling_strategy == "random"
    chosen = GROUP if can_group else DYNAMIC
    config = getattr(trainer.model, "config", None)
    logger.warning(
        "--length_strategy pack: this encoder (%s, attention %s) does not compute without padding; taking %s.",
        getattr(config, "model_type", type(trainer.model).__name__),
        getattr(config, "_attn_implementation", None) or "of its own",
        chosen,
    )
    return chosen


def _packing(model_init: Any) -> Any:
    @functools.wraps(model_init)  # Trainer counts its parameters
    def build(*trial: Any) -> Any:
        model = model_init(*trial)
        if not pack_encoder(model):
            logger.warning("This model of model_init does not compute without padding; it is trained with it.")
        return model

    return build
