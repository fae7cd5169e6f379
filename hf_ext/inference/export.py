"""A saved model as ONNX, compared with the original on the way.

python -m hf_ext.inference.export outputs/mine -o mine.onnx      # and decisions.py beside it, which needs numpy only
python -m hf_ext.inference.export outputs/tagger -o tagger.onnx    # and viterbi.py, likewise
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hf_ext.errors import UserError
from hf_ext.evaluation import decisions
from hf_ext.evaluation.decision_rule import CONFIG_KEY, DecisionRule
from hf_ext.inference import viterbi
from hf_ext.inference.export_command import TOLERANCE
from hf_ext.inference.preconditions import check_onnx_file, require_extra
from hf_ext.inference.predictor import Predictor
from hf_ext.inference.row_classifier import RowClassifier
from hf_ext.inference.sample_rows import Batch, sample_batches
from hf_ext.models.crf import ILLEGAL, LinearChainCRF
from hf_ext.progress import with_bar


class ExportedGraph(nn.Module):
    """What is exported of a model: scores, without decoding or losses.

    Args:
        model: The model, in evaluation mode.
        inputs: The names of the tensors that ``forward`` takes, in this order.
    """

    def __init__(self, model: nn.Module, inputs: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.inputs = tuple(inputs)

    @property
    def outputs(self) -> list[str]:
        """The names of what ``forward`` gives."""
        if "word_mask" not in self.inputs:
            return ["logits"]
        return ["emissions", "sentence_logits"] if hasattr(self.model, "sentence_layer") else ["emissions"]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Give the logits ``(B, L)`` of a classifier, or the emissions of a tagger ``(B, T, K)``, zeros at no word."""
        named = dict(zip(self.inputs, tensors, strict=True))
        model: Any = self.model
        if "word_mask" not in named:
            return (model(**named).logits,)
        read = model.read_words(named.pop("input_ids"), named.pop("attention_mask"), **named)
        emissions = read.places.scatter(read.emissions, fill=0.0)
        return (emissions, model.classify_sentences(read)) if len(self.outputs) > 1 else (emissions,)


def export_onnx(predictor: Predictor, path: str | Path, *, tolerance: float = TOLERANCE) -> float:
    """Write a model as ONNX with any number of rows and tokens, and compare it with the original.

    Beside ``model.onnx`` stands ``model.json``: names of inputs, outputs and labels, the longest sequence, and of a CRF
    its scores, in which steps that the tag scheme forbids are lowered; and what reads answers off the scores with numpy
    alone: ``decisions.py`` for classifiers, by the temperature and thresholds of the model, ``viterbi.py`` for taggers.

    Args:
        predictor: The model, on the CPU.
        path: Where it goes, ``*.onnx``.
        tolerance: The largest difference between a score of the original and the same score from onnxruntime, over
            batches of 1 to 5 rows and 2 to 40 pieces of text.

    Returns:
        The largest difference found.

    Raises:
        UserError: If a package of the extra ``onnx`` is missing, the model cannot be exported, or differs by more; then
            nothing is written.
    """
    require_extra("onnx", what="exporting")
    path = check_onnx_file(path)
    if predictor.is_ensemble:
        raise UserError("a folder of folds holds several models", fix="export one of its folds")
    batches = list(sample_batches(predictor))
    graph = ExportedGraph(predictor.task.engine.model, list(batches[0])).eval()
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        steps = with_bar(_write_and_compare(graph, temporary, batches), f"export {path.name}", unit="steps", total=6)
        difference = float(np.max(list(steps)))  # NaN if one of them is
        if not difference <= tolerance:
            raise UserError(
                f"the exported model differs by {difference:.1e}, more than {tolerance:g}",
                where=str(path),
                fix="allow more with --tolerance if that is good enough; nothing was written",
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    settings = describe(predictor, graph)
    path.with_suffix(".json").write_text(json.dumps(settings, ensure_ascii=False, indent=2), encoding="utf-8")
    reader = Path(str((viterbi if predictor.tags_words else decisions).__file__))
    shutil.copy(reader, path.with_name(reader.name))
    return difference


def describe(predictor: Predictor, graph: ExportedGraph) -> dict[str, Any]:
    """Say what whoever runs the exported model must know; see ``export_onnx``."""
    task = predictor.task
    known: dict[str, Any] = {"inputs": list(graph.inputs), "outputs": graph.outputs, "max_length": task.max_length}
    if isinstance(task, RowClassifier):
        labels = task.schema.labels
        rule = DecisionRule.from_config(task.engine.model.config)
        return known | {"problem_type": labels.problem_type, "labels": list(labels.names), CONFIG_KEY: rule.stored}
    crf: Any = getattr(graph.model, "crf", None)
    known |= {"labels": list(task.schema.tags), "scheme": task.schema.scheme, "level": task.schema.level}
    known["crf"] = None if crf is None else decoding_scores(crf)
    return known | ({"sentence_labels": list(task.schema.sentence_labels)} if len(graph.outputs) > 1 else {})


def decoding_scores(crf: LinearChainCRF) -> dict[str, list[Any]]:
    """Give the scores that a CRF decodes with, illegal steps lowered, as plain numbers."""
    parts = {"start": crf.start_transitions, "transitions": crf.transitions, "end": crf.end_transitions}
    lowered = crf.legal if crf.legal is not None and crf.constrain != "none" else None
    scores = {}
    for name, values in parts.items():
        values = values.detach().float()
        if lowered is not None:
            values = values + ~torch.tensor(getattr(lowered, name)) * ILLEGAL
        scores[name] = values.tolist()
    return scores


def compare(graph: ExportedGraph, path: Path, batches: Iterable[Batch]) -> Iterator[float]:
    """Give, by batch, the largest difference between the original's scores and onnxruntime's at real tokens."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in batches:
        with torch.no_grad():
            expected = [part.numpy() for part in graph(*batch.values())]
        found = session.run(None, {name: batch[name].numpy() for name in graph.inputs})
        real = batch["attention_mask"].numpy() != 0
        differences = [np.abs(a - b) for a, b in zip(expected, found, strict=True)]
        yield float(np.max([(values[real] if values.ndim == 3 else values).max() for values in differences]))


def _write_and_compare(graph: ExportedGraph, path: Path, batches: Sequence[Batch]) -> Iterator[float]:
    """Write the file, and give the difference found after each step of it."""
    _export(graph, batches[0]).save(str(path))
    yield 0.0
    yield from compare(graph, path, batches)


def _export(graph: ExportedGraph, batch: Batch) -> Any:
    every = torch.export.Dim.DYNAMIC
    free = {"category_ids": 1, "numeric_values": 1}  # these have as many columns as the schema
    axes = tuple(dict.fromkeys(range(free.get(name, value.dim())), every) for name, value in batch.items())
    for noisy in ("onnx_ir", "onnxscript", "torch.onnx"):  # which speak of torchvision, and of each weight
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says to itself
            return torch.onnx.export(
                graph,
                tuple(batch.values()),
                dynamo=True,
                dynamic_shapes=(axes,),
                input_names=list(graph.inputs),
                output_names=graph.outputs,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds; all mean that it cannot follow this model
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        name = type(graph.model).__name__
        raise UserError(f"{name} cannot be exported ({reason})", fix="use the Predictor, or a new process") from error


if __name__ == "__main__":
    from hf_ext.cli.running import run_script
    from hf_ext.inference.export_command import main

    run_script(main)
