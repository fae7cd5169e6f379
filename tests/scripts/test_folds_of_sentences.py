"""``run_ner.py --num_folds``: out of fold, and all taggers as one by the mean of their scores."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from scripts.ner_files import english, write_columns, write_folder
from scripts.support import read_json, run_main

from hf_ext.errors import UserError
from hf_ext.inference import Predictor
from hf_ext.inference.sentence_ensemble import SentenceEnsemble, decode_mean, mean_decoder, score_tags
from hf_ext.models.crf import LinearChainCRF

SCRIPT = "run_ner.py"
TRAIN = ("--do_train", "--use_cpu", "--disable_tqdm", "true", "--write_report", "false", "--report_to", "none")
TRAIN += ("--embedding_size", "8", "--rnn_hidden_size", "8", "--num_train_epochs", "2", "--learning_rate", "0.02")
TRAIN += ("--save_strategy", "no", "--num_folds", "2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    files = ("--train_file", write_columns(folder / "train.txt", english(40)), "--cache_dir", folder / "cache")
    files += ("--test_file", write_columns(folder / "test.txt", english(9, offset=60)))
    results = run_main(*TRAIN, *files, "--do_predict", "--output_dir", folder / "out", script=SCRIPT)
    return folder, results


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_sentence_is_tagged_by_the_model_that_has_not_seen_it(trained):
    folder, results = trained
    rows = lines(folder / "out" / "out_of_fold_predictions.jsonl")
    assert [row["id"] for row in rows] == [str(i) for i in range(40)]
    assert [row["words"] for row in rows] == [words for words, _, _ in english(40)]
    for k in (1, 2):
        own = read_json(folder / "out" / f"fold-{k}" / "split_indices.json")["validation"]
        assert own == [i for i, row in enumerate(rows) if row["fold"] == k]
        answers = Predictor.from_pretrained(str(folder / "out" / f"fold-{k}"))([rows[i]["words"] for i in own])
        assert [answer["tags"] for answer in answers] == [rows[i]["tags"] for i in own]
        alone = read_json(folder / "out" / f"fold-{k}" / "eval_results.json")
        assert alone["eval_samples"] == len(own)
    figures = results["eval"]
    folds = [read_json(folder / "out" / f"fold-{k}" / "eval_results.json")["eval_f1"] for k in (1, 2)]
    assert figures["eval_f1_mean"] == pytest.approx(np.mean(folds))
    assert figures["eval_f1_std"] == pytest.approx(np.std(folds, ddof=1))
    right = sum(row["tags"] == tags for row, (_, tags, _) in zip(rows, english(40), strict=True))
    assert right <= 40
    assert figures["eval_samples"] == 40


def test_sentences_with_the_same_words_are_in_one_fold(trained):
    rows = lines(trained[0] / "out" / "out_of_fold_predictions.jsonl")
    folds: dict[tuple, set[int]] = {}
    for row in rows:
        folds.setdefault(tuple(row["words"]), set()).add(row["fold"])
    assert all(len(found) == 1 for found in folds.values())
    assert len(folds) < len(rows)


def test_the_ensemble_has_the_geometric_mean_of_the_distributions(trained):
    """By brute force over all tag sequences of a short sentence."""
    members = [Predictor.from_pretrained(str(trained[0] / "out" / f"fold-{k}")).task for k in (1, 2)]
    sentence = members[0].read(["Bob", "leads", "Acme"], "input 0")
    paths = torch.tensor(list(itertools.product(range(len(members[0].schema.tags)), repeat=3)))
    logs = []
    for member in members:
        scores = score_tags(member, [sentence])
        assert isinstance(scores.decoder, LinearChainCRF)
        emissions = torch.from_numpy(scores.emissions[0]).expand(len(paths), -1, -1)
        decoder = scores.decoder.double()
        decoder.constrain = "train"  # decoding knows of the constraints, and so does the mean
        logs.append(decoder(emissions, paths, reduction="none").detach())
    pooled = torch.stack(logs).mean(0).softmax(0)
    best = paths[pooled.argmax()].tolist()
    merged = decode_mean([score_tags(member, [sentence]) for member in members])
    assert merged.tags == [best]
    for place in range(3):
        expected = pooled[paths[:, place] == best[place]].sum()
        assert merged.tag_probabilities[0][place] == pytest.approx(float(expected), rel=1e-6)
    joint = merged.tag_probabilities[0][0] * np.prod(merged.chain_probabilities[0][1:])
    assert joint == pytest.approx(float(pooled.max()), rel=1e-6)


def test_prediction_together_is_the_same_from_script_and_predictor(trained, tmp_path):
    folder, results = trained
    written = lines(folder / "out" / "predictions.jsonl")
    together = Predictor.from_pretrained(str(folder / "out"))
    assert isinstance(together.task, SentenceEnsemble)
    answers = together([words for words, _, _ in english(9, offset=60)])
    assert [answer["tags"] for answer in answers] == [row["tags"] for row in written]
    assert {"predict_f1", "predict_f1_mean", "predict_f1_std"} <= results["predict"].keys()
    flags = ("--model_name_or_path", folder / "out", "--test_file", folder / "test.txt", "--use_cpu", "--do_predict")
    run_main(*flags, "--output_dir", tmp_path / "later", script=SCRIPT)
    later = lines(tmp_path / "later" / "predictions.jsonl")
    assert [row["tags"] for row in later] == [row["tags"] for row in written]
    found = [[entity["confidence"] for row in rows for entity in row["entities"]] for rows in (later, written)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)  # other batches, other rounding


def test_an_ensemble_of_one_tagger_says_what_the_tagger_says(trained):
    member = Predictor.from_pretrained(str(trained[0] / "out" / "fold-1")).task
    sentences = [member.read(words, "input") for words, _, _ in english(12)] + [member.read([], "input")]
    alone, pooled = member.tag(sentences), SentenceEnsemble.of([member]).tag(sentences)
    assert pooled.tags == alone.tags
    for one, other in zip(pooled.tag_probabilities, alone.tag_probabilities, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_joint_models_have_folds_too(tmp_path):
    files = ("--train_file", write_folder(tmp_path / "train", english(24)), "--cache_dir", tmp_path / "cache")
    files += ("--test_file", write_folder(tmp_path / "test", english(4, offset=60)), "--do_predict")
    results = run_main(*TRAIN, *files, "--decoder", "softmax", "--output_dir", tmp_path / "out", script=SCRIPT)
    assert {"eval_sentence_accuracy", "eval_sentence_accuracy_mean"} <= results["eval"].keys()
    each = [Predictor.from_pretrained(str(tmp_path / "out" / f"fold-{k}")).task for k in (1, 2)]
    sentences = [each[0].read(words, "input") for words, _, _ in english(4, offset=60)]
    logits = np.mean([score_tags(member, sentences).sentence_logits for member in each], axis=0)
    written = lines(tmp_path / "out" / "predictions.jsonl")
    names = each[0].schema.sentence_labels
    assert [row["sentence_label"] for row in written] == [names[i] for i in logits.argmax(1)]
    means = np.mean([score_tags(member, sentences).emissions[0] for member in each], axis=0)
    assert written[0]["tags"] == [each[0].schema.tags[i] for i in means.argmax(1)]


def test_a_chain_and_no_chain_cannot_be_pooled():
    from hf_ext.models.softmax_decoder import SoftmaxDecoder

    with pytest.raises(ValueError, match="must all have a CRF"):
        mean_decoder([LinearChainCRF(3, batch_first=True), SoftmaxDecoder()])


def test_thresholds_are_refused_before_the_training(tmp_path):
    file = write_columns(tmp_path / "train.txt", english(20))
    with pytest.raises(UserError, match="is for classifiers"):
        run_main(
            *TRAIN, "--do_eval", "--train_file", file, "--calibrate", "temperature", "--output_dir", tmp_path / "out",
            script=SCRIPT,
        )  # fmt: skip
