"""The gradient of one optimizer step for every loss and R-Drop; ``main`` runs in two processes.

Every case sees the same eight rows in one optimizer step, cut into micro-batches in different ways, in float64. Tokens,
rows and single labels of -100 lie unevenly in them. The reference is one pass over all rows without any trainer.
"""

from __future__ import annotations

import tempfile

import torch
from loss_models import CrfTagger
from loss_references import REFERENCES
from loss_scale_cases import NO_DROPOUT, ROWS, SCHEMA, SIZES, CatchGradient, collate
from safetensors.torch import save_file
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

from hf_ext.models import ExtConfig, ExtForSequenceClassification
from hf_ext.training import ExtTrainer, ExtTrainingArguments

WEIGHTS = (1.0, 2.5, 0.3)
WEIGHTED = {"class_weights": ",".join(map(str, WEIGHTS))}
SMOOTHED = {**WEIGHTED, "label_smoothing_factor": 0.1}
ALPHA = 3.0
STEPS = (1, 2, 4)
MULTI = "multi_label_classification"

# name -> (heads, flags, name of the reference)
LOSS_CASES = {
    "weighted_smoothed": (("stock", "tokens", "ext"), SMOOTHED, "cross_entropy"),
    "focal": (("stock", "tokens", "ext"), {"loss": "focal", "focal_gamma": 1.5, **SMOOTHED}, "focal"),
    "dice": (("stock", "tokens", "ext"), {"loss": "dice", **SMOOTHED}, "dice"),
    "poly1": (("tokens",), {"loss": "poly1", **SMOOTHED}, "poly1"),
    "bce": (("multi", "ext_multi"), {"loss": "bce", **WEIGHTED}, "bce"),
    "binary_focal": (("multi",), {"loss": "focal", **WEIGHTED}, "binary_focal"),
    "asymmetric": (("multi", "ext_multi"), {"loss": "asymmetric", **WEIGHTED}, "asymmetric"),
    "zlpr": (("multi", "ext_multi"), {"loss": "zlpr"}, "zlpr"),
    "huber": (("regression",), {"loss": "huber"}, "huber"),
}
RDROP_CASES = {
    "rdrop": (("stock", "ext", "crf"), {"rdrop_alpha": ALPHA}, None),
    "rdrop_focal": (("tokens",), {"rdrop_alpha": ALPHA, "loss": "focal", **SMOOTHED}, "focal"),
    "rdrop_bce": (("multi",), {"rdrop_alpha": ALPHA, "loss": "bce", **WEIGHTED}, "bce"),
    "rdrop_mse": (("regression",), {"rdrop_alpha": ALPHA, "loss": "mse"}, "mse"),
}
CASES = {**LOSS_CASES, **RDROP_CASES}
ALL = [(name, head, steps) for name, (heads, *_) in CASES.items() for head in heads for steps in STEPS]


class TwoMasks:
    """A dropout that is the same however the batch is cut up: one mask for each half of a doubled batch.

    Args:
        model: Whose last layer sees masked vectors while training.
        halves: ``(0, 1)`` for a doubled batch, ``(0,)`` or ``(1,)`` for a pass of its own.
    """

    def __init__(self, model, halves=(0, 1)):
        self.halves = halves
        last = last_layer(model)
        generator = torch.Generator().manual_seed(5)
        self.masks = 2.0 * torch.randint(0, 2, (2, last.in_features), generator=generator).double()
        last.register_forward_pre_hook(self)

    def __call__(self, module, inputs):
        if not module.training:  # the probe of the loss scale
            return None
        parts = inputs[0].chunk(len(self.halves))
        return (torch.cat([part * self.masks[half] for part, half in zip(parts, self.halves, strict=True)]),)


def last_layer(model):
    return [module for module in model.modules() if isinstance(module, nn.Linear)][-1]


def sharpen(model):
    """Let a fresh model's predictions differ, so that what is computed from them weighs something."""
    last_layer(model).weight.data.mul_(30.0)
    return model.double()


def build_model(head):
    """Build a float64 model without dropout."""
    torch.manual_seed(3)
    kind = MULTI if "multi" in head else None
    encoder = BertConfig(**SIZES, **NO_DROPOUT, num_labels=1 if head == "regression" else 3, problem_type=kind)
    if head.startswith("ext"):
        config = ExtConfig(encoder_config=encoder, pooler="mean", classifier_hidden_sizes=[8], classifier_dropout=0.0)
        SCHEMA.write_into(config)
        config.problem_type = kind or config.problem_type
        return ExtForSequenceClassification(config).double()  # sharp enough as it is
    family = {"tokens": BertForTokenClassification, "crf": CrfTagger}.get(head, BertForSequenceClassification)
    return sharpen(family(encoder))


def build_rows(head):
    """Give rows in which labels are missing unevenly, where the head's own loss can stand it."""
    generator = torch.Generator().manual_seed(4)
    rows = []
    for i in range(ROWS):
        row = {"input_ids": torch.randint(1, 40, (5,), generator=generator).tolist(), "labels": i % 3}
        if head.startswith("ext"):
            row |= {"category_ids": [i % 3], "numeric_values": [float("nan") if i == 1 else float(i)]}
            row["labels"] = -100 if i in (2, 5, 6) else row["labels"]
        if head in ("tokens", "crf"):
            row["labels"] = [(i + t) % 3 if head == "crf" or t <= i % 5 else -100 for t in range(5)]
        if "multi" in head:
            row["labels"] = [-100.0] * 3 if i in (2, 3) else [float(i % 2), float(i > 4), 1.0]
        if head == "regression":
            row["labels"] = i / 4
        rows.append(row)
    return rows


def step_gradient(name, head, steps, processes=1):
    """Give the gradient of one optimizer step over all rows, cut into ``steps`` micro-batches a process."""
    catch, model = CatchGradient(), build_model(head)
    if name in RDROP_CASES:
        TwoMasks(model)
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
            **CASES[name][1],
        )
        ExtTrainer(model, args, train_dataset=build_rows(head), data_collator=collate, callbacks=[catch]).train()
    return catch.gradients


def true_gradient(name, head):
    """Give the gradient of the objective over all rows, written down without any trainer."""
    _, flags, reference = CASES[name]
    model, batch = build_model(head).train(), collate(build_rows(head))
    options = {
        "weights": WEIGHTS if "class_weights" in flags else None,
        "smoothing": flags.get("label_smoothing_factor", 0.0),
        "gamma": flags.get("focal_gamma", 2.0),
    }

    def loss_and_logits():
        outputs = model(**batch)
        if reference is None:
            return outputs.loss, outputs.logits
        total = REFERENCES[reference](outputs.logits, batch["labels"], **options)
        return total / (batch["labels"] != -100).sum(), outputs.logits

    if name not in RDROP_CASES:
        objective, _ = loss_and_logits()
    else:
        hook = TwoMasks(model, halves=(0,))
        first, p = loss_and_logits()
        hook.halves = (1,)
        second, q = loss_and_logits()
        objective = (first + second) / 2 + ALPHA / 2 * mean_divergence(p, q, batch["labels"])
    objective.backward()
    return {key: p.grad for key, p in model.named_parameters() if p.grad is not None}


def mean_divergence(p_logits, q_logits, labels):
    """Give the mean over the labels that are not -100 of 1/2 (KL(p || q) + KL(q || p)), from the definition."""
    if labels.shape == p_logits.shape:  # several labels: two outcomes each
        p, q = (torch.stack([x, torch.zeros_like(x)], dim=-1).softmax(-1) for x in (p_logits, q_logits))
    elif p_logits.shape[-1] == 1:
        return (p_logits - q_logits).square().mean()
    else:
        p, q = p_logits.softmax(-1), q_logits.softmax(-1)
    both_ways = (p * (p / q).log()).sum(-1) + (q * (q / p).log()).sum(-1)
    return both_ways[labels != -100].mean() / 2


def main(path):
    """Compute every case on this process's rows and let process 0 write the gradients to one file."""
    found = {}
    for name, head, steps in ALL:
        for key, gradient in step_gradient(name, head, steps, processes=2).items():
            found[f"{name}/{head}/{steps}/{key}"] = gradient
    if torch.distributed.get_rank() == 0:
        save_file(found, path)
    torch.distributed.destroy_process_group()
