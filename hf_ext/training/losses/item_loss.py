"""What all losses share: which items count, by what their sum is divided, and the weights of the labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional

from hf_ext.models.schema import IGNORED_LABEL, MULTI_LABEL, REGRESSION, SINGLE_LABEL
from hf_ext.training.losses.divergence import at_least_float32


@dataclass(frozen=True)
class LossSettings:
    """The numbers that losses take; each reads those that concern it.

    Args:
        class_weights: One weight a label, ``(L,)``; with several labels a row it is the weight of the positives.
        label_smoothing: Part of the target that is spread evenly over all labels.
        focal_gamma: How little easy items count.
    """

    class_weights: Tensor | None = None
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0


class ItemLoss(ABC):
    """A loss that is summed over items and divided by the number of items of the whole optimizer step.

    So neither the number of micro-batches nor that of processes changes the gradient. Items are the labels other than
    -100, as Trainer counts them: rows, tokens, or rows times labels where a row has several.

    Args:
        settings: The numbers.

    Attributes:
        problem_type: The kind of label it is for, one of ``schema.PROBLEM_TYPES``.
        takes_class_weights: Whether labels can weigh differently.
        divides_by_items: What ``LossScale`` would otherwise find out by a probe.
    """

    problem_type: ClassVar[str]
    takes_class_weights: ClassVar[bool] = True
    divides_by_items: ClassVar[bool] = True

    def __init__(self, settings: LossSettings | None = None) -> None:
        self.settings = settings or LossSettings()
        self._weights = self.settings.class_weights

    def __call__(self, outputs: Any, labels: Tensor | None, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Compute the loss of a micro-batch.

        Args:
            outputs: What the model gave: an object or dictionary with ``logits``, or a tuple that begins with them.
            labels: Class indices ``(B,)`` or ``(B, T)``, 0/1 numbers ``(B, L)``, or numbers ``(B,)``.
            num_items_in_batch: The divisor; if missing, the number of labels here.

        Returns:
            A scalar, float32 at least; 0 if there is no label to learn from.
        """
        if labels is None:
            raise ValueError("the loss needs labels, and this batch has none.")
        logits = at_least_float32(read_logits(outputs))
        total = self.total(logits, labels.to(logits.device))
        items = (labels != IGNORED_LABEL).sum() if num_items_in_batch is None else num_items_in_batch
        if isinstance(items, Tensor):
            items = items.to(total.device)
        return total / (items + (items == 0))

    @abstractmethod
    def total(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum the loss over all items that count.

        Args:
            logits: ``(B, L)`` or ``(B, T, L)``, float32 at least.
            labels: As they came, on the same device.
        """

    def weights(self, logits: Tensor) -> Tensor | None:
        """Give the weights of the labels, ``(L,)``, on the device and in the precision of the logits.

        Raises:
            ValueError: If there are more or fewer than outputs.
        """
        given, ready = self.settings.class_weights, self._weights
        if given is None or ready is None:
            return None
        if len(given) != logits.shape[-1]:
            raise ValueError(f"{len(given)} class weights do not fit {logits.shape[-1]} outputs.")
        if ready.device != logits.device or ready.dtype != logits.dtype:
            self._weights = ready = given.to(logits)  # once, not at every step
        return ready


class SingleLabelLoss(ItemLoss):
    """A loss of items with one class each; a member says what an item costs."""

    problem_type = SINGLE_LABEL

    def total(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum over the items whose label is not -100."""
        if labels.is_floating_point():
            raise ValueError(
                f"{type(self).__name__} takes class indices, and the labels are floating-point numbers; set "
                "config.problem_type to multi_label_classification or regression."
            )
        logits = logits.reshape(-1, logits.shape[-1])  # (items, L)
        labels = labels.reshape(-1)
        if len(labels) != len(logits):
            raise ValueError(f"{len(labels)} labels do not fit {len(logits)} predictions.")
        counted = labels != IGNORED_LABEL
        each = self.each(logits.log_softmax(-1), labels.masked_fill(~counted, 0))
        return each.masked_fill(~counted, 0.0).sum()

    @abstractmethod
    def each(self, log_probabilities: Tensor, targets: Tensor) -> Tensor:
        """Give the loss of each item, ``(items,)``.

        Args:
            log_probabilities: ``(items, L)``.
            targets: The right class of each item, ``(items,)``.
        """


class ClassCostLoss(SingleLabelLoss):
    """A loss of the right class's probability; a member says what one class costs.

    With the smoothed target ``q`` (``1 - smoothing`` on the right class, and ``smoothing / L`` on every class) and the
    class weights ``w`` an item's loss is ``sum_c q_c w_c cost(p_c)``, which for cross entropy is what torch computes.
    """

    def each(self, log_probabilities: Tensor, targets: Tensor) -> Tensor:
        """Give the loss of each item."""
        weights, smoothing = self.weights(log_probabilities), self.settings.label_smoothing
        right = self.cost(log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1))  # (items,)
        if weights is not None:
            right = right * weights[targets]
        if not smoothing:
            return right
        costs = self.cost(log_probabilities)  # (items, L)
        spread = (costs if weights is None else costs * weights).mean(-1)
        return (1 - smoothing) * right + smoothing * spread

    @abstractmethod
    def cost(self, log_probability: Tensor) -> Tensor:
        """Give, element by element, what it costs that a class which should be certain has this log-probability."""


class MultiLabelLoss(ItemLoss):
    """A loss of every label on its own: ``w_c y_c positive(x_c) + (1 - y_c) negative(x_c)``, w the class weights."""

    problem_type = MULTI_LABEL

    def total(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum over rows and labels, leaving out single labels of -100."""
        counted = labels != IGNORED_LABEL
        targets = labels.to(logits.dtype).reshape(logits.shape).masked_fill(~counted.reshape(logits.shape), 0.0)
        weights = self.weights(logits)
        positive = targets * self.positive(logits)
        each = (positive if weights is None else positive * weights) + (1 - targets) * self.negative(logits)
        return each.masked_fill(~counted.reshape(logits.shape), 0.0).sum()

    @abstractmethod
    def positive(self, logits: Tensor) -> Tensor:
        """Give what each logit costs where the label is set."""

    @abstractmethod
    def negative(self, logits: Tensor) -> Tensor:
        """Give what each logit costs where the label is not set."""


class RegressionLoss(ItemLoss):
    """A loss of the difference between prediction and target, element by element."""

    problem_type = REGRESSION
    takes_class_weights = False

    def total(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum over all targets other than -100."""
        targets = labels.to(logits.dtype).reshape(logits.shape)
        counted = targets != IGNORED_LABEL
        difference = logits - targets.masked_fill(~counted, 0.0)
        return self.cost(difference).masked_fill(~counted, 0.0).sum()

    @abstractmethod
    def cost(self, difference: Tensor) -> Tensor:
        """Give what each difference costs."""


def read_logits(outputs: Any) -> Tensor:
    """Take the logits out of a model's outputs.

    Raises:
        ValueError: If there are none.
    """
    found = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", None)
    if found is None and isinstance(outputs, tuple | list) and outputs:
        found = outputs[0]  # without labels a tuple begins with the logits
    if not isinstance(found, Tensor):
        raise ValueError(f"the model's output ({type(outputs).__name__}) has no logits to compute a loss from.")
    return found


def one_hot(targets: Tensor, like: Tensor) -> Tensor:
    """Give the targets ``(items,)`` as 0/1 numbers ``(items, L)`` in the precision of ``like``."""
    return functional.one_hot(targets, like.shape[-1]).to(like.dtype)
