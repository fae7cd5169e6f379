"""Optimizer steps and evaluations of taggers through the trainer; ``main`` runs in two processes.

``python tests/training/tagger_cases.py --table`` prints how far each is from the objective, sentence by sentence.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from forked_runs import succeed_in_two_processes
from loss_gradient_cases import mean_divergence
from loss_scale_cases import CatchGradient
from tagger_models import HEADS, IGNORED, Objective, build_model, build_rows, collate

from hf_ext.training import ExtTrainer, ExtTrainingArguments

ROWS, EPSILON, RDROP = 8, 0.5, 3.0
METHODS = {
    "plain": {},
    "fgm": {"adversarial": "fgm", "adversarial_epsilon": EPSILON},
    "rdrop": {"rdrop_alpha": RDROP},
}
STEPS = (1, 2, 4)
STEPS_OF_TWO = (1, 4)  # on two processes
COUNTS, BATCH_SIZES = (1, 3, 8), (1, 2, 4)


class WordMasks:
    """A dropout on the words' vectors that is the same however the batch is cut up: one mask for each half."""

    def __init__(self, model):
        self.masks = word_masks(model)
        model.emission_layer.register_forward_pre_hook(self)

    def __call__(self, module, inputs):
        if not module.training:
            return None
        return (torch.cat([half * mask for half, mask in zip(inputs[0].chunk(2), self.masks, strict=True)]),)


def word_masks(model):
    """Draw the two masks."""
    draw = torch.Generator().manual_seed(5)
    return 2.0 * torch.randint(0, 2, (2, model.emission_layer.in_features), generator=draw).double()


def train_one_step(head, method, steps, processes=1, **flags):
    """Train one optimizer step over all rows, cut into ``steps`` micro-batches a process; give gradients and logs."""
    catch, model = CatchGradient(), build_model(head)
    if "rdrop" in method:
        WordMasks(model)
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "output_dir": folder,
            "use_cpu": True,
            "disable_tqdm": True,
            "max_steps": 1,
            "logging_steps": 1,
            "max_grad_norm": 0.0,
            "save_strategy": "no",
            "train_sampling_strategy": "sequential",
            "per_device_train_batch_size": ROWS // (steps * processes),
            "gradient_accumulation_steps": steps,
        }
        args = ExtTrainingArguments(**{**settings, **METHODS[method], **flags})
        trainer = ExtTrainer(
            model, args, train_dataset=build_rows(head, ROWS), data_collator=collate, callbacks=[catch]
        )
        trainer.train()
    return catch.gradients, trainer.state.log_history


def true_gradient(head, method):
    """Give the gradient of the same step from the objective."""
    model = build_model(head)
    objective = Objective(model, build_rows(head, ROWS))
    if method == "rdrop":
        masks = word_masks(model)
        loss = sum(objective.loss(mask=mask) for mask in masks) / 2 + RDROP / 2 * divergence(objective, masks)
    else:
        loss = objective.loss()
    if method == "fgm":
        loss = loss + objective.loss(shifts=attack(objective, loss))
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def attack(objective, loss):
    """Give each row's perturbation: along its gradient, of length epsilon."""
    rows = torch.autograd.grad(loss, objective.embedded, retain_graph=True, allow_unused=True)
    return [EPSILON * g / g.norm() if g is not None and g.norm() > 0 else None for g in rows]


def divergence(objective, masks):
    """Give R-Drop's mean divergence of the labelled words."""
    both, labels = ([], []), []
    for i, row in enumerate(objective.rows):
        for found, mask in zip(both, masks, strict=True):
            found.append(objective.emissions(i, mask=mask)[1])
        labels += [tag for tag, on in zip(row["labels"], row["word_mask"], strict=True) if on]
    return mean_divergence(torch.cat(both[0]), torch.cat(both[1]), torch.tensor(labels))


def true_losses(head, count):
    """Give what an evaluation of the first rows should find."""
    with torch.no_grad():
        objective = Objective(build_model(head), build_rows(head, count))
        tags, sentences = (float(loss) for loss in objective.losses())
        if head != "joint":
            return {"loss": tags}
        return {"loss": float(objective.loss()), "tag_loss": tags, "sentence_loss": sentences}


def evaluate(head, count, batch_size, **changes):
    """Give the losses that an evaluation finds."""
    with tempfile.TemporaryDirectory() as folder:
        args = ExtTrainingArguments(
            output_dir=folder, use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=batch_size, **changes
        )
        trainer = ExtTrainer(build_model(head), args, data_collator=collate, eval_dataset=build_rows(head, count))
        metrics = trainer.evaluate()
    return {name.removeprefix("eval_"): value for name, value in metrics.items() if name.endswith("loss")}


def predict(head, count, batch_size):
    """Give the gathered predictions of the rows: the tags, and the sentences' scores of a joint model."""
    with tempfile.TemporaryDirectory() as folder:
        args = ExtTrainingArguments(
            output_dir=folder, use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=batch_size
        )
        found = ExtTrainer(build_model(head), args, data_collator=collate).predict(build_rows(head, count)).predictions
    found = found if isinstance(found, tuple) else (found,)
    tags = [[int(tag) for tag in row if tag != IGNORED] for row in found[0]]
    return [tags, *(part.tolist() for part in found[1:])]


def relative_error(found, expected):
    """Give the distance of two sets of gradients, relative to the second."""
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    a, b = (torch.cat([each[name].flatten() for name in sorted(expected)]) for each in (found, expected))
    return float((a - b).norm() / b.norm())


def on_two_processes(path):
    """Run this file under torchrun and give what its first process found."""
    succeed_in_two_processes(main, path)
    return json.loads(Path(path).read_text())


def main(path):
    """Compute every case on two processes and let process 0 write errors, logs and losses."""
    torch.set_num_threads(1)
    found = {"errors": {}, "logs": {}, "losses": {}, "predictions": {}}
    for head in HEADS:
        for method in METHODS:
            expected = true_gradient(head, method)
            for steps in STEPS_OF_TWO:
                gradients, logs = train_one_step(head, method, steps, processes=2)
                found["errors"][f"{head}/{method}/{steps}"] = relative_error(gradients, expected)
                found["logs"][f"{head}/{method}/{steps}"] = logs[0]
        for count in COUNTS:
            for size in BATCH_SIZES[::2]:
                found["losses"][f"{head}/{count}/{size}"] = evaluate(head, count, size)
        found["predictions"][head] = predict(head, 7, 2)
    gradients, logs = train_one_step("joint", "plain", 2, processes=2, average_tokens_across_devices=False)
    found["logs"]["not averaged"] = logs[0]
    if torch.distributed.get_rank() == 0:
        Path(path).write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def print_table():
    """Print the error of every gradient on one and on two processes, as Markdown."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        two = on_two_processes(Path(folder) / "found.json")["errors"]
    names = [f"1 process, acc. {steps}" for steps in STEPS] + [f"2 processes, acc. {steps}" for steps in STEPS_OF_TWO]
    lines = [f"| head | method | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for head in HEADS:
        for method in METHODS:
            expected = true_gradient(head, method)
            one = [relative_error(train_one_step(head, method, steps)[0], expected) for steps in STEPS]
            errors = one + [two[f"{head}/{method}/{steps}"] for steps in STEPS_OF_TWO]
            lines.append(f"| {head} | {method} | " + " | ".join(f"{error:.1e}" for error in errors) + " |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    print_table() if sys.argv[1] == "--table" else main(sys.argv[1])
