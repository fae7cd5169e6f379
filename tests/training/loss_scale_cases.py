"""The gradient of one optimizer step, for the loss-scale tests; ``main`` runs in two processes.

Every case sees the same eight rows in one optimizer step, cut into micro-batches in different ways, in float64.
"""

from __future__ import annotations

import tempfile

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback

from hf_ext.models import ExtConfig, ExtForSequenceClassification, LabelSchema, TabularSchema, TaskSchema
from hf_ext.training import ExtTrainer, ExtTrainingArguments

ROWS = 8
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
TRAINERS = {"plain": Trainer, "ours": ExtTrainer}
SCHEMA = TaskSchema(
    labels=LabelSchema(names=("a", "b", "c")),
    columns=TabularSchema.fit(
        [{"kind": "x", "price": "1"}, {"kind": "y", "price": "4"}, {"kind": "y", "price": ""}],
        categorical=["kind"],
        numeric=["price"],
    ),
)


def build_model(head):
    """Build a float64 model without dropout: a stock head, one frozen but for its classifier, or ours with columns."""
    torch.manual_seed(3)
    encoder = BertConfig(**SIZES, **NO_DROPOUT, num_labels=3)
    if head == "ext":
        config = ExtConfig(encoder_config=encoder, pooler="mean", classifier_hidden_sizes=[8], classifier_dropout=0.0)
        SCHEMA.write_into(config)
        return ExtForSequenceClassification(config).double()
    model = BertForSequenceClassification(encoder).double()
    if head == "frozen":
        model.bert.requires_grad_(False)
    if head == "lora":
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(task_type="SEQ_CLS", r=2, lora_dropout=0.0, target_modules=["query"])
        return get_peft_model(model, lora).double()
    return model


def build_rows(head, count=ROWS):
    """Give rows; ours have table columns (one cell missing) and, unlike a plain mean, may leave labels out."""
    generator = torch.Generator().manual_seed(4)
    rows = []
    for i in range(count):
        row = {"input_ids": torch.randint(1, 40, (5,), generator=generator).tolist(), "labels": i % 3}
        if head == "ext":
            row["category_ids"] = [i % 3]
            row["numeric_values"] = [float("nan") if i == 1 else float(i)]
            row["labels"] = -100 if i in (2, 5, 6) else row["labels"]
        rows.append(row)
    return rows


def collate(rows):
    """Stack rows into tensors, numbers in float64."""
    batch = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    return {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}


class CatchGradient(TrainerCallback):
    """Copy every gradient as the optimizer would see it."""

    def __init__(self):
        self.gradients = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                self.gradients[name.removeprefix("module.")] = parameter.grad.clone()


def step_gradient(head, trainer, steps, processes=1, **extra):
    """Give the gradient of one optimizer step over all rows, cut into ``steps`` micro-batches a process."""
    catch = CatchGradient()
    with tempfile.TemporaryDirectory() as folder:
        args = ExtTrainingArguments(
            output_dir=folder,
            use_cpu=True,
            disable_tqdm=True,
            max_steps=1,
            max_grad_norm=0.0,
            save_strategy="no",
            per_device_train_batch_size=ROWS // (steps * processes),
            gradient_accumulation_steps=steps,
        )
        kwargs = {"train_dataset": build_rows(head), "data_collator": collate, "callbacks": [catch]} | extra
        TRAINERS[trainer](build_model(head), args, **kwargs).train()
    return catch.gradients


def evaluation_loss(trainer):
    """Give the evaluation loss of a stock head that nobody trained before, two rows a batch."""
    with tempfile.TemporaryDirectory() as folder:
        args = ExtTrainingArguments(output_dir=folder, use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=2)
        ready = TRAINERS[trainer](build_model("stock"), args, eval_dataset=build_rows("stock"), data_collator=collate)
        return ready.evaluate()["eval_loss"]


def true_gradient(head):
    """Give the gradient of the mean loss over all rows, without any trainer."""
    model = build_model(head)
    model(**collate(build_rows(head))).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def ratio_and_error(found, expected):
    """Give (how many times longer the found gradient is, its distance from the expected one, relative)."""
    assert found.keys() == expected.keys()
    a = torch.cat([found[name].flatten() for name in expected])
    b = torch.cat([expected[name].flatten() for name in expected])
    return (a.norm() / b.norm()).item(), ((a - b).norm() / b.norm()).item()


TWO_PROCESS_CASES = [
    (head, trainer, steps) for head, trainer in [("stock", "ours"), ("ext", "ours")] for steps in (1, 2, 4)
] + [("stock", "plain", 2)]


def main(path):
    """Compute every two-process case and let process 0 write the gradients to one file."""
    found = {}
    for head, trainer, steps in TWO_PROCESS_CASES:
        for name, gradient in step_gradient(head, trainer, steps, processes=2).items():
            found[f"{head}/{trainer}/{steps}/{name}"] = gradient
    for trainer in TRAINERS:
        found[f"evaluation_loss/{trainer}"] = torch.tensor(evaluation_loss(trainer), dtype=torch.float64)
    if torch.distributed.get_rank() == 0:
        save_file(found, path)
    torch.distributed.destroy_process_group()
