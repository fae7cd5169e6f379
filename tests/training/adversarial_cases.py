"""The gradient of one attacked optimizer step through a trainer; ``main`` runs in two processes.

``PYTHONPATH=tests python tests/training/adversarial_cases.py --table`` prints the distance of each from the reference.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from adversarial_models import HEADS, ROWS, build_model, build_rows, collate
from adversarial_reference import (
    ALPHA,
    EPSILON,
    STEPS,
    VAT_ALPHA,
    VAT_STEPS,
    fixed_direction,
    reference_gradient,
    relative_error,
)
from forked_runs import succeed_in_two_processes
from safetensors.torch import load_file, save_file
from transformers import PrinterCallback, TrainerCallback

from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.adversarial import virtual as virtual_adversarial

METHODS = {
    "fgm": {"epsilon": EPSILON},
    "pgd": {"epsilon": EPSILON, "alpha": ALPHA, "steps": STEPS},
    "freelb": {"epsilon": EPSILON, "alpha": ALPHA, "steps": STEPS},
    "vat": {"epsilon": EPSILON, "alpha": VAT_ALPHA, "steps": VAT_STEPS},
    "awp": {"epsilon": 0.1},
    "fgm_weight": {"epsilon": EPSILON},
}
ACCUMULATIONS = (1, 4)


class UsualSnippet(ExtTrainer):
    """FGM as it is copied around: the attack reads the table's ``.grad`` after the step, then adds a second backward.

    The first pass has the right loss scale here (ExtTrainer's), so what is wrong is the snippet's own.
    """

    def training_step(self, model, inputs, num_items_in_batch=None):
        loss = super().training_step(model, inputs, num_items_in_batch)
        inputs = self._prepare_inputs(inputs)
        table = self.accelerator.unwrap_model(model).get_input_embeddings().weight
        backup = table.data.clone()
        norm = torch.norm(table.grad)
        if norm != 0 and not torch.isnan(norm):
            table.data.add_(EPSILON * table.grad / norm)
        self.second_pass(model, inputs, num_items_in_batch)
        table.data = backup
        return loss

    def second_pass(self, model, inputs, num_items_in_batch):
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs)
        self.accelerator.backward(loss)


class ScaledSnippet(UsualSnippet):
    """The same with the right loss scale in the second pass too."""

    def second_pass(self, model, inputs, num_items_in_batch):
        ExtTrainer.training_step(self, model, inputs, num_items_in_batch)


SNIPPETS = {"usual": UsualSnippet, "scaled": ScaledSnippet}  # compared with fgm_weight, which is what they mean


class CatchGradient(TrainerCallback):
    """Copy every gradient as the optimizer would see it."""

    def __init__(self):
        self.gradients = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                self.gradients[name.removeprefix("module.")] = parameter.grad.clone()


def step_gradient(head, arm, steps, processes=1, rows=None, **flags):
    """Give the gradient of one optimizer step over all rows, cut into ``steps`` micro-batches a process."""
    catch = CatchGradient()
    method = {} if arm in SNIPPETS else {"adversarial": arm}
    method.update({f"adversarial_{name}": value for name, value in METHODS.get(arm, {}).items()})
    original = virtual_adversarial.random_perturbation
    virtual_adversarial.random_perturbation = fixed_direction
    try:
        with tempfile.TemporaryDirectory() as folder:
            args = ExtTrainingArguments(
                output_dir=folder,
                use_cpu=True,
                disable_tqdm=True,
                max_steps=1,
                max_grad_norm=0.0,
                save_strategy="no",
                train_sampling_strategy="sequential",
                per_device_train_batch_size=ROWS // (steps * processes),
                gradient_accumulation_steps=steps,
                remove_unused_columns=False,
                **(method | flags),
            )
            trainer = SNIPPETS.get(arm, ExtTrainer)(
                build_model(head),
                args,
                train_dataset=rows or build_rows(head),
                data_collator=collate,
                callbacks=[catch],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
    finally:
        virtual_adversarial.random_perturbation = original
    return catch.gradients


def error_of(found, head, arm, count):
    """Give the relative error of a gradient over ``count`` micro-batches."""
    return relative_error(found, reference_gradient(head, "fgm_weight" if arm in SNIPPETS else arm, count))


def every_case():
    """Give all combinations of head, arm and accumulation."""
    return [(head, arm, steps) for head in HEADS for arm in (*METHODS, *SNIPPETS) for steps in ACCUMULATIONS]


def two_process_gradients(path, compute=None):
    """Compute every case of this file, or of another one, on two processes; give what the first one found, by case."""
    succeed_in_two_processes(compute or main, path)
    found = {}
    for name, value in load_file(path).items():
        head, arm, steps, parameter = name.split("/")
        found.setdefault((head, arm, int(steps)), {})[parameter] = value
    return found


def print_table():
    """Print every error, on one and on two processes."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        on_two = two_process_gradients(Path(folder) / "found.safetensors")
    lines = ["| head | method | 1 process, acc. 1 | 1 process, acc. 4 | 2 processes, acc. 1 | 2 processes, acc. 4 |"]
    lines.append("|---" * 6 + "|")
    for head in HEADS:
        for arm in (*METHODS, *SNIPPETS):
            one = [error_of(step_gradient(head, arm, steps), head, arm, steps) for steps in ACCUMULATIONS]
            two = [error_of(on_two[head, arm, steps], head, arm, 2 * steps) for steps in ACCUMULATIONS]
            lines.append(f"| {head} | {arm} | " + " | ".join(f"{error:.1e}" for error in one + two) + " |")
    sys.stdout.write("\n".join(lines) + "\n")


def main(path):
    """Compute every case on two processes and let process 0 write the gradients to one file."""
    torch.set_num_threads(1)
    found = {}
    for head, arm, steps in every_case():
        for name, gradient in step_gradient(head, arm, steps, processes=2).items():
            found[f"{head}/{arm}/{steps}/{name}"] = gradient
    if torch.distributed.get_rank() == 0:
        save_file(found, path)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    print_table() if sys.argv[1] == "--table" else main(sys.argv[1])
