from __future__ import annotations

import datasets
import pytest
from tagging_files import fails, load, message_of, pairs, read, words, write, write_jsonl

from hf_ext.errors import UserError

ROWS = [
    {"id": "7", "tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]},
    {"id": "8", "tokens": ["Peter"], "ner_tags": ["B-PER"]},
]
EXPECTED = [[("EU", "B-ORG"), ("rejects", "O")], [("Peter", "B-PER")]]
NAMES = ["O", "B-ORG", "B-PER"]


@pytest.mark.parametrize(
    ("tokens", "tags"), [("tokens", "ner_tags"), ("words", "labels"), ("text", "label"), ("tokens", "slots")]
)
def test_usual_columns_are_found(tmp_path, tokens, tags):
    rows = [{tokens: row["tokens"], "n": 1, tags: row["ner_tags"]} for row in ROWS]
    file = read(write_jsonl(tmp_path / "a.jsonl", rows))
    assert pairs(tmp_path / "a.jsonl") == EXPECTED
    assert (file.tokens_column, file.tags_column, file.level) == (tokens, tags, None)


def test_the_task_says_which_tags_are_meant(tmp_path):
    rows = [{**row, "pos_tags": ["X"] * len(row["tokens"])} for row in ROWS]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    assert pairs(path, task_name="pos")[1] == [("Peter", "X")]
    assert pairs(path, label_column_name="pos_tags")[1] == [("Peter", "X")]
    assert pairs(path) == EXPECTED


def test_numbers_are_named_by_the_label_file(tmp_path):
    rows = [{"tokens": row["tokens"], "tags": [NAMES.index(tag) for tag in row["ner_tags"]]} for row in ROWS]
    path, names = write_jsonl(tmp_path / "train.jsonl", rows), write(tmp_path / "names.txt", "\n".join(NAMES) + "\n\n")
    assert load(train_file=str(path), label_file=str(names)).tags("train") == [["B-ORG", "O"], ["B-PER"]]
    with pytest.raises(UserError) as error:
        load(train_file=str(path))
    message_of(error.value, str(path), "numbers without names", "--label_file")
    with pytest.raises(UserError) as error:
        load(train_file=str(path), label_file=str(write(tmp_path / "few.txt", "O\nB-ORG\n")))
    message_of(error.value, f"{path}:2", "'2'", "0 to 1")
    with pytest.raises(UserError) as error:
        load(train_file=str(path), label_file=str(write(tmp_path / "twice.txt", "O\nB-ORG\nO\n")))
    message_of(error.value, f"{tmp_path / 'twice.txt'}:3", "twice")


def features() -> datasets.Features:
    return datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=NAMES)),
            "intent": datasets.ClassLabel(names=["ask", "tell"]),
        }
    )


def class_rows(split: str) -> datasets.Dataset:
    ids = [
        {**row, "ner_tags": [NAMES.index(tag) for tag in row["ner_tags"]], "intent": i} for i, row in enumerate(ROWS)
    ]
    if split == "test":
        ids = [{**row, "ner_tags": [-1] * len(row["tokens"]), "intent": -1} for row in ids]
    return datasets.Dataset.from_list(ids, features=features())


def test_parquet_brings_its_class_names(tmp_path):
    class_rows("train").to_parquet(tmp_path / "train.parquet")
    assert pairs(tmp_path / "train.parquet") == EXPECTED
    sentences = read(tmp_path / "train.parquet", sentence_label_column_name="intent", id_column_name="id").sentences
    assert [(s.label, s.id, s.line()) for s in sentences] == [("ask", "7", 1), ("tell", "8", 2)]
    fails(write(tmp_path / "b.parquet", "no parquet"), "", "not a parquet file")


@pytest.fixture
def hub(monkeypatch):
    splits = ("train", "validation", "test")
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *_, **__: datasets.DatasetDict({name: class_rows(name) for name in splits})
    )


def test_a_data_set_of_the_hub_is_read_and_its_test_split_may_be_unlabelled(hub):
    data = load(("train", "validation", "test"), dataset_name="conll", sentence_label_column_name="intent")
    assert data.tags("train") == data.tags("validation") == [["B-ORG", "O"], ["B-PER"]]
    assert data.tags("test") == [None, None]
    assert data.sentence_labels("test") == [None, None]
    assert data.schema.sentence_labels == ("ask", "tell")
    assert data.splits["train"].source == "conll[train]"


def test_a_wrong_number_of_tags_is_named(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [*ROWS, {"tokens": ["a", "b"], "ner_tags": ["O"]}])
    fails(path, 3, "2 words but 1 tags")


def test_words_may_be_one_text_between_blanks_or_characters(tmp_path):
    rows = [{"text": "state-of-the-art now", "tags": "O O"}, {"text": "甲 乙", "tags": ["B-X", "O", "O"]}]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    assert words(path) == [["state-of-the-art", "now"], ["甲", " ", "乙"]]
    assert read(path).sentences[0].text is None


def test_a_missing_column_says_which_there_are(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"a": ["x"], "b": ["O"]}])
    fails(path, "", "which column holds the words", "a, b", "--text_column_name")
    fails(path, "", "which column holds the tags", "--label_column_name", text_column_name="a")
    fails(path, "", "no column 'c'", text_column_name="c")
    assert pairs(path, text_column_name="a", label_column_name="b") == [[("x", "O")]]


def test_rows_to_predict_need_no_tags(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"tokens": ["a"]}, {"tokens": []}, {"tokens": ["b"], "ner_tags": None}])
    file = read(path, unlabelled=True)
    assert [(s.words, s.tags) for s in file.sentences] == [(["a"], None), ([], None), (["b"], None)]


def test_columns_asked_for_in_vain_and_rows_without_words_are_noticed(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"tokens": ["a"], "tags": ["O"]}, {"text": "b"}])
    file = read(path, unlabelled=True, label_column_name="tgas")
    assert [sentence.tags for sentence in file.sentences] == [None, None]
    assert file.notes == [
        f"{path}: no column 'tgas', so nothing is compared with it",
        f"{path}:2: 1 rows have no 'tokens' (this is the first): sentences without words",
    ]
    fails(path, "", "no column 'number'", unlabelled=True, id_column_name="number")


def test_columns_can_be_left_out(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{**ROWS[0], "tags": ["X", "Y"]}])
    assert pairs(path, remove_columns="ner_tags") == [[("EU", "X"), ("rejects", "Y")]]


def test_half_a_character_and_nulls_do_no_harm(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"tokens": ["\\ud800", null, 3], "tags": ["O", "O", "B-X"]}\n')
    assert words(path) == [["\ufffd", "", "3"]]
