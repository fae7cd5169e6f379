"""The losses that are chosen by name.

A member subclasses one of the families of ``item_loss`` and fills in one line of mathematics; -100, class
weights, label smoothing and the division by the number of items are the family's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hf_ext.models.schema import IGNORED_LABEL, MULTI_LABEL
from hf_ext.training.losses.item_loss import (
    ClassCostLoss,
    ItemLoss,
    MultiLabelLoss,
    RegressionLoss,
    SingleLabelLoss,
    one_hot,
)


class CrossEntropyLoss(ClassCostLoss):
    """``-log p``; with weights and smoothing the sum is that of ``torch.nn.functional.cross_entropy``.

    When: always the first one to try.
    """

    def cost(self, log_probability: Tensor) -> Tensor:
        """Give the negative log-probability."""
        return -log_probability


class FocalLoss(ClassCostLoss):
    """``-(1 - p)^gamma log p``: easy items count little (Lin et al., 2017, arXiv:1708.02002, eq. 5).

    Differs from the paper in that its alpha is the class weight; gamma = 0 is cross entropy.

    When: few items are hard, such as the entities among tokens.
    """

    def cost(self, log_probability: Tensor) -> Tensor:
        """Give the focal cost; the factor is kept above zero, where a power below 1 has no gradient."""
        return -_power(-log_probability.expm1(), self.settings.focal_gamma) * log_probability


class Poly1Loss(ClassCostLoss):
    """``-log p + epsilon (1 - p)`` with epsilon = 1 (Leng et al., 2022, arXiv:2204.12511).

    When: cross entropy learns too little from the items that it already gets right.
    """

    epsilon = 1.0

    def cost(self, log_probability: Tensor) -> Tensor:
        """Give cross entropy with a stronger first term of its series."""
        return -log_probability - self.epsilon * log_probability.expm1()


class DiceLoss(SingleLabelLoss):
    """Self-adjusting dice (Li et al., 2020, arXiv:1911.02855), one class against the rest, summed over classes.

    ``sum_c w_c (1 - (2 u_c q_c + 1) / (u_c + q_c + 1))`` with ``u = (1 - p)^alpha p`` and the smoothed target ``q``.
    alpha is 0.01, as in the authors' published runs, not 1 as in their equation: ``u`` grows only up to
    p = 1 / (1 + alpha), so that alpha = 1 pulls right answers back to p = 0.5.

    When: F1 is what counts and one label is on nearly everything. It learns more slowly than cross entropy.
    """

    alpha = 0.01

    def each(self, log_probabilities: Tensor, targets: Tensor) -> Tensor:
        """Give the loss of each item."""
        smoothing = self.settings.label_smoothing
        wanted = one_hot(targets, log_probabilities)  # (items, L)
        wanted = (1 - smoothing) * wanted + smoothing / wanted.shape[-1]
        given = _power(-log_probabilities.expm1(), self.alpha) * log_probabilities.exp()
        each = 1 - (2 * given * wanted + 1) / (given + wanted + 1)
        weights = self.weights(log_probabilities)
        return (each if weights is None else each * weights).sum(-1)


class BinaryCrossEntropyLoss(MultiLabelLoss):
    """``-w y log p - (1 - y) log(1 - p)`` with p the sigmoid: torch's, the class weight as its ``pos_weight``."""

    def positive(self, logits: Tensor) -> Tensor:
        """Give -log p."""
        return functional.softplus(-logits)

    def negative(self, logits: Tensor) -> Tensor:
        """Give -log(1 - p)."""
        return functional.softplus(logits)


class BinaryFocalLoss(MultiLabelLoss):
    """``-w y (1 - p)^gamma log p - (1 - y) p^gamma log(1 - p)`` (Lin et al., 2017, arXiv:1708.02002)."""

    def positive(self, logits: Tensor) -> Tensor:
        """Give the focal cost of a label that is set."""
        return _power((-logits).sigmoid(), self.settings.focal_gamma) * functional.softplus(-logits)

    def negative(self, logits: Tensor) -> Tensor:
        """Give the focal cost of a label that is not set."""
        return _power(logits.sigmoid(), self.settings.focal_gamma) * functional.softplus(logits)


class AsymmetricLoss(MultiLabelLoss):
    """``-w y log p - (1 - y) m^4 log(1 - m)``, ``m = max(p - 0.05, 0)`` (Ridnik et al., 2021, arXiv:2009.14119).

    The exponents and the margin are the paper's (gamma+ 0, gamma- 4); ``focal_gamma`` does not concern them.

    When: many labels, of which a row has few, and some that are set are missing in the data.
    """

    gamma = 4.0
    margin = 0.05

    def positive(self, logits: Tensor) -> Tensor:
        """Give -log p."""
        return functional.softplus(-logits)

    def negative(self, logits: Tensor) -> Tensor:
        """Give nothing for small probabilities, and little for those that are not large."""
        shifted = (logits.sigmoid() - self.margin).clamp_min(0.0)
        return -shifted.pow(self.gamma) * (-shifted).log1p()


class ZeroBoundedRankLoss(ItemLoss):
    """ZLPR: every label that is set above zero, every other below (Su et al., 2022, arXiv:2208.02955).

    ``log(1 + sum_{not set} e^x) + log(1 + sum_{set} e^-x)`` a row, divided by the number of rows, which is taken as
    the number of labels that are not -100 over L.

    When: labels depend on one another and their number a row varies. Labels cannot weigh differently.
    """

    problem_type = MULTI_LABEL
    takes_class_weights = False

    def total(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum over the rows, times L, since Trainer counts rows times labels."""
        labels = labels.reshape(logits.shape)
        counted = labels != IGNORED_LABEL
        is_set = counted & (labels > 0.5)
        each = self._bound(logits, counted & ~is_set) + self._bound(-logits, is_set)
        return each.sum() * logits.shape[-1]

    @staticmethod
    def _bound(scores: Tensor, chosen: Tensor) -> Tensor:
        """Give log(1 + the sum of e^score over the chosen labels)."""
        scores = scores.masked_fill(~chosen, -torch.inf)
        zero = torch.zeros_like(scores[..., :1])
        return torch.cat([zero, scores], dim=-1).logsumexp(-1)


class SquaredErrorLoss(RegressionLoss):
    """``(x - y)^2``."""

    def cost(self, difference: Tensor) -> Tensor:
        """Give the square."""
        return difference.square()


class AbsoluteErrorLoss(RegressionLoss):
    """``|x - y|``. When: targets have outliers that are simply wrong."""

    def cost(self, difference: Tensor) -> Tensor:
        """Give the absolute value."""
        return difference.abs()


class HuberLoss(RegressionLoss):
    """``d^2 / 2`` up to |d| = 1, then ``|d| - 1/2`` (Huber, 1964). When: a few targets lie far off."""

    def cost(self, difference: Tensor) -> Tensor:
        """Give the square near zero and the absolute value far from it."""
        return functional.huber_loss(difference, torch.zeros_like(difference), reduction="none")


def _power(base: Tensor, exponent: float) -> Tensor:
    """Raise to a power, with a finite gradient also at zero."""
    return base.clamp_min(torch.finfo(base.dtype).tiny).pow(exponent)


# A name may mean one loss for each kind of label.
LOSSES: dict[str, tuple[type[ItemLoss], ...]] = {
    "cross_entropy": (CrossEntropyLoss,),
    "focal": (FocalLoss, BinaryFocalLoss),
    "dice": (DiceLoss,),
    "poly1": (Poly1Loss,),
    "bce": (BinaryCrossEntropyLoss,),
    "asymmetric": (AsymmetricLoss,),
    "zlpr": (ZeroBoundedRankLoss,),
    "mse": (SquaredErrorLoss,),
    "mae": (AbsoluteErrorLoss,),
    "huber": (HuberLoss,),
}
