"""A predictor gives the numbers that the scripts write, for every kind of model, and refuses in one line."""

from __future__ import annotations

import itertools
import json

import pytest
import saved_models
import torch
from scripts.ner_files import chinese, english, write_json_lines
from scripts.support import run_main, write_csv

from hf_ext.errors import UserError
from hf_ext.inference import Predictor, predictor
from hf_ext.inference.engine import choose_device
from hf_ext.models.crf import LinearChainCRF

QUIET = (
    "--do_predict",
    "--use_cpu",
    "--disable_tqdm",
    "true",
    "--report_to",
    "none",
    "--per_device_eval_batch_size",
    "4",
)


def script_answers(folder, model, file, script):
    """What the script predicts with a saved model."""
    flags = ("--model_name_or_path", model, "--test_file", file, "--cache_dir", folder / "cache")
    run_main(*QUIET, *flags, "--output_dir", folder / "out", script=script)
    return [
        json.loads(line) for line in (folder / "out" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    ]


# --- classifiers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", saved_models.KINDS)
def test_rows_get_the_answers_of_the_script(kind, tmp_path):
    model = saved_models.save_classifier(tmp_path / "model", kind)
    file = write_csv(tmp_path / "test.csv", saved_models.ROWS, saved_models.INPUTS)
    expected = script_answers(tmp_path, model, file, "run_classification.py")
    found = Predictor.from_pretrained(model, device="cpu", batch_size=3)(saved_models.ROWS)
    assert len(found) == len(expected) == len(saved_models.ROWS)
    for answer, row in zip(found, expected, strict=True):
        if kind == "regression":
            assert answer["prediction"] == pytest.approx(row["prediction"], abs=1e-5)
            continue
        assert answer["prediction"] == row["prediction"]
        assert answer["probabilities"] == pytest.approx(row["probabilities"], abs=1e-3)  # the script's have 11 bits
        if kind != "several_labels":
            assert answer["score"] == pytest.approx(row["score"], abs=1e-5)


@pytest.fixture(scope="module")
def by_text(tmp_path_factory):
    return Predictor.from_pretrained(saved_models.save_classifier(tmp_path_factory.mktemp("text"), "text"))


@pytest.fixture(scope="module")
def by_columns(tmp_path_factory):
    return Predictor.from_pretrained(saved_models.save_classifier(tmp_path_factory.mktemp("columns"), "columns"))


def test_one_input_gives_one_answer_and_several_give_a_list_in_order(by_text):
    texts = [row["text"] * (1 + i % 3) for i, row in enumerate(saved_models.ROWS)]
    together = by_text(texts)
    alone = [by_text(text) for text in texts]
    for a, b in zip(together, alone, strict=True):
        assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-6)
    assert by_text([]) == []
    assert len({answer["score"] for answer in together}) > 3  # the answers can be told apart at all


def test_a_stream_is_read_no_further_than_a_chunk(by_text, monkeypatch):
    monkeypatch.setattr(predictor, "CHUNK", 3)
    read = []

    def endless():
        for i in itertools.count():
            read.append(i)
            yield f"this book is number {i}"

    answers = by_text.stream(endless())
    first = [next(answers) for _ in range(4)]
    assert len(read) == 6
    assert [answer["score"] for answer in first] == pytest.approx(
        [by_text(f"this book is number {i}")["score"] for i in range(4)], abs=1e-6
    )


def test_probabilities_are_the_softmax_of_the_model(by_text):
    engine, tokenizer = by_text.task.engine, by_text.task.tokenizer
    text = saved_models.ROWS[0]["text"]
    with torch.no_grad():
        logits = engine.model(**tokenizer(text, return_tensors="pt")).logits[0].double()
    chances = torch.softmax(logits, -1).tolist()
    assert list(by_text(text)["probabilities"].values()) == pytest.approx(chances, abs=1e-6)


def test_cells_may_be_numbers_or_missing_and_columns_may_be_more(by_columns):
    row = {"text": "this book is fine", "shop": "north", "price": "2"}
    expected = by_columns(row)
    assert by_columns({**row, "price": 2, "other": object()}) == expected
    assert by_columns({**row, "price": 2.0}) == expected
    assert by_columns({**row, "price": None}) == by_columns({**row, "price": ""})
    assert by_columns({**row, "price": None}) != expected


def test_inputs_that_lack_what_the_model_reads_are_named(by_text, by_columns):
    with pytest.raises(ValueError, match="input 1: no column 'price'; this model reads the columns text, shop, price"):
        by_columns([saved_models.ROWS[0], {"text": "x", "shop": "north"}])
    with pytest.raises(ValueError, match="input 0: no column 'shop'"):
        by_columns("a text alone")
    with pytest.raises(ValueError, match="input 0: a tuple of 2 came, but this model reads the column text"):
        by_text(("one", "two"))
    with pytest.raises(ValueError, match="expected a text, a pair or a mapping, got int"):
        by_text([3])
    with pytest.raises(UserError, match="input 0: 'much' is not a number"):
        by_columns({"text": "x", "shop": "north", "price": "much"})


def test_pairs_are_tuples(tmp_path):
    predictor = Predictor.from_pretrained(saved_models.save_classifier(tmp_path, "pairs"))
    row = saved_models.ROWS[1]
    assert predictor((row["text"], row["second"])) == predictor({"text": row["text"], "second": row["second"]})
    assert predictor((row["text"], row["second"])) != predictor((row["second"], row["text"]))


def test_a_stock_model_that_hf_ext_has_not_saved_answers_texts(tmp_path):
    folder = saved_models.save_classifier(tmp_path, "text")
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    expected = Predictor.from_pretrained(folder)("this book is fine")
    del config["task_schema"]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert Predictor.from_pretrained(folder)("this book is fine") == expected


def test_bfloat16_moves_the_numbers_a_little(by_text, tmp_path):
    folder = saved_models.save_classifier(tmp_path, "text")
    coarse = Predictor.from_pretrained(folder, device="cpu", precision="bf16")("this book is fine")
    fine = by_text("this book is fine")
    assert coarse["probabilities"] == pytest.approx(fine["probabilities"], abs=0.05)
    assert coarse["probabilities"] != fine["probabilities"]


# --- taggers ---------------------------------------------------------------------------------------------------------


def long_sentences(make):
    """Sentences of which every third is several sentences in a row, longer than a window."""
    made = make(14, offset=300)
    joined = [
        (words * 4, tags * 4, label) if i % 3 == 0 else (words, tags, label)
        for i, (words, tags, label) in enumerate(made)
    ]
    return [*joined, ([], [], "move")]


@pytest.mark.parametrize(
    "settings",
    [{}, {"joint": True}, {"stock": True}, {"decoder": "softmax", "character_encoder": "cnn"}],
    ids=["crf", "joint", "stock", "softmax and characters"],
)
def test_sentences_get_the_answers_of_the_script(settings, tmp_path):
    model = saved_models.save_tagger(tmp_path / "model", **settings)
    sentences = long_sentences(english)
    file = write_json_lines(tmp_path / "test.jsonl", sentences, tagged=False)
    expected = script_answers(tmp_path, model, file, "run_ner.py")
    found = Predictor.from_pretrained(model, batch_size=3)([words for words, _, _ in sentences])
    assert max(len(words) for words, _, _ in sentences) > 12
    assert any(row["entities"] for row in expected)
    for answer, row in zip(found, expected, strict=True):
        assert (answer["words"], answer["tags"]) == (row["words"], row["tags"])
        assert [(e["type"], e["text"]) for e in answer["entities"]] == [(e["type"], e["text"]) for e in row["entities"]]
        assert [e["confidence"] for e in answer["entities"]] == pytest.approx(
            [e["confidence"] for e in row["entities"]], abs=1e-5
        )
        assert answer.get("sentence_label") == row.get("sentence_label")
        assert answer.get("sentence_probability") == pytest.approx(row.get("sentence_probability"), abs=1e-5)


@pytest.fixture(scope="module")
def by_character(tmp_path_factory):
    return Predictor.from_pretrained(saved_models.save_tagger(tmp_path_factory.mktemp("chinese"), level="character"))


def test_entities_of_chinese_text_stand_where_their_offsets_say(by_character):
    texts = ["  王小明在北京的新华社工作。", "李雷 在 上海 学习。" * 5, "", " "]
    for text, answer in zip(texts, by_character(texts), strict=True):
        assert answer["text"] == text
        assert answer["words"] == [character for character in text if not character.isspace()]
        for entity in answer["entities"]:
            assert entity["text"] == text[entity["start"] : entity["end"]].strip() != ""
    assert by_character(texts[0])["entities"]
    assert by_character("")["entities"] == []


def test_tags_are_the_viterbi_path_of_the_model(by_character):
    text = "王小明在北京的"  # fits into one window
    engine, tokenizer = by_character.task.engine, by_character.task.tokenizer
    words = list(text)
    encoded = tokenizer([words], is_split_into_words=True, return_tensors="pt")
    encoded.pop("token_type_ids", None)
    mask = (encoded["input_ids"] != tokenizer.cls_token_id) & (encoded["input_ids"] != tokenizer.sep_token_id)
    with torch.no_grad():
        emissions = engine.model(**encoded, word_mask=mask).logits[mask].unsqueeze(0)  # (1, W, K)
    crf: LinearChainCRF = engine.model.crf
    path = crf.viterbi_decode(emissions)[0][0].tolist()
    assert by_character(text)["tags"] == [saved_models.TAGS[i] for i in path]


def test_words_are_joined_as_text_for_the_offsets(by_character, tmp_path):
    english_tagger = Predictor.from_pretrained(saved_models.save_tagger(tmp_path))
    (words, _, _), *_ = english(1)
    answer = english_tagger([words])[0]
    assert answer["text"] == "Ann Lee moves to New York in May ."
    for entity in answer["entities"]:
        assert answer["text"][entity["start"] : entity["end"]] == entity["text"]
    (characters, _, _), *_ = chinese(1)
    assert by_character([characters])[0]["text"] == "".join(characters)
    assert english_tagger({"tokens": words}) == english_tagger({"words": words}) == answer
    with pytest.raises(ValueError, match="input 0: no column of words or text among body"):
        english_tagger({"body": "x"})


# --- refusals --------------------------------------------------------------------------------------------------------


def test_folders_without_a_trained_head_are_refused_in_one_line(tiny_bert, tmp_path):
    with pytest.raises(UserError, match="holds no trained classifier or tagger"):
        Predictor.from_pretrained(tiny_bert)
    with pytest.raises(UserError, match=r"has no config\.json"):
        Predictor.from_pretrained(str(tmp_path))


def test_a_device_that_is_not_there_is_refused_in_one_line():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="device 'cuda:77' cannot be used"):
        choose_device("cuda:77")
    with pytest.raises(UserError, match="device 'tpuu' cannot be used"):
        choose_device("tpuu")
