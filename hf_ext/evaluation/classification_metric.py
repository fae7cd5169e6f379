"""The metric of a classifier, counted while Trainer evaluates: logits are not gathered, batches are not joined."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import EvalPrediction

from hf_ext.evaluation.answers import answer_batch
from hf_ext.evaluation.decision_rule import USUAL
from hf_ext.evaluation.decisions import decide
from hf_ext.evaluation.ranking import Join
from hf_ext.evaluation.running_scores import RunningScores, check_problem_type
from hf_ext.models.schema import REGRESSION


class ClassificationMetric:
    """Scores of a classifier or of predicted numbers over batches, for ``compute_metrics``.

    Each batch is counted and dropped: a row leaves counts (labels) or sums (numbers). ``roc_auc``, ``map_macro`` and
    ``spearman`` depend on the order of all rows; for them alone the logits of a row are kept, in the dtype that they
    come in, at least float32. ``ExtTrainer`` gives batches; transformers' Trainer does by ``batch_eval_metrics=True``
    and else gives all rows at once.

    A call takes an ``EvalPrediction`` of some rows: logits ``(B, L)``, alone or first in a tuple, with labels ``(B,)``
    or ``(B, L)``. With ``compute_result`` it gives the figures of all rows since the last result, and begins anew;
    without, an empty dictionary.

    Args:
        problem_type: One of transformers' three names.
        ranking: Whether the figures that depend on the order of the rows are wanted.

    Attributes:
        join_processes: Set by ``ExtTrainer`` where each process calls with its own rows; gives the rows that all of
            them have of an array. None where each process is called with all rows.
        rule: How logits become answers; the usual one unless set.

    Raises:
        ValueError: If the problem type is unknown.
    """

    takes_batches = True

    def __init__(self, problem_type: str, *, ranking: bool = True) -> None:
        check_problem_type(problem_type)
        self.problem_type, self.ranking = problem_type, ranking
        self.rule = USUAL
        self.join_processes: Join | None = None
        self.reset()

    def reset(self) -> None:
        """Forget what was counted; ``ExtTrainer`` does before each evaluation."""
        self._scores: RunningScores | None = None

    @property
    def nbytes(self) -> int:
        """The number of bytes that are kept of the rows so far."""
        return self._scores.nbytes if self._scores is not None else 0

    def __call__(self, prediction: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        """Count a batch; give the figures if it was the last one.

        Raises:
            ValueError: If there are labels that the model does not have.
        """
        logits, labels = first_array(prediction.predictions), first_array(prediction.label_ids)
        if self._scores is None:
            self._scores = RunningScores(self.problem_type, logits.shape[-1])
        answers = decide(logits, self.problem_type, **self.rule.stored)
        kept = answers if self.problem_type == REGRESSION else logits
        self._scores.add(answers, labels, scores=kept if self.ranking else None)
        if not compute_result:
            return {}
        found = self._scores.figures(self.join_processes or np.asarray)
        self.reset()
        return found


class NamedMetric:
    """A metric of the evaluate library over batches, for ``compute_metrics``: answers are kept, logits are not.

    Args:
        metric: Gets all answers (as ``decide`` gives them) and all labels, in the order of the rows.
        problem_type: One of transformers' three names.

    Attributes:
        row_order: The number of each row as the rows come, where that is not the order of the split.
        rule: How logits become answers; the usual one unless set.
    """

    takes_batches = True

    def __init__(self, metric: Any, problem_type: str) -> None:
        check_problem_type(problem_type)
        self.metric, self.problem_type = metric, problem_type
        self.rule = USUAL
        self.row_order: NDArray[np.int64] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget what came; ``ExtTrainer`` does before each evaluation."""
        self._answers: list[NDArray[Any]] = []
        self._labels: list[NDArray[Any]] = []

    def shrink(self, outputs: Any, labels: Any = None) -> Tensor:
        """Give the answers of a batch, which is all that needs to be gathered of its logits."""
        return answer_batch(outputs, self.problem_type, rule=self.rule)["decisions"]

    def __call__(self, prediction: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        """Keep the answers of a batch; give the figures if it was the last one."""
        given = first_array(prediction.predictions)
        decided = given.dtype.kind in "iu"
        self._answers.append(given if decided else decide(given, self.problem_type, **self.rule.stored))
        self._labels.append(first_array(prediction.label_ids))
        if not compute_result:
            return {}
        answers, labels = np.concatenate(self._answers), np.concatenate(self._labels)
        self.reset()
        if self.row_order is not None and len(self.row_order) == len(answers):
            answers, labels = answers[np.argsort(self.row_order)], labels[np.argsort(self.row_order)]
        result = self.metric.compute(predictions=answers, references=labels)
        return {name: float(value) if np.ndim(value) == 0 else value for name, value in (result or {}).items()}


def first_array(outputs: Any) -> NDArray[Any]:
    """Give the logits of what Trainer hands over: an array, a tuple that starts with it, or a list of batches.

    Tensors become arrays; those of two bytes a number, some of which numpy does not know, float32 ones.
    """
    if isinstance(outputs, list):  # eval_do_concat_batches=False
        return np.concatenate([first_array(batch) for batch in outputs])
    first = outputs[0] if isinstance(outputs, tuple) else outputs
    if isinstance(first, Tensor):
        first = first.detach().cpu()
        first = first.float() if first.is_floating_point() and first.itemsize < 4 else first
        return first.numpy()
    return np.asarray(first)
