"""An exported model gives the scores of the original, and its tags with numpy alone."""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import saved_models
import torch
from scripts.ner_files import english

from hf_ext import progress
from hf_ext.errors import UserError
from hf_ext.inference import Predictor, export, export_command, preconditions, viterbi
from hf_ext.models.crf import LinearChainCRF
from hf_ext.models.tag_schemes import legal_transitions

LACKING = [name for name in preconditions.EXTRAS["onnx"] if importlib.util.find_spec(name) is None]
needs_onnx = pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)} (extra onnx)")


# --- numpy's Viterbi -------------------------------------------------------------------------------------------------


def test_the_best_path_is_the_best_of_all_paths():
    draw = np.random.default_rng(0)
    for words, tags in itertools.product((1, 2, 4), (2, 3)):
        emissions, start, end = draw.normal(size=(words, tags)), draw.normal(size=tags), draw.normal(size=tags)
        transitions = draw.normal(size=(tags, tags))

        def score(path, emissions=emissions, start=start, end=end, transitions=transitions):
            steps = sum(transitions[a, b] for a, b in itertools.pairwise(path))
            return start[path[0]] + end[path[-1]] + steps + sum(emissions[t, tag] for t, tag in enumerate(path))

        best = max(itertools.product(range(tags), repeat=words), key=score)
        assert viterbi.best_path(emissions, start, transitions, end) == list(best)


@pytest.mark.parametrize("constrain", ["decode", "none"])
def test_tags_are_those_of_the_crf_with_holes_and_empty_rows(constrain):
    torch.manual_seed(0)
    legal = legal_transitions(saved_models.TAGS, "BIO")
    crf = LinearChainCRF(7, batch_first=True, legal=legal, constrain=constrain)
    torch.nn.init.normal_(crf.transitions)
    emissions, mask = torch.randn(4, 9, 7), torch.rand(4, 9) < 0.6
    mask[2] = False
    scores = json.loads(json.dumps(export.decoding_scores(crf)))
    assert viterbi.decode(emissions.numpy(), mask.long().numpy(), scores) == crf.decode(emissions, mask)
    best = [row[keep].argmax(-1).tolist() for row, keep in zip(emissions, mask, strict=True)]
    assert viterbi.decode(emissions.numpy(), mask.numpy()) == best


def test_the_file_beside_the_model_needs_numpy_only():
    code = f"import sys; import runpy; runpy.run_path({viterbi.__file__!r}); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.strip() == "False"


# --- whole exports ---------------------------------------------------------------------------------------------------


@needs_onnx
@pytest.mark.slow
def test_a_crf_from_scratch_is_exported_and_tags_as_the_predictor(tmp_path):
    import onnxruntime

    predictor = Predictor.from_pretrained(saved_models.save_tagger(tmp_path / "model"), device="cpu")
    assert export.export_onnx(predictor, tmp_path / "tagger.onnx") < 1e-5
    settings = json.loads((tmp_path / "tagger.json").read_text(encoding="utf-8"))
    assert settings["labels"] == list(saved_models.TAGS)
    session = onnxruntime.InferenceSession(str(tmp_path / "tagger.onnx"))
    sentences = [words[:9] for words, _, _ in english(4)]
    batch = predictor.task.tokenizer(sentences, is_split_into_words=True, padding=True, return_tensors="np")
    ids = batch["input_ids"]
    special = (predictor.task.tokenizer.cls_token_id, predictor.task.tokenizer.sep_token_id)
    word_mask = np.where(np.isin(ids, special), 0, batch["attention_mask"])
    inputs = {**batch, "word_mask": word_mask}
    (emissions,) = session.run(["emissions"], {name: inputs[name].astype(np.int64) for name in settings["inputs"]})
    tags = viterbi.decode(emissions, word_mask, settings["crf"])
    names = [[settings["labels"][i] for i in row] for row in tags]
    assert names == [answer["tags"] for answer in predictor(sentences)]
    assert {path.name for path in tmp_path.iterdir()} == {"model", "tagger.onnx", "tagger.json", "viterbi.py"}


@needs_onnx
@pytest.mark.slow
def test_the_command_exports_text_with_columns(tmp_path, caplog):
    model = saved_models.save_classifier(tmp_path / "model", "columns")
    with caplog.at_level("INFO"):
        export_command.main([model, "-o", str(tmp_path / "mine.onnx")])
    said = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]
    assert "largest difference to the original" in said[-1]
    assert not [line for line in said if "torchvision" in line or "initializer" in line]
    settings = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert settings["inputs"] == ["input_ids", "attention_mask", "category_ids", "numeric_values"] or set(
        settings["inputs"]
    ) >= {"category_ids", "numeric_values"}
    assert (settings["labels"], settings["max_length"]) == (["bad", "good", "so-so"], 20)


@needs_onnx
@pytest.mark.stress
@pytest.mark.parametrize("kind", ["text", "several_labels", "regression", "pairs"])
def test_every_kind_of_classifier_is_exported(kind, tmp_path):
    predictor = Predictor.from_pretrained(saved_models.save_classifier(tmp_path / "model", kind), device="cpu")
    assert export.export_onnx(predictor, tmp_path / "model.onnx") < 1e-5


@needs_onnx
@pytest.mark.stress
@pytest.mark.parametrize(
    "settings",
    [{"joint": True}, {"stock": True}, {"character_encoder": "lstm"}, {"character_encoder": "cnn", "head_rnn": "gru"}],
    ids=["joint", "stock", "characters by lstm", "characters by cnn, gru"],
)
def test_every_kind_of_tagger_is_exported(settings, tmp_path):
    model = saved_models.save_tagger(tmp_path / "model", **settings)
    command = [
        sys.executable,
        "-m",
        "hf_ext",
        "export",
        model,
        "-o",
        str(tmp_path / "model.onnx"),
        "--tolerance",
        "1e-5",
    ]
    # A process each, as the command has: what the exporter keeps of one tagger may fix the sizes of the next.
    done = subprocess.run(
        command, cwd=export.__file__.rpartition("/hf_ext/")[0], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "model.onnx").is_file()


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_model_that_differs_too_much_is_not_written(tmp_path, monkeypatch):
    class Program:
        def save(self, path):
            shutil.copy(__file__, path)

    predictor = Predictor.from_pretrained(saved_models.save_classifier(tmp_path / "model", "text"), device="cpu")
    monkeypatch.setitem(preconditions.EXTRAS, "onnx", ())
    monkeypatch.setattr(export, "_export", lambda graph, batch: Program())
    for difference in (2e-4, float("nan")):
        monkeypatch.setattr(export, "compare", lambda *_, difference=difference: iter([0.0, difference, 1e-6]))
        with pytest.raises(UserError, match="the exported model differs by"):
            export.export_onnx(predictor, tmp_path / "mine.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"model"}


@pytest.mark.parametrize("looked_at", [True, False])
def test_a_terminal_sees_the_steps_and_a_file_does_not(looked_at, tmp_path, monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return looked_at

    class Program:
        def save(self, path):
            shutil.copy(__file__, path)

    screen = Screen()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=screen))
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr("datasets.are_progress_bars_disabled", lambda: False)
    monkeypatch.setitem(preconditions.EXTRAS, "onnx", ())
    monkeypatch.setattr(export, "_export", lambda graph, batch: Program())
    monkeypatch.setattr(export, "compare", lambda graph, path, batches: (0.0 for _ in batches))
    predictor = Predictor.from_pretrained(saved_models.save_classifier(tmp_path / "model", "text"), device="cpu")
    assert export.export_onnx(predictor, tmp_path / "mine.onnx") == 0.0
    shown = screen.getvalue()
    assert ("export mine.onnx" in shown and "6/6" in shown) if looked_at else shown == ""


def test_a_model_that_cannot_be_followed_is_refused_in_one_line(tmp_path):
    class Stubborn(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            return input_ids.nonexistent

    graph = export.ExportedGraph(Stubborn(), ["input_ids", "attention_mask"])
    ids = torch.ones(2, 3, dtype=torch.long)
    with pytest.raises(UserError, match="Stubborn cannot be exported") as caught:
        export._export(graph, {"input_ids": ids, "attention_mask": ids})
    assert "\n" not in str(caught.value)


def test_missing_packages_and_odd_targets_are_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"the exported model is written as \.onnx"):
        preconditions.check_onnx_file(tmp_path / "mine.pt")
    with pytest.raises(UserError, match="no such folder"):
        preconditions.check_onnx_file(tmp_path / "nowhere" / "mine.onnx")
    monkeypatch.setitem(preconditions.EXTRAS, "onnx", ("onnx_that_nobody_has",))
    with pytest.raises(UserError, match=r"needs the package onnx_that_nobody_has – pip install 'hf_ext\[onnx\]'"):
        export_command.main(["model", "-o", str(tmp_path / "mine.onnx")])
