"""Small matrices beside the frozen ones of an encoder, for the length of a training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.utils import is_peft_available

from hf_ext.errors import UserError
from hf_ext.training.lora.places import find_targets, find_trained_in_full
from hf_ext.training.lora_arguments import LoraArguments

logger = logging.getLogger(__name__)

ADAPTER = "default"  # as peft calls the only one
LOW_RATE = 5e-5  # usual for every weight, too low for matrices that begin at nothing


def add_lora(model: PreTrainedModel, args: Any, *, new_rows: Sequence[int] = ()) -> Any:
    """Freeze an encoder and put small matrices beside its linear layers, if ``lora_r`` asks for it.

    ``W x`` becomes ``W x + alpha / r * B A x`` with ``A`` of ``r`` rows and ``B`` of ``r`` columns, the only ones that
    learn; ``B`` begins at 0, so the model begins as it was (Hu et al., 2022, arXiv:2106.09685, section 4.1). The paper
    adapts queries and values; we adapt every linear layer of the attention unless ``lora_target_modules`` says
    otherwise. All above the encoder learns in full, and so do the rows of new tokens. Made by the library peft.

    When: memory or disk are short, or one encoder serves many tasks; with both at hand full fine-tuning is the
    simpler choice and often a little better.

    Args:
        model: Encoder and head, as loaded; changed in place.
        args: ``ExtTrainingArguments``.
        new_rows: Ids of tokens that joined the vocabulary.

    Returns:
        A ``peft.PeftModel`` around the model; the model itself without ``lora_r``, or where the run does not train.

    Raises:
        UserError: If peft is missing, or the encoder has no such layers.
    """
    if args.lora_r is None or not args.do_train:
        return model
    require_peft()
    from peft import LoraConfig, get_peft_model

    total = sum(weight.numel() for weight in model.parameters())
    targets, full = find_targets(model, args.lora_target_modules), find_trained_in_full(model)
    settings = LoraConfig(
        r=args.lora_r,
        lora_alpha=scale_of(args),  # type: ignore[arg-type]
        lora_dropout=args.lora_dropout,
        target_modules=targets,
        modules_to_save=full or None,
        trainable_token_indices=_rows_of_tables(model, new_rows),
    )
    adapted = get_peft_model(model, settings)
    # without a name peft does not look for the vocabulary of the original, on the Hub, at every checkpoint
    adapted.peft_config[ADAPTER].base_model_name_or_path = ""
    trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    logger.info(
        "LoRA: %s of %s weights are trained: rank %d beside %d linear layers, and in full %s.",
        _millions(trained),
        _millions(total),
        args.lora_r,
        len(targets),
        ", ".join(full + (["the rows of new tokens"] if new_rows else [])) or "nothing",
    )
    if args.learning_rate <= LOW_RATE:
        logger.warning(
            "--learning_rate %g suits the training of every weight; with --lora_r 2e-4 to 1e-3 is usual.",
            args.learning_rate,
        )
    return adapted


def scale_of(args: LoraArguments) -> float:
    """Give ``lora_alpha``, which is ``lora_r`` where it is unset."""
    return float(args.lora_r or 0) if args.lora_alpha is None else args.lora_alpha


def require_peft() -> None:
    """Ask for the library.

    Raises:
        UserError: Naming the extra that brings it.
    """
    if not is_peft_available():
        raise UserError("--lora_r needs the package peft", fix="pip install 'hf_ext[peft]'")


def _rows_of_tables(model: PreTrainedModel, rows: Sequence[int]) -> dict[str, list[int]] | None:
    """Name the tables that have a row for each token: the first, and the decoder if it has its own."""
    if not rows:
        return None
    table, decoder = model.get_input_embeddings(), model.get_output_embeddings()
    tables = [table]
    if decoder is not None and decoder.weight is not table.weight:
        tables.append(decoder)
    return {_name_in(model, each): list(rows) for each in tables}


def _name_in(model: nn.Module, module: nn.Module) -> str:
    return next(name for name, known in model.named_modules() if known is module)


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g} M"
