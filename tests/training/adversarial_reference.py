"""What adversarial training's gradient should be, written once more with ``torch.func``: no Trainer, no hooks.

One function a method, from the formulas in the class docstrings; everything in float64. The perturbation goes into
``inputs_embeds``.
"""

from __future__ import annotations

import torch
from adversarial_models import CRF_HEADS, build_model, micro_batches
from torch.func import functional_call, grad
from torch.nn import functional
from torchcrf import CRF

EPSILON, ALPHA, STEPS = 0.8, 0.5, 3
VAT_ALPHA, VAT_STEPS = 0.1, 2


def fixed_direction(like, mask, size, norm="l2"):
    """Give a direction of length ``size`` for each row that depends on nothing but the shape."""
    numbers = torch.randn(like.shape, generator=torch.Generator().manual_seed(11), dtype=torch.float64) * mask
    return size * numbers / numbers.flatten(1).norm(dim=1)[:, None, None]


class Reference:
    """The losses of one micro-batch as functions of the parameters and of ``delta``.

    Args:
        head: Which model.
        batch: The micro-batch.
        items: Labels in all micro-batches.
        rows: Rows in all micro-batches.
    """

    def __init__(self, head, batch, *, items, rows):
        self.head, self.batch = head, batch
        self.items, self.rows = items, rows
        self.model = build_model(head)
        self.parameters = {name: value.detach() for name, value in self.model.named_parameters()}
        self.table = next(name for name in self.parameters if name.endswith(".word_embeddings.weight"))
        self.mask = batch["attention_mask"][:, :, None].double()
        self.zero = torch.zeros(*batch["input_ids"].shape, 16, dtype=torch.float64)

    def logits(self, parameters, delta):
        embedded = functional.embedding(self.batch["input_ids"], parameters[self.table], padding_idx=0)
        inputs = {name: value for name, value in self.batch.items() if name not in ("input_ids", "labels")}
        return functional_call(self.model, parameters, (), {"inputs_embeds": embedded + delta, **inputs})["logits"]

    def loss(self, parameters, delta):
        """Give this micro-batch's part of the loss of the whole optimizer step."""
        logits, labels = self.logits(parameters, delta), self.batch["labels"]
        if self.head in CRF_HEADS:
            crf = {name.removeprefix("crf."): value for name, value in parameters.items() if name.startswith("crf.")}
            arguments = (logits, labels.clamp_min(0), self.batch["attention_mask"].bool())
            return -functional_call(CRF(3, batch_first=True), crf, arguments) / self.items
        return functional.cross_entropy(logits, labels, reduction="sum", ignore_index=-100) / self.items

    def divergence(self, parameters, delta):
        """Give the Kullback-Leibler divergence from the clean prediction, a constant, the mean over all rows."""
        clean = self.logits(self.parameters, self.zero).detach()
        logits = self.logits(parameters, delta)
        each = (clean.softmax(-1) * (clean.log_softmax(-1) - logits.log_softmax(-1))).sum(-1)  # (B,) or (B, T)
        if each.dim() == 2:
            each = (each * self.mask[:, :, 0]).sum(1) / self.mask[:, :, 0].sum(1)
        return each.sum() / self.rows

    def gradient(self, delta, loss=None, parameters=None):
        return grad(loss or self.loss)(parameters or self.parameters, delta)

    def unit(self, delta, loss=None):
        """Give the direction of each row's gradient over its real tokens."""
        slope = grad(loss or self.loss, argnums=1)(self.parameters, delta) * self.mask
        length = slope.flatten(1).norm(dim=1)[:, None, None]
        return slope / torch.where(length > 0, length, 1.0)  # a row without a label has no direction

    def ascend(self, delta):
        delta = delta + ALPHA * self.unit(delta)
        length = delta.flatten(1).norm(dim=1)[:, None, None]
        return delta * (EPSILON / torch.where(length > 0, length, 1.0)).clamp(max=1.0)

    # --- the methods: what is added to the gradient -------------------------------------------------------------------

    def plain(self):
        return [(1.0, self.gradient(self.zero))]

    def fgm(self):
        return [*self.plain(), (1.0, self.gradient(EPSILON * self.unit(self.zero)))]

    def pgd(self):
        delta = self.zero
        for _ in range(STEPS):
            delta = self.ascend(delta)
        return [*self.plain(), (1.0, self.gradient(delta))]

    def freelb(self):
        terms, delta = [], self.zero
        for _ in range(STEPS):
            terms.append((1.0 / STEPS, self.gradient(delta)))
            delta = self.ascend(delta)
        return terms

    def vat(self):
        delta = fixed_direction(self.zero, self.mask, VAT_ALPHA)
        for step in range(VAT_STEPS):
            size = EPSILON if step + 1 == VAT_STEPS else VAT_ALPHA
            delta = size * self.unit(delta, self.divergence)
        return [*self.plain(), (1.0, self.gradient(delta, self.divergence))]

    def fgm_weight(self):
        return self.moved_weights([self.table], lambda weight, slope: EPSILON * slope / slope.norm())

    def awp(self):
        matrices = [name for name, value in self.parameters.items() if value.dim() > 1]
        return self.moved_weights(matrices, lambda weight, slope: 0.1 * weight.norm() * slope / slope.norm())

    def moved_weights(self, names, step):
        clean = self.gradient(self.zero)
        moved = dict(self.parameters)
        for name in names:
            if clean[name].norm() > 0:
                moved[name] = moved[name] + step(moved[name], clean[name])
        return [(1.0, clean), (1.0, self.gradient(self.zero, parameters=moved))]


def reference_gradient(head, method, count):
    """Give the gradient of an optimizer step of ``count`` micro-batches, over all processes."""
    batches = micro_batches(head, count)
    items = sum(batch["labels"].ne(-100).sum() for batch in batches)
    rows = sum(len(batch["labels"]) for batch in batches)
    total = {}
    for batch in batches:
        for weight, gradient in getattr(Reference(head, batch, items=items, rows=rows), method)():
            for name, value in gradient.items():
                total[name] = total.get(name, 0.0) + weight * value
    return total


def relative_error(found, expected):
    """Give the distance of two gradients over the length of the expected one; what is not found counts as zero."""
    assert found.keys() <= expected.keys()
    assert all(expected[name].abs().max() == 0 for name in expected.keys() - found.keys())
    difference = torch.cat([(found[name] - expected[name]).flatten() for name in found])
    return (difference.norm() / torch.cat([value.flatten() for value in expected.values()]).norm()).item()
