"""Tiny models with LoRA, trained for a few steps; ``main`` runs in two processes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from average_cases import copy_of, run
from safetensors.torch import save_file
from training_models import tiny_bert

from hf_ext.training.lora.adapter import add_lora

LORA = {"lora_r": 2, "lora_alpha": 6.0, "lora_dropout": 0.0, "lora_target_modules": "attention"}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def adapt(model=None, *, new_rows=(), **changes):
    """Put LoRA on a model, by default a tiny BERT with the same weights every time, as a script would."""
    args = SimpleNamespace(**{**LORA, "do_train": True, "learning_rate": 1e-2, **changes})
    model = tiny_bert() if model is None else model
    torch.manual_seed(3)
    return add_lora(model, args, new_rows=new_rows)


def learning(model):
    """Copy what learns."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


def main(folder: Path) -> None:
    """Train as one process does, half of each batch in each of two; the first writes what they end with."""
    trainer = run(folder / "run", model=adapt(tiny_bert(**NO_DROPOUT)), processes=2)
    if trainer.is_world_process_zero():
        save_file(copy_of(trainer.model), folder / "found")
    trainer.accelerator.wait_for_everyone()
    torch.distributed.destroy_process_group()
