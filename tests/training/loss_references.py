"""Every loss once more, item by item, straight from its formula: the sum over all items that count."""

from __future__ import annotations

import torch


def items_of(logits, labels):
    """Give (logits of one item, its label) for every row or token whose label is not -100."""
    flat = logits.reshape(-1, logits.shape[-1])
    return [(x, int(y)) for x, y in zip(flat, labels.reshape(-1).tolist(), strict=True) if y != -100]


def target_of(label, count, smoothing):
    return [(1 - smoothing) * (c == label) + smoothing / count for c in range(count)]


def by_class(term):
    """Sum q_c w_c term(p_c) over classes and items."""

    def total(logits, labels, weights=None, smoothing=0.0, gamma=2.0):
        summed = logits.sum() * 0.0
        for x, y in items_of(logits, labels):
            p = x.exp() / x.exp().sum()
            for c, q in enumerate(target_of(y, len(x), smoothing)):
                if q:
                    summed = summed + q * (1.0 if weights is None else weights[c]) * term(p[c], gamma)
        return summed

    return total


def dice(logits, labels, weights=None, smoothing=0.0, gamma=2.0):
    summed = logits.sum() * 0.0
    for x, y in items_of(logits, labels):
        p = x.exp() / x.exp().sum()
        for c, q in enumerate(target_of(y, len(x), smoothing)):
            u = (1 - p[c]) ** 0.01 * p[c]
            summed = summed + (1.0 if weights is None else weights[c]) * (1 - (2 * u * q + 1) / (u + q + 1))
    return summed


def by_label(positive, negative):
    """Sum w_c y_c positive(p_c) + (1 - y_c) negative(p_c) over rows and labels."""

    def total(logits, labels, weights=None, smoothing=0.0, gamma=2.0):
        summed = logits.sum() * 0.0
        for row, marks in zip(logits, labels.tolist(), strict=True):
            for c, y in enumerate(marks):
                if y == -100:
                    continue
                p = 1 / (1 + (-row[c]).exp())
                summed = summed + (
                    (1.0 if weights is None else weights[c]) * positive(p, gamma) if y == 1 else negative(p, gamma)
                )
        return summed

    return total


def zlpr(logits, labels, weights=None, smoothing=0.0, gamma=2.0):
    """The rows' losses, times the number of labels, since the divisor counts rows times labels."""
    summed = logits.sum() * 0.0
    for row, marks in zip(logits, labels.tolist(), strict=True):
        not_set = sum(row[c].exp() for c, y in enumerate(marks) if y == 0)
        is_set = sum((-row[c]).exp() for c, y in enumerate(marks) if y == 1)
        summed = summed + torch.log(1 + not_set + row.sum() * 0) + torch.log(1 + is_set + row.sum() * 0)
    return summed * logits.shape[-1]


def by_difference(term):
    def total(logits, labels, weights=None, smoothing=0.0, gamma=2.0):
        pairs = zip(logits.reshape(-1), labels.reshape(-1), strict=True)
        return sum((term(x - y) for x, y in pairs if y != -100), logits.sum() * 0.0)

    return total


REFERENCES = {
    "cross_entropy": by_class(lambda p, gamma: -p.log()),
    "focal": by_class(lambda p, gamma: -((1 - p) ** gamma) * p.log()),
    "poly1": by_class(lambda p, gamma: -p.log() + 1 - p),
    "dice": dice,
    "bce": by_label(lambda p, gamma: -p.log(), lambda p, gamma: -(1 - p).log()),
    "binary_focal": by_label(
        lambda p, gamma: -((1 - p) ** gamma) * p.log(), lambda p, gamma: -(p**gamma) * (1 - p).log()
    ),
    "asymmetric": by_label(
        lambda p, gamma: -p.log(),
        lambda p, gamma: -((p - 0.05) ** 4) * (1 - (p - 0.05)).log() if p > 0.05 else 0.0 * p,
    ),
    "zlpr": zlpr,
    "mse": by_difference(lambda d: d * d),
    "mae": by_difference(lambda d: d.abs()),
    "huber": by_difference(lambda d: d * d / 2 if d.abs() < 1 else d.abs() - 0.5),
}
