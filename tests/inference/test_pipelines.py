"""transformers' pipelines answer with models of hf_ext as the predictor does, and with others as ever."""

from __future__ import annotations

import logging

import pytest
import saved_models
import transformers
from scripts.ner_files import english

import hf_ext.inference.pipelines
from hf_ext.inference import Predictor

TEXTS = ["  王小明在北京的新华社工作。", "", "李雷 在 上海 学习。" * 5]


@pytest.fixture(scope="module")
def chinese_folder(tmp_path_factory):
    return saved_models.save_tagger(tmp_path_factory.mktemp("chinese"), level="character")


@pytest.mark.parametrize("batch_size", [1, 2])
def test_entities_of_chinese_text_are_those_of_the_predictor(chinese_folder, batch_size, caplog):
    with caplog.at_level(logging.WARNING):
        pipe = transformers.pipeline("token-classification", model=chinese_folder, device="cpu")
    assert "not supported" not in caplog.text
    assert type(pipe) is hf_ext.inference.pipelines.ExtTokenClassificationPipeline
    expected = Predictor.from_pretrained(chinese_folder)(TEXTS)
    found = pipe(TEXTS, aggregation_strategy="simple", batch_size=batch_size)
    assert any(found)
    for text, groups, answer in zip(TEXTS, found, expected, strict=True):
        assert [(g["entity_group"], g["start"], g["end"]) for g in groups] == [
            (e["type"], e["start"], e["end"]) for e in answer["entities"]
        ]
        assert [g["score"] for g in groups] == pytest.approx([e["confidence"] for e in answer["entities"]], abs=1e-5)
        assert all(g["word"] == text[g["start"] : g["end"]] for g in groups)


def test_words_carry_the_best_path_of_the_crf(chinese_folder):
    pipe = transformers.pipeline("ner", model=chinese_folder, device="cpu")
    answer = Predictor.from_pretrained(chinese_folder)(TEXTS[0])
    words = pipe(TEXTS[0], ignore_labels=[])
    assert [word["entity"] for word in words] == answer["tags"]
    assert [word["index"] for word in words] == list(range(1, len(words) + 1))
    assert [TEXTS[0][word["start"] : word["end"]] for word in words] == answer["words"] == [w["word"] for w in words]
    inside = [word["entity"] for word in pipe(TEXTS[0])]
    assert inside == [tag for tag in answer["tags"] if tag != "O"]


def test_words_can_be_given_and_characters_are_batched(tmp_path):
    folder = saved_models.save_tagger(tmp_path, decoder="softmax", character_encoder="cnn")
    pipe = transformers.pipeline("token-classification", model=folder, aggregation_strategy="simple", device="cpu")
    sentences = [words for words, _, _ in english(5)]
    found = pipe(sentences, is_split_into_words=True, batch_size=3)
    for groups, answer in zip(found, Predictor.from_pretrained(folder)(sentences), strict=True):
        assert [g["word"] for g in groups] == [e["text"] for e in answer["entities"]]


def test_the_tagger_of_a_joint_model_is_read_alone(tmp_path):
    folder = saved_models.save_tagger(tmp_path, joint=True)
    pipe = transformers.pipeline("token-classification", model=folder, aggregation_strategy="simple", device="cpu")
    text = "Ann Lee moves to New York ."
    expected = Predictor.from_pretrained(folder)(text)["entities"]
    assert [group["word"] for group in pipe(text)] == [entity["text"] for entity in expected]


@pytest.mark.parametrize("kind", ["text", "columns", "pairs", "several_labels", "regression"])
def test_texts_and_rows_are_classified_as_by_the_predictor(kind, tmp_path):
    folder = saved_models.save_classifier(tmp_path, kind)
    pipe = transformers.pipeline("text-classification", model=folder, device="cpu")
    row = saved_models.ROWS[1]
    answer = Predictor.from_pretrained(folder)(row)
    inputs = {"pairs": {"text": row["text"], "text_pair": row["second"]}, "columns": row}.get(kind, row["text"])
    found = {result["label"]: result["score"] for result in pipe(inputs, top_k=None)}
    expected = answer.get("probabilities", {"LABEL_0": answer["prediction"]})
    assert found == pytest.approx(expected, abs=1e-5)


def test_long_texts_are_cut_as_in_training(tmp_path):
    folder = saved_models.save_classifier(tmp_path, "text")
    pipe = transformers.pipeline("text-classification", model=folder, device="cpu")
    text = "this book is fine " * 100  # more than the 64 positions of the model
    assert pipe([text, "poor"], batch_size=2)[0]["score"] == pytest.approx(
        Predictor.from_pretrained(folder)(text)["score"], abs=1e-5
    )


def test_models_of_others_get_what_transformers_does(tmp_path):
    from transformers import AutoModelForTokenClassification, AutoTokenizer, TokenClassificationPipeline

    folder = saved_models.save_tagger(tmp_path, stock=True)
    model = AutoModelForTokenClassification.from_pretrained(folder)
    del model.config.tagging_schema
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ours = transformers.pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu")
    stock = TokenClassificationPipeline(model=model, tokenizer=tokenizer, device="cpu")
    text = "Ann Lee moves to New York ."
    assert ours(text, ignore_labels=[]) == stock(text, ignore_labels=[])
