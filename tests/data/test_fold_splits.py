"""``fold`` leaves one fold out of the training file: for validation, or beside validation rows of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripts.ner_files import english, write_columns, write_folder
from table_files import write, write_jsonl

from hf_ext.data.arguments import DataArguments
from hf_ext.data.classification import ClassificationData
from hf_ext.data.tagging import TaggingData, TaggingDataArguments
from hf_ext.data.tagging.preparation import names_to_spread
from hf_ext.data.tagging.sentences import Sentence
from hf_ext.errors import UserError

FOLDS = (1, 2, 3)


def rows_without(path: Path, fold: int, *needs: str, **flags: Any) -> ClassificationData:
    arguments = DataArguments(train_file=str(path), num_folds=3, **flags)
    arguments.fold = fold
    return ClassificationData.from_arguments(arguments, saved=None, needs=needs or ("train", "validation"))


def sentences_without(path: str, fold: int, *needs: str, **flags: Any) -> TaggingData:
    arguments = TaggingDataArguments(train_file=path, num_folds=3, **flags)
    arguments.fold = fold
    return TaggingData.from_arguments(arguments, saved=None, needs=needs or ("train", "validation"))


@pytest.fixture
def rows(tmp_path) -> Path:
    lines = [
        {"text": f"text {i // 2 if i < 10 else i}", "label": "ab"[i % 3 == 0], "shop": str(i % 9)} for i in range(40)
    ]
    lines[7]["label"] = ""
    return write_jsonl(tmp_path / "train.jsonl", lines)


def test_every_labelled_row_is_held_out_once(rows):
    held_out: list[int] = []
    for fold in FOLDS:
        data = rows_without(rows, fold)
        assert data.split_indices is not None
        assert data.split_indices["rows"] == 40
        assert sorted(data.split_indices["train"] + data.split_indices["validation"]) == [*range(7), *range(8, 40)]
        own = [f"text {i // 2 if i < 10 else i}" for i in data.split_indices["validation"]]
        assert data.texts("validation") == own
        assert not set(own) & set(data.texts("train"))
        held_out += data.split_indices["validation"]
    assert sorted(held_out) == [*range(7), *range(8, 40)]


def test_the_row_numbers_cut_the_file_the_same_way(rows, tmp_path):
    data = rows_without(rows, 2)
    write(tmp_path / "split_indices.json", json.dumps(data.split_indices))
    arguments = DataArguments(train_file=str(rows), split_indices=str(tmp_path / "split_indices.json"))
    again = ClassificationData.from_arguments(arguments, saved=None, needs=("train", "validation"))
    for split in ("train", "validation"):
        assert again.texts(split) == data.texts(split)


def test_validation_rows_of_their_own_stay_out(rows, tmp_path):
    dev = write_jsonl(tmp_path / "dev.jsonl", [{"text": "new", "label": "a", "shop": "1"}])
    data = rows_without(rows, 1, validation_file=str(dev))
    assert data.texts("validation") == ["new"]
    assert data.split_indices is not None
    assert data.split_indices["validation"] == []
    assert data.split_indices["test"]
    assert sorted(data.split_indices["train"] + data.split_indices["test"]) == [*range(7), *range(8, 40)]
    assert len(data.texts("train")) == len(data.split_indices["train"])


def test_columns_that_belong_together_stay_together(rows):
    found: dict[str, set[int]] = {}
    for fold in FOLDS:
        for shop in rows_without(rows, fold, split_by="shop").splits["validation"].rows["shop"][:]:
            found.setdefault(shop, set()).add(fold)
    assert all(len(folds) == 1 for folds in found.values())


def test_repeats_that_are_dropped_are_in_no_fold(rows):
    data = rows_without(rows, 1, drop_duplicates=True)
    assert data.split_indices is not None
    assert len(data.split_indices["train"] + data.split_indices["validation"]) == 35


def test_numbers_and_several_labels_have_folds(tmp_path):
    numbers = write_jsonl(tmp_path / "numbers.jsonl", [{"text": f"t {i}", "label": str(i / 7)} for i in range(30)])
    held_out = [rows_without(numbers, fold, task="regression").labels("validation") for fold in FOLDS]
    assert [len(labels) for labels in held_out] == [10, 10, 10]
    assert all(min(labels) < 1 and max(labels) > 3 for labels in held_out)  # type: ignore[type-var, operator]
    several = [{"text": f"t {i}", "label": ["x", *(["rare"] if i % 10 == 0 else [])]} for i in range(30)]
    path = write_jsonl(tmp_path / "several.jsonl", several)
    for fold in FOLDS:
        labels = rows_without(path, fold).labels("validation")
        assert sum(label == [1.0, 1.0] for label in labels) == 1


def test_all_training_rows_are_read_in_order_with_their_labels(rows):
    arguments = DataArguments(train_file=str(rows), num_folds=3, drop_duplicates=True, max_predict_samples=2)
    data = ClassificationData.of_training_rows(arguments, saved=rows_without(rows, 1).schema)
    assert len(data.texts("test")) == 40
    assert data.labels("test")[7] is None
    assert data.labels("test")[:4] == [1, 0, 0, 1]


def test_sentences_are_held_out_once_and_never_twice_in_other_folds(tmp_path):
    path = write_columns(tmp_path / "train.txt", english(50))
    held_out: list[int] = []
    for fold in FOLDS:
        data = sentences_without(path, fold)
        assert data.split_indices is not None
        own = {tuple(words) for words in data.words("validation")}
        assert not own & {tuple(words) for words in data.words("train")}
        held_out += data.split_indices["validation"]
    assert sorted(held_out) == list(range(50))
    saved = data.schema
    arguments = TaggingDataArguments(train_file=path, num_folds=3)
    whole = TaggingData.of_training_sentences(arguments, saved=saved)
    assert whole.words("test") == [words for words, _, _ in english(50)]
    assert whole.tags("test") == [tags for _, tags, _ in english(50)]


def test_a_type_of_one_sentence_is_always_trained_on(tmp_path):
    made = [*english(30), (["On", "Mars", "now"], ["O", "B-PLANET", "O"], "move")]
    path = write_folder(tmp_path / "train", made)
    for fold in FOLDS:
        data = sentences_without(path, fold)
        assert ["On", "Mars", "now"] in data.words("train")
        assert "B-PLANET" in data.schema.tags
    assert any("'PLANET'" in str(note) for note in data.notes)


def test_sentences_are_spread_by_types_tags_and_label():
    def names(tags: list[str], scheme: str, label: str | None = None) -> list[str]:
        return names_to_spread(Sentence(["w"] * len(tags), tags, (1,), label=label), scheme)

    assert names(["B-PER", "I-PER", "O", "B-LOC"], "BIO") == ["LOC", "O", "PER"]
    assert names(["I-PER", "B-PER"], "IOB1") == ["B-PER", "PER"]
    assert names(["NN", "VB"], "IO") == ["NN", "VB"]
    assert names(["O"], "BIO", "move") == ["O", "label move"]


@pytest.mark.parametrize("flag", ["validation_split", "test_split"])
def test_two_ways_to_cut_are_refused(flag):
    with pytest.raises(ValueError, match="both cut the training rows"):
        DataArguments(num_folds=3, **{flag: 0.1})
    with pytest.raises(ValueError, match="exclude each other"):
        DataArguments(num_folds=3, streaming=True)


def test_more_folds_than_texts_are_one_line(tmp_path):
    path = write_jsonl(tmp_path / "few.jsonl", [{"text": f"t {i % 2}", "label": "ab"[i % 2]} for i in range(8)])
    with pytest.raises(UserError, match="no row is left for fold 1 of 3"):
        rows_without(path, 1)
