"""A metric that counts the rows of each process where they are, instead of gathering what a model said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor
from transformers import EvalPrediction, Trainer

from hf_ext.training.watch.batch_rows import count_new_rows, shares_rows


@contextmanager
def metric_by_batches(trainer: Trainer, description: str) -> Iterator[None]:
    """Begin an evaluation; inside, a metric that takes batches costs as little as it can.

    Any ``compute_metrics`` is called as Trainer calls it. One of ours, whose ``takes_batches`` is true, is given
    batches, as by ``batch_eval_metrics``, and its method ``reset`` is called before: an evaluation may have been broken
    off. On several processes, where Trainer gathers all logits to each of them, it tells by an attribute what it needs:

    - ``join_processes``: each process calls it with its own rows, those left out that fill up the last batch. The
      attribute is then a function that gives the rows which all processes have of an array; else it is None.
    - ``shrink``, a method: the metric must see all rows, but of the outputs of a batch only what this makes of them (a
      ``preprocess_logits_for_metrics``), before they are gathered.

    These two hold for evaluations; a prediction gathers what it is asked for. Losses, which Trainer keeps whatever the
    metric, are appended and not joined batch by batch.

    Args:
        trainer: Whose evaluation it is.
        description: What Trainer calls it; ``"Prediction"`` is one.
    """
    metric: Any = trainer.compute_metrics
    gather, args = trainer.gather_function, trainer.args
    before, preprocess = (args.batch_eval_metrics, args.eval_do_concat_batches), trainer.preprocess_logits_for_metrics
    ours, evaluates = getattr(metric, "takes_batches", False), description != "Prediction"
    if ours:
        args.batch_eval_metrics = True
        metric.reset()
    if args.batch_eval_metrics and evaluates:
        args.eval_do_concat_batches = False
    if ours and evaluates and hasattr(metric, "shrink"):
        trainer.preprocess_logits_for_metrics = preprocess or metric.shrink
    apart = trainer.accelerator.num_processes > 1 and not shares_rows(trainer)  # each process has rows of its own
    splits = ours and evaluates and apart and hasattr(metric, "join_processes")
    if splits:
        metric.join_processes = partial(join_arrays, trainer.accelerator)
        trainer.compute_metrics = _give_new_rows(trainer.accelerator, metric)
        trainer.gather_function = _keep
    try:
        yield
    finally:
        args.batch_eval_metrics, args.eval_do_concat_batches = before
        trainer.compute_metrics, trainer.gather_function = metric, gather
        trainer.preprocess_logits_for_metrics = preprocess
        if splits:
            metric.join_processes = None


def join_arrays(accelerator: Accelerator, values: NDArray[Any]) -> NDArray[Any]:
    """Give the rows that all processes have of an array, in the order of the processes; all must ask.

    Args:
        accelerator: The trainer's.
        values: This process's rows, ``(n, ...)``; only n may differ between processes.
    """
    own = torch.as_tensor(np.ascontiguousarray(values), device=accelerator.device)
    sizes = accelerator.gather(torch.tensor([len(own)], device=accelerator.device)).tolist()
    if max(sizes) == 0:
        return values
    filled = own.new_zeros((max(sizes), *own.shape[1:]))
    filled[: len(own)] = own
    blocks = accelerator.gather(filled).cpu().numpy().reshape(len(sizes), max(sizes), *own.shape[1:])
    return np.concatenate([block[:size] for block, size in zip(blocks, sizes, strict=True)])


def _give_new_rows(accelerator: Accelerator, metric: Callable[..., Any]) -> Callable[..., Any]:
    def count(prediction: EvalPrediction, compute_result: bool) -> Any:
        predictions, labels = prediction.predictions, prediction.label_ids
        new = count_new_rows(accelerator, len(_first(labels)))
        if new is not None:
            predictions, labels = _cut(predictions, new), _cut(labels, new)
        return metric(EvalPrediction(predictions, labels), compute_result=compute_result)

    return count


def _keep(values: Any) -> Any:
    """Take the place of a function that gathers."""
    return values


def _first(values: Any) -> Any:
    return _first(values[0]) if isinstance(values, tuple | list) else values


def _cut(values: Any, rows: int) -> Any:
    if isinstance(values, tuple | list):
        return type(values)(_cut(part, rows) for part in values)
    return values[:rows] if isinstance(values, Tensor) else values
