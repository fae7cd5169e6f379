"""A folder of folds answers by all its models as one, for every kind of model; what cannot be is one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import saved_models
from safetensors.torch import load_file, save_file
from scripts.ner_files import chinese, english
from scripts.support import run_main, write_csv

from hf_ext.errors import UserError
from hf_ext.inference import Predictor, predict_file
from hf_ext.inference.export import export_onnx
from hf_ext.inference.folds import FOLDS_FILE, find_folds, fold_folder, read_folds_file
from hf_ext.inference.row_ensemble import RowEnsemble
from hf_ext.inference.sentence_ensemble import SentenceEnsemble, decode_mean, score_tags

RULE = {"temperature": 1.7, "thresholds": [0.3, 0.6, 0.45]}


def change_weights(folder: str, factor: float) -> None:
    """Make a model that answers otherwise."""
    path = Path(folder) / "model.safetensors"
    weights = {name: tensor * factor if tensor.dim() > 1 else tensor for name, tensor in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


def save_folds(folder: Path, save, count: int = 2) -> Path:
    """Save so many models as ``--num_folds`` would."""
    for fold in range(1, count + 1):
        change_weights(save(fold_folder(folder, fold)), 1.0 - 0.3 * (fold - 1))
    (folder / FOLDS_FILE).write_text(json.dumps({"num_folds": count}), encoding="utf-8")
    return folder


def each_and_all(folder: Path, count: int = 2) -> tuple[list[Predictor], Predictor]:
    single = [Predictor.from_pretrained(str(fold_folder(folder, k)), device="cpu") for k in range(1, count + 1)]
    return single, Predictor.from_pretrained(str(folder), device="cpu")


# --- classifiers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", saved_models.KINDS)
def test_probabilities_and_numbers_are_the_mean_of_the_members(kind, tmp_path):
    folder = save_folds(tmp_path, lambda place: saved_models.save_classifier(place, kind), 3)
    single, together = each_and_all(folder, 3)
    assert together.is_ensemble
    assert not single[0].is_ensemble
    answers, found = [member(saved_models.ROWS) for member in single], together(saved_models.ROWS)
    for i, row in enumerate(found):
        if kind == "regression":
            numbers = [answer[i]["prediction"] for answer in answers]
            assert row["prediction"] == pytest.approx(np.mean(numbers))
            assert numbers[0] != numbers[1]
            continue
        chances = {
            name: np.mean([answer[i]["probabilities"][name] for answer in answers]) for name in row["probabilities"]
        }
        assert row["probabilities"] == pytest.approx(chances, rel=1e-9)
        expected = [name for name, chance in chances.items() if chance >= 0.5]
        assert row["prediction"] == (expected if kind == "several_labels" else max(chances, key=chances.__getitem__))


def test_the_rule_of_the_folds_is_the_rule_of_the_ensemble(tmp_path):
    folder = save_folds(tmp_path, lambda place: saved_models.save_classifier(place, "several_labels"))
    for fold in find_folds(folder):
        config = json.loads((fold / "config.json").read_text(encoding="utf-8"))
        (fold / "config.json").write_text(json.dumps(config | {"decision_rule": RULE}), encoding="utf-8")
    single, together = each_and_all(folder)
    answers = [member(saved_models.ROWS) for member in single]
    for i, row in enumerate(together(saved_models.ROWS)):
        names = list(row["probabilities"])
        mean = [np.mean([answer[i]["probabilities"][name] for answer in answers]) for name in names]
        assert list(row["probabilities"].values()) == pytest.approx(mean, rel=1e-9)
        pairs = zip(names, mean, RULE["thresholds"], strict=True)
        assert row["prediction"] == [name for name, chance, threshold in pairs if chance >= threshold]


def test_a_file_is_answered_under_the_names_of_its_columns(tmp_path):
    folder = save_folds(tmp_path / "folds", lambda place: saved_models.save_classifier(place, "text"))
    rows = [{"words": row["text"], "other": "x"} for row in saved_models.ROWS]
    source = write_csv(tmp_path / "new.csv", rows)
    from hf_ext.inference.file_prediction import FileOptions

    together = Predictor.from_pretrained(str(folder), device="cpu")
    predict_file(together, source, tmp_path / "out.jsonl", FileOptions(text_column_names="words"))
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    expected = together([row["text"] for row in saved_models.ROWS])
    assert [row["probabilities"] for row in written] == [row["probabilities"] for row in expected]


def test_the_script_predicts_with_columns_of_other_names_and_tables(tmp_path):
    folder = save_folds(tmp_path / "folds", lambda place: saved_models.save_classifier(place, "columns"))
    file = write_csv(tmp_path / "test.csv", saved_models.ROWS, saved_models.INPUTS)
    flags = ("--model_name_or_path", folder, "--test_file", file, "--do_predict", "--use_cpu", "--report_to", "none")
    results = run_main(*flags, "--output_dir", tmp_path / "out", "--id_column_name", "id")
    lines = (tmp_path / "out" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    expected = Predictor.from_pretrained(str(folder), device="cpu")(saved_models.ROWS)
    for line, answer, row in zip(lines, expected, saved_models.ROWS, strict=True):
        assert json.loads(line)["id"] == row["id"]
        assert json.loads(line)["probabilities"] == pytest.approx(answer["probabilities"], rel=1e-5)
    assert results["predict"]["predict_samples"] == len(saved_models.ROWS)
    assert results["predict"]["predict_folds"] == 2


# --- taggers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags", [{}, {"decoder": "softmax"}, {"joint": True}, {"stock": True}, {"level": "character"}], ids=str
)
def test_taggers_agree_with_the_mean_of_their_scores(flags, tmp_path):
    folder = save_folds(tmp_path, lambda place: saved_models.save_tagger(place, **flags))
    single, together = each_and_all(folder)
    made = chinese(9, offset=40) if flags.get("level") == "character" else english(9, offset=40)
    sentences = [together.task.read(words, "input") for words, _, _ in made] + [together.task.read([], "input")]
    members = [score_tags(member.task, sentences) for member in single]
    means = [np.mean(scores, axis=0) for scores in zip(*(member.emissions for member in members), strict=True)]
    assert [len(scores) for scores in means] == [len(sentence.words) for sentence in sentences]
    merged = together.task.tag(sentences)
    if flags.get("decoder") == "softmax" or flags.get("stock"):
        assert merged.tags == [scores.argmax(-1).tolist() for scores in means]
        powers = [np.exp(scores - scores.max(-1, keepdims=True)) for scores in means]
        for chances, rows in zip(merged.tag_probabilities, powers, strict=True):
            np.testing.assert_allclose(chances, (rows / rows.sum(-1, keepdims=True)).max(-1, initial=0), rtol=1e-9)
    if flags.get("joint"):
        mean = np.mean([member.sentence_logits for member in members], axis=0)
        np.testing.assert_allclose(merged.sentence_logits, mean, rtol=1e-6)
    for member, scores in zip(single, members, strict=True):  # a pool of one is the tagger itself
        short = [i for i, sentence in enumerate(sentences) if len(sentence.words) <= 6]  # one window
        alone, pooled = member.task.tag(sentences), decode_mean([scores])
        assert [pooled.tags[i] for i in short] == [alone.tags[i] for i in short]
    answers = together([sentence.words for sentence in sentences])
    assert [len(answer["tags"]) for answer in answers] == [len(sentence.words) for sentence in sentences]


# --- what cannot be --------------------------------------------------------------------------------------------------


def test_members_must_fit_together(tmp_path):
    rows = [
        Predictor.from_pretrained(saved_models.save_classifier(tmp_path / kind, kind), device="cpu")
        for kind in ("text", "two_labels")
    ]
    with pytest.raises(ValueError, match="the same labels in the same order"):
        Predictor.from_members(rows)
    tagger = Predictor.from_pretrained(saved_models.save_tagger(tmp_path / "tagger"), device="cpu")
    joint = Predictor.from_pretrained(saved_models.save_tagger(tmp_path / "joint", joint=True), device="cpu")
    with pytest.raises(ValueError, match="all be classifiers, or all be taggers"):
        Predictor.from_members([rows[0], tagger])
    with pytest.raises(ValueError, match="the same tags in the same order"):
        Predictor.from_members([tagger, joint])
    assert isinstance(Predictor.from_members([rows[0]]).task, RowEnsemble)
    assert isinstance(Predictor.from_members([tagger]).task, SentenceEnsemble)


def test_an_untrained_fold_and_a_broken_list_are_one_line(tmp_path):
    assert read_folds_file(tmp_path) is None
    assert read_folds_file(None) is None
    assert find_folds("bert-base-chinese") == []
    (tmp_path / FOLDS_FILE).write_text('{"num_folds": 2}', encoding="utf-8")
    with pytest.raises(UserError, match=r"fold-1: this fold is not trained yet – go on with"):
        Predictor.from_pretrained(str(tmp_path))
    (tmp_path / FOLDS_FILE).write_text('{"folds": 2}', encoding="utf-8")
    with pytest.raises(UserError, match=r"folds.json: cannot be read"):
        Predictor.from_pretrained(str(tmp_path))


def test_folds_are_not_exported_as_one(tmp_path):
    pytest.importorskip("onnxscript")
    folder = save_folds(tmp_path / "folds", lambda place: saved_models.save_classifier(place, "text"))
    together = Predictor.from_pretrained(str(folder), device="cpu")
    with pytest.raises(UserError, match="holds several models – export one of its folds"):
        export_onnx(together, tmp_path / "model.onnx")
