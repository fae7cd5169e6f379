"""Thresholds and temperature mean the same in the script, the predictor, the pipeline, the export and the page."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import saved_models
import torch
import transformers
from scripts.support import run_main, write_csv

from hf_ext.evaluation import decisions
from hf_ext.inference import Predictor, export, page, preconditions
from hf_ext.inference.sample_rows import sample_batches

TEXTS = [row["text"] for row in saved_models.ROWS]
TEMPERATURE = 1.7
KINDS = ("two_labels", "several_labels")
LACKING = [name for name in preconditions.EXTRAS["onnx"] if importlib.util.find_spec(name) is None]


def by_hand(logits: list[float], kind: str, thresholds: list[float]) -> tuple[dict[str, float], list[str]]:
    """The probabilities and the labels that hold of one row, number by number."""
    scaled = [logit / TEMPERATURE for logit in logits]
    if kind == "several_labels":
        chances = [1 / (1 + math.exp(-score)) for score in scaled]
        held = [chance >= threshold for chance, threshold in zip(chances, thresholds, strict=True)]
    else:
        total = sum(map(math.exp, scaled))
        chances = [math.exp(score) / total for score in scaled]
        held = [chances[1] < thresholds[0], chances[1] >= thresholds[0]]
    names = ("bad", "good", "so-so")[: len(chances)]
    by_name = dict(zip(names, chances, strict=True))
    return by_name, [name for name, holds in zip(names, held, strict=True) if holds]


@pytest.fixture(scope="module", params=KINDS)
def ruled(request, tmp_path_factory):
    """A folder with a rule whose cuts lie between the rows, and what it must answer to ``TEXTS``."""
    kind = request.param
    folder = tmp_path_factory.mktemp(kind) / "model"
    saved_models.save_classifier(folder, kind)
    task = Predictor.from_pretrained(str(folder), device="cpu").task
    features = task.encode([task.read(text, "row") for text in TEXTS])
    with torch.no_grad():
        logits = [task.engine.model(**{k: torch.tensor([v]) for k, v in row.items()}).logits[0] for row in features]
    count = len(logits[0])
    usual = [by_hand(row.tolist(), kind, [0.5] * count) for row in logits]
    cut = ("bad", "good", "so-so") if kind == "several_labels" else ("good",)
    thresholds = [between([chances[name] for chances, _ in usual]) for name in cut]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["decision_rule"] = {"temperature": TEMPERATURE, "thresholds": thresholds}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    expected = [by_hand(row.tolist(), kind, thresholds) for row in logits]
    assert [held for _, held in expected] != [held for _, held in usual]  # the rule changes something
    return kind, str(folder), torch.stack(logits), expected


def between(values: list[float]) -> float:
    """A cut in the widest gap between two of the values, so that rounding moves no row over it."""
    ordered = sorted(values)
    gaps = [(high - low, (low + high) / 2) for low, high in itertools.pairwise(ordered)]
    return max(gaps)[1]


def as_prediction(kind: str, held: list[str]):
    return held if kind == "several_labels" else held[0]


def test_the_predictor_and_the_page(ruled):
    kind, folder, _, expected = ruled
    predictor = Predictor.from_pretrained(folder, device="cpu")
    shown = page.label_answers(predictor)
    for text, answer, (chances, held) in zip(TEXTS, predictor(TEXTS), expected, strict=True):
        assert answer["prediction"] == as_prediction(kind, held)
        assert answer["probabilities"] == pytest.approx(chances, abs=1e-6)
        assert shown(text) == [", ".join(held) or "none", pytest.approx(chances, abs=1e-6)]


def test_the_script(ruled, tmp_path):
    kind, folder, _, expected = ruled
    source = write_csv(tmp_path / "test.csv", saved_models.ROWS, saved_models.INPUTS)
    quiet = ("--use_cpu", "--disable_tqdm", "true", "--cache_dir", tmp_path / "cache")
    run_main(
        *("--model_name_or_path", folder, "--test_file", source, "--do_predict", *quiet),
        *("--output_dir", tmp_path / "out"),
    )
    rows = map(json.loads, (tmp_path / "out" / "predictions.jsonl").read_text(encoding="utf-8").splitlines())
    for row, (chances, held) in zip(rows, expected, strict=True):
        assert row["prediction"] == as_prediction(kind, held)
        assert row["probabilities"] == pytest.approx(chances, abs=5e-4)  # written in half precision


def test_the_pipeline(ruled):
    _, folder, logits, expected = ruled
    pipe = transformers.pipeline("text-classification", model=folder, device="cpu")
    everything, held, first = pipe(TEXTS, top_k=None), pipe(TEXTS, top_k="held"), pipe(TEXTS)
    for i, (chances, names) in enumerate(expected):
        assert {found["label"]: found["score"] for found in everything[i]} == pytest.approx(chances, abs=1e-6)
        assert [found["label"] for found in held[i]] == sorted(names, key=chances.get, reverse=True)
        assert everything[i][: len(names)] == held[i]
        assert first[i] == everything[i][0]
        scores = [found["score"] for found in everything[i][len(names) :]]
        assert scores == sorted(scores, reverse=True)
    plain = pipe(TEXTS[0], function_to_apply="none", top_k=None)  # what transformers does, without a rule
    assert sorted(found["score"] for found in plain) == pytest.approx(sorted(logits[0].tolist()), abs=1e-5)
    with pytest.raises(ValueError, match='top_k="held" is for labels'):
        pipe(TEXTS[0], function_to_apply="none", top_k="held")


def test_what_reads_an_export(ruled):
    kind, folder, logits, expected = ruled
    predictor = Predictor.from_pretrained(folder, device="cpu")
    graph = export.ExportedGraph(predictor.task.engine.model, list(next(sample_batches(predictor))))
    settings = json.loads(json.dumps(export.describe(predictor, graph)))
    check_answers(decisions.answer(logits.numpy(), settings), kind, expected)


@pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)} (extra onnx)")
@pytest.mark.slow
def test_the_exported_model_with_the_files_beside_it(ruled, tmp_path):
    import onnxruntime

    kind, folder, _, expected = ruled
    predictor = Predictor.from_pretrained(folder, device="cpu")
    export.export_onnx(predictor, tmp_path / "model.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.json", "decisions.py"}
    settings = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    spec = importlib.util.spec_from_file_location("decisions_beside_the_model", tmp_path / "decisions.py")
    beside = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(beside)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    given = tokenizer(TEXTS, padding=True, truncation=True, max_length=settings["max_length"], return_tensors="np")
    (logits,) = session.run(["logits"], {name: given[name] for name in settings["inputs"]})
    check_answers(beside.answer(logits, settings), kind, expected)


def check_answers(answers, kind, expected):
    for answer, (chances, held) in zip(answers, expected, strict=True):
        assert answer["prediction"] == as_prediction(kind, held)
        assert answer["probabilities"] == pytest.approx(chances, abs=1e-4)
        scores = [chances[name] for name in held]
        assert answer["score"] == pytest.approx(scores if kind == "several_labels" else scores[0], abs=1e-4)


def test_the_file_beside_the_model_needs_numpy_only():
    path = Path(decisions.__file__)
    code = f"import sys, runpy; runpy.run_path({str(path)!r}); print('torch' in sys.modules, 'hf_ext' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.split() == ["False", "False"]


def test_a_number_is_read_as_it_is():
    settings = {"problem_type": "regression", "labels": [], "decision_rule": {"temperature": 1.0, "thresholds": []}}
    assert decisions.answer([[0.5], [-2.0]], settings) == [{"prediction": 0.5}, {"prediction": -2.0}]
