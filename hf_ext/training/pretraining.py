"""What pretraining adds to a trainer: the perplexity of every evaluation."""

from __future__ import annotations

import math
from typing import Any

from transformers.trainer_utils import EvalLoopOutput

from hf_ext.training.trainer import ExtTrainer

# names of the two losses of a model for sentence pairs, see ``MaskedPairHead``
MASKED_LOSS, PAIR_LOSS = "mlm_loss", "sentence_loss"


class PretrainingTrainer(ExtTrainer):
    """An ``ExtTrainer`` whose evaluations also give ``perplexity``, in the log and for ``metric_for_best_model``.

    It is ``exp`` of the mean loss over all masked tokens of the evaluation, each counted once; a loss of sentence pairs
    has no part in it. Takes the arguments of ``ExtTrainer``.
    """

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluate as ``ExtTrainer`` does, then add the perplexity."""
        output = super().evaluation_loop(*args, **kwargs)
        prefix = kwargs.get("metric_key_prefix", "eval")
        metrics = output.metrics if output.metrics is not None else {}
        loss = metrics.get(f"{prefix}_{MASKED_LOSS}", metrics.get(f"{prefix}_loss"))
        if loss is not None:
            metrics[f"{prefix}_perplexity"] = perplexity(loss)
        return output


def perplexity(loss: float) -> float:
    """Give ``exp(loss)`` of a mean negative log-likelihood in nats; infinite where it is too large for a float."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
