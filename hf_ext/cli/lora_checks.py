"""Refuse what LoRA does not go with, before anything is read."""

from __future__ import annotations

import logging
from typing import Any

from hf_ext.errors import UserError
from hf_ext.training.arguments import ExtTrainingArguments
from hf_ext.training.lora.adapter import require_peft

logger = logging.getLogger(__name__)

WITHOUT = "leave it out, or train every weight without --lora_r"


def check_lora(args: ExtTrainingArguments, model_args: Any) -> None:
    """Refuse ``lora_r`` beside flags that it contradicts.

    Args:
        args: The run's training arguments.
        model_args: Which model; of any of the scripts.

    Raises:
        UserError: For a model from scratch, a missing package, or a flag that needs what LoRA freezes.
    """
    if args.lora_r is None:
        return
    if not args.do_train:
        logger.warning("--lora_r does nothing without --do_train.")
        return
    require_peft()
    if model_args.model_name_or_path is None:
        raise UserError("--lora_r trains beside a pretrained encoder", fix="name one by --model_name_or_path")
    if model_args.freeze_encoder:
        raise UserError("--lora_r freezes the encoder itself", fix="leave out --freeze_encoder")
    if getattr(model_args, "train_new_rows_steps", None):
        raise UserError(
            "--train_new_rows_steps writes the other rows of the token table back, which --lora_r does not train",
            fix="leave it out: the new rows learn from the first step on",
        )
    if args.adversarial == "fgm_weight":
        raise UserError("--adversarial fgm_weight perturbs the token table, which --lora_r freezes", fix="use fgm")
    if args.fsdp or args.deepspeed:
        raise UserError("--lora_r is merged in each process, and FSDP and DeepSpeed cut the weights up", fix=WITHOUT)
    checkpointing = args.gradient_checkpointing_kwargs
    if isinstance(checkpointing, dict) and checkpointing.get("use_reentrant"):
        raise UserError("--lora_r gets no gradient from reentrant checkpointing", fix='set "use_reentrant": false')
