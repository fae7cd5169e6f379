"""Attacked training with sharded parameters (FSDP2); ``main`` runs in two processes."""

from __future__ import annotations

import tempfile

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from adversarial_cases import METHODS
from adversarial_models import ROWS, build_model, build_rows, collate
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import PrinterCallback, TrainerCallback

from hf_ext.training import ExtTrainer, ExtTrainingArguments

CASES = [(head, arm, steps) for head in ("stock", "ext") for arm in ("fgm", "freelb") for steps in (1, 2)]


class CatchWholeGradient(TrainerCallback):
    """Copy every gradient, put together from its shards."""

    def __init__(self):
        self.gradients = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                gradient = parameter.grad
                self.gradients[name] = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient.clone()
        self.sharded = all(isinstance(parameter, DTensor) for parameter in model.parameters())


def sharded_gradient(head, arm, steps):
    """Give the gradient of one optimizer step over all rows on the sharded model."""
    catch = CatchWholeGradient()
    flags = {f"adversarial_{name}": value for name, value in METHODS[arm].items()}
    with tempfile.TemporaryDirectory() as folder:
        args = ExtTrainingArguments(
            output_dir=folder,
            use_cpu=True,
            disable_tqdm=True,
            max_steps=1,
            max_grad_norm=0.0,
            save_strategy="no",
            train_sampling_strategy="sequential",
            per_device_train_batch_size=ROWS // (2 * steps),
            gradient_accumulation_steps=steps,
            remove_unused_columns=False,
            fsdp=True,
            fsdp_config={"fsdp_version": 2, "transformer_layer_cls_to_wrap": ["BertLayer"]},
            adversarial=arm,
            **flags,
        )
        # accelerate 1.15 shards on GPUs and the like only, and on CPUs quietly falls back to DDP: tell it otherwise
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_XPU
        trainer = ExtTrainer(build_model(head), args, collate, train_dataset=build_rows(head), callbacks=[catch])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    assert catch.sharded
    return catch.gradients


def main(path):
    """Compute every case and let process 0 write the gradients to one file."""
    torch.set_num_threads(1)
    found = {}
    for head, arm, steps in CASES:
        for name, gradient in sharded_gradient(head, arm, steps).items():
            found[f"{head}/{arm}/{steps}/{name}"] = gradient.contiguous()
    if torch.distributed.get_rank() == 0:
        save_file(found, path)
    torch.distributed.destroy_process_group()
