"""What is fitted on validation rows once a classifier is trained: temperature and thresholds, kept in its config."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers.utils import CONFIG_NAME

from hf_ext.errors import UserError
from hf_ext.evaluation.decision_rule import CONFIG_KEY, DecisionRule
from hf_ext.evaluation.decisions import probabilities
from hf_ext.evaluation.reports import write_atomically
from hf_ext.evaluation.temperature import calibration_error, fit_temperature, mean_surprise
from hf_ext.evaluation.thresholds import best_threshold
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, LabelSchema
from hf_ext.training.arguments import WEIGHT_FILES, ExtTrainingArguments

logger = logging.getLogger(__name__)


def check_choosing(args: ExtTrainingArguments, labels: LabelSchema, model: str | None) -> None:
    """Refuse what cannot be fitted, before hours are spent on the training.

    Args:
        args: The run's training arguments.
        labels: The labels of the model.
        model: The folder or name that the run starts from.

    Raises:
        UserError: For numbers, for thresholds of three and more labels of which one holds, and where the config to be
            changed would be that of another model.
    """
    for name in ("tune_thresholds", "calibrate"):
        if getattr(args, name) and labels.problem_type == REGRESSION:
            raise UserError(f"--{name} is for labels; a number has no probability", fix="leave it out")
    if args.tune_thresholds and labels.problem_type != MULTI_LABEL and labels.num_labels != 2:
        raise UserError(
            f"--tune_thresholds is for two labels, or for several a row; here are {labels.num_labels}, of which one "
            "holds",
            fix="leave it out",
        )
    if (args.tune_thresholds or args.calibrate) and not args.do_train and not _is_same(model, args.output_dir):
        found = next((path for pattern in WEIGHT_FILES for path in Path(args.output_dir or ".").glob(pattern)), None)
        if found is not None:
            fix = "name the model's own folder, or another --output_dir"
            raise UserError("the output folder holds another model", where=str(found), fix=fix)


def fit_rule(
    logits: NDArray[Any], targets: NDArray[Any], labels: LabelSchema, args: ExtTrainingArguments
) -> tuple[DecisionRule, dict[str, float]]:
    """Fit what the flags ask for, the temperature first, and say what came of it.

    Args:
        logits: Of the validation rows with a label, ``(N, L)``.
        targets: Label indices ``(N,)``, or 0/1 rows ``(N, L)``.
        labels: The labels of the model.
        args: The run's training arguments.

    Returns:
        The rule, and figures of the calibration: ``temperature``, ``ece`` and ``nll`` with it, ``ece_before`` and
        ``nll_before`` without.
    """
    kind, temperature, figures = labels.problem_type, 1.0, {}
    if args.calibrate:
        temperature = fit_temperature(logits, targets, kind)
        for name, measure in (("ece", calibration_error), ("nll", mean_surprise)):
            figures[f"{name}_before"] = measure(logits, targets, kind)
            figures[name] = measure(logits, targets, kind, temperature=temperature)
        logger.info(
            "Temperature %.4f: calibration error %.4f, before %.4f; negative log-likelihood %.4f, before %.4f.",
            *(temperature, figures["ece"], figures["ece_before"], figures["nll"], figures["nll_before"]),
        )
        figures["temperature"] = temperature
    thresholds: tuple[float, ...] = ()
    if args.tune_thresholds:
        chances = probabilities(logits, kind, temperature)
        several = kind == MULTI_LABEL
        columns, flags = (chances.T, targets.T) if several else (chances[:, 1:].T, targets[None])
        pairs = zip(columns, flags, strict=True)
        thresholds = tuple(best_threshold(chance, flag > 0.5, args.tune_thresholds) for chance, flag in pairs)
        names = labels.names if several else labels.names[1:]
        shown = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, thresholds, strict=True))
        logger.info("A label holds from this probability on (best %s): %s.", args.tune_thresholds, shown)
    return DecisionRule(temperature, thresholds), figures


def save_rule(rule: DecisionRule, folder: Path) -> None:
    """Write a rule into the ``config.json`` of a saved model."""
    path = folder / CONFIG_NAME
    content = json.loads(path.read_text(encoding="utf-8")) | {CONFIG_KEY: rule.stored}
    write_atomically(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def labelled_targets(labels: list[Any]) -> tuple[list[int], NDArray[Any]]:
    """Give the places of the rows that have a label, and their labels."""
    known = [i for i, label in enumerate(labels) if label is not None]
    return known, np.array([labels[i] for i in known])


def _is_same(model: str | None, folder: str | None) -> bool:
    return bool(model) and Path(str(model)).resolve() == Path(folder or ".").resolve()
