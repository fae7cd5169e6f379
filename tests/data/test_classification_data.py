from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from table_files import write, write_jsonl
from transformers import BertConfig

from hf_ext.data.arguments import DataArguments
from hf_ext.data.classification import ClassificationData, RowSplit
from hf_ext.errors import UserError
from hf_ext.models.schema import LabelSchema, NumericColumn, TaskSchema, TextSchema
from hf_ext.tokenization import build_tokenizer

TRAIN = "text,label\na fine pen,good\na poor pen,bad\na fine book,good\na poor book,bad\n"
ALL = ("train", "validation", "test")


@pytest.fixture
def folder(tmp_path) -> Path:
    write(tmp_path / "train.csv", TRAIN)
    write(tmp_path / "dev.csv", "text,label\na fine cup,good\na poor cup,bad\n")
    write(tmp_path / "test.csv", "text,label\na poor lamp,bad\na fine lamp,good\n")
    return tmp_path


def load(*needs: str, saved: TaskSchema | None = None, **flags: Any) -> ClassificationData:
    return ClassificationData.from_arguments(DataArguments(**flags), saved=saved, needs=needs or ("train",))


def load_train(path: Path, content: str, **flags: Any) -> ClassificationData:
    return load("train", train_file=str(write(path / "train.csv", content)), **flags)


def fails(words: str, *needs: str, saved: TaskSchema | None = None, **flags: Any) -> str:
    with pytest.raises(UserError, match=words) as error:
        load(*needs, saved=saved, **flags)
    message = str(error.value)
    assert "\n" not in message
    assert " – " in message
    return message


def texts(data: ClassificationData, split: str) -> list[str]:
    return data.texts(split)


def through_config(schema: TaskSchema) -> TaskSchema:
    """What a saved model gives back."""
    config = BertConfig()
    schema.write_into(config)
    saved = TaskSchema.from_config(BertConfig.from_dict(config.to_dict()))
    assert saved is not None
    return saved


# Which rows


def test_three_files_of_a_folder(folder):
    data = load(*ALL, data_dir=str(folder))
    assert {name: len(split.rows) for name, split in data.splits.items()} == {"train": 4, "validation": 2, "test": 2}
    assert data.schema.labels == LabelSchema(names=("bad", "good"))
    assert data.schema.text.columns == ("text",)
    assert data.schema.label_column == "label"
    assert data.split_indices is None


def test_files_named_by_flags_win_over_the_folder(folder):
    other = write(folder / "other.csv", "text,label\nx,good\n")
    data = load(*ALL, data_dir=str(folder), test_file=str(other))
    assert texts(data, "test") == ["x"]


def test_only_what_is_needed_is_read(folder):
    write(folder / "test.csv", "broken,,,\n1\n")
    write(folder / "dev.csv", b"\xff\xff\xff")
    assert set(load("train", data_dir=str(folder)).splits) == {"train"}


@pytest.mark.parametrize(
    ("need", "flag"), [("train", "--do_train"), ("validation", "--do_eval"), ("test", "--do_predict")]
)
def test_split_without_rows_names_the_flag_that_wants_it(folder, need, flag):
    saved = load("train", data_dir=str(folder)).schema
    fails(rf"{flag} requires {need} rows", need, saved=saved)


def test_evaluation_without_model_and_training_rows_is_refused(folder):
    fails("labels and columns are unknown", "test", test_file=str(folder / "test.csv"))


def test_evaluation_without_a_saved_model_takes_labels_from_the_training_rows(folder):
    data = load("validation", data_dir=str(folder))
    assert set(data.splits) == {"validation"}
    assert data.labels("validation") == [1, 0]


def test_test_rows_stand_in_for_validation_rows_with_a_note(folder):
    (folder / "dev.csv").unlink()
    data = load("train", "validation", data_dir=str(folder))
    assert texts(data, "validation") == ["a poor lamp", "a fine lamp"]
    assert any("the test rows are used" in note for note in data.notes)
    assert set(data.splits) == {"train", "validation"}


@pytest.mark.parametrize("content", ["text\na lamp\n", "text,label\na lamp,\n"])
def test_unlabelled_test_rows_cannot_stand_in(folder, content):
    (folder / "dev.csv").unlink()
    write(folder / "test.csv", content)
    fails("--do_eval requires validation rows.*--validation_split", "train", "validation", data_dir=str(folder))


def test_nothing_needed_is_a_wrong_call():
    with pytest.raises(ValueError, match="at least one"):
        ClassificationData.from_arguments(DataArguments(), saved=None, needs=())


# Labels


def test_labels_come_from_training_alone(folder):
    write(folder / "test.csv", "text\nx\n")
    data = load(*ALL, data_dir=str(folder))
    assert data.schema.labels.names == ("bad", "good")
    assert data.labels("test") == [None]


@pytest.mark.parametrize("labels", [("001", "1"), ("NA", "null"), ("None", "nan"), ("1.0", "0.0"), ("-1", "7")])
def test_labels_are_text_whatever_they_look_like(tmp_path, labels):
    data = load_train(tmp_path, f"text,label\na,{labels[0]}\nb,{labels[1]}\n")
    assert data.schema.labels == LabelSchema(names=tuple(sorted(labels)))


def test_unlabelled_rows_leave_training_and_validation_but_not_test(folder):
    write(folder / "train.csv", TRAIN + "lost,\n\nlost too, \n")
    write(folder / "dev.csv", "text,label\nx,\ny,good\n")
    write(folder / "test.csv", "text,label\nx,\ny,good\n")
    data = load(*ALL, data_dir=str(folder))
    assert [len(split.rows) for split in data.splits.values()] == [4, 1, 2]
    assert data.labels("validation") == [1]
    assert data.labels("test") == [None, 1]
    assert f"{folder / 'train.csv'}:6: 2 rows without a label left out (this is the first)" in data.notes
    assert any(note.startswith(f"{folder / 'dev.csv'}:2: 1 rows without a label") for note in data.notes)


def test_unlabelled_rows_in_front_do_not_shift_labels_and_lines(tmp_path):
    data = load_train(tmp_path, "text,label\nlost,\na,x\nlost,\nb,y\n")
    assert list(zip(texts(data, "train"), data.labels("train"), strict=True)) == [("a", 0), ("b", 1)]
    assert data.splits["train"].rows["_line"][:] == [3, 5]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_label_that_training_has_not_seen_is_an_error(folder, split):
    write(folder / f"{split}.csv", "text,label\nx,good\ny,odd\nz,odder\n")
    message = fails("2 rows have labels", *ALL, data_dir=str(folder))
    assert message.startswith(f"{folder / split}.csv:3: ")
    assert "'odd'" in message
    assert "--unknown_labels ignore" in message


def test_unknown_labels_can_be_ignored(folder):
    for split in ("dev", "test"):
        write(folder / f"{split}.csv", "text,label\nx,odd\ny,good\n")
    data = load(*ALL, data_dir=str(folder), unknown_labels="ignore")
    assert texts(data, "validation") == ["y"]
    assert data.labels("validation") == [1]
    assert texts(data, "test") == ["x", "y"]
    assert data.labels("test") == [None, 1]
    assert sum("not scored" in note for note in data.notes) == 2


def test_validation_with_unknown_labels_only_has_no_rows_left(folder):
    write(folder / "dev.csv", "text,label\nx,odd\n")
    fails("no validation rows are left", "train", "validation", data_dir=str(folder), unknown_labels="ignore")


def test_training_with_one_label_is_refused(tmp_path):
    with pytest.raises(UserError, match="every row has the label 'x'"):
        load_train(tmp_path, "text,label\na,x\nb,x\n")


@pytest.mark.parametrize("content", ["text\na\nb\n", "text,label\na,\nb,\n"])
def test_training_without_labels_is_refused(tmp_path, content):
    with pytest.raises(UserError, match=r"which column is the label|no row has a label"):
        load_train(tmp_path, content)


def test_validation_file_without_the_label_column_is_refused(folder):
    write(folder / "dev.csv", "text\nx\n")
    fails(r"dev.csv: no column 'label' among: text", "train", "validation", data_dir=str(folder))


def test_label_file_names_numbered_labels(folder):
    write(folder / "names.txt", "zero\none\n")
    for split in ("train", "dev", "test"):
        write(folder / f"{split}.csv", "text,label\na,1\nb,0\n")
    data = load(*ALL, data_dir=str(folder), label_file=str(folder / "names.txt"))
    assert data.schema.labels.names == ("one", "zero")
    assert data.labels("test") == [0, 1]


def test_saved_model_remembers_how_labels_were_written(folder):
    write(folder / "names.txt", "zero\none\ntwo\n")
    write(folder / "train.csv", "text,label\na,0|2\nb,1\nc,2\n")
    write(folder / "test.csv", "text,label\na,2|1\n")
    flags = {"label_file": str(folder / "names.txt"), "label_delimiter": "|"}
    schema = load("train", data_dir=str(folder), **flags).schema
    data = load("test", saved=through_config(schema), test_file=str(folder / "test.csv"))
    assert schema.labels.names == ("one", "two", "zero")
    assert data.labels("test") == [[1.0, 1.0, 0.0]]


def test_multi_label_from_lists_and_from_cells(tmp_path):
    rows = [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": []}, {"text": "c", "labels": None}]
    lists = load(train_file=str(write_jsonl(tmp_path / "train.jsonl", rows)))
    cells = load_train(tmp_path, "text,labels\na,x;y\nb,y\nc,\n", label_delimiter=";")
    assert lists.schema.labels == cells.schema.labels == LabelSchema("multi_label_classification", ("x", "y"))
    assert lists.labels("train") == [[1.0, 1.0], [0.0, 0.0]]
    assert cells.labels("train") == [[1.0, 1.0], [0.0, 1.0]]


def test_numbers_are_names_unless_regression_is_asked_for(tmp_path):
    content = "text,score\na,1.5\nb,-2\nc,\n"
    named = load_train(tmp_path, content)
    assert named.schema.labels.names == ("-2", "1.5")
    assert any("--task regression" in note for note in named.notes)
    number = load_train(tmp_path, content, task="regression")
    assert number.schema.labels == LabelSchema("regression")
    assert number.labels("train") == [1.5, -2.0]


@pytest.mark.parametrize("cell", ["nan", "inf", "high"])
def test_regression_target_that_is_no_number_names_the_line(tmp_path, cell):
    with pytest.raises(UserError, match=r"train.csv:3: .*'score'"):
        load_train(tmp_path, f"text,score\na,1\nb,{cell}\n", task="regression")


# A saved model


def test_predicting_needs_only_the_test_file_and_the_saved_schema(folder):
    saved = through_config(load("train", data_dir=str(folder)).schema)
    data = load("test", saved=saved, test_file=str(folder / "test.csv"))
    assert data.schema == saved
    assert data.labels("test") == [0, 1]


def test_label_order_of_the_model_holds_when_not_training(folder):
    saved = TaskSchema(LabelSchema(names=("good", "bad")), TextSchema(("text",)), label_column="label")
    data = load("test", saved=saved, test_file=str(folder / "test.csv"))
    assert data.labels("test") == [1, 0]


def test_label_order_of_the_model_is_kept_in_training_with_the_same_labels(folder):
    saved = TaskSchema(LabelSchema(names=("good", "bad")), TextSchema(("other",)), label_column="other")
    assert load("train", saved=saved, data_dir=str(folder)).schema.labels.names == ("good", "bad")


def test_a_model_trained_further_keeps_its_categories_and_its_scale(folder):
    flags = {"categorical_columns": "shop", "numeric_columns": "price"}
    head = "text,shop,price,label\n"
    first = load_train(folder, head + "a fine pen,north,1,good\na poor pen,south,3,bad\n", **flags).schema
    again = load_train(folder, head + "a fine pen,west,9,good\na poor pen,south,5,bad\n", saved=first, **flags)
    assert again.schema.columns == first.columns
    assert any("unknown 'shop'" in note for note in again.notes)
    other = load_train(
        folder, head + "a fine pen,west,9,good\na poor pen,south,5,bad\n", saved=first, numeric_columns="price"
    )
    assert other.schema.columns.numeric[0].mean == 7.0


def test_model_that_brings_labels_only(folder):
    saved = TaskSchema(labels=LabelSchema(names=("good", "bad")))
    data = load("validation", saved=saved, data_dir=str(folder), max_seq_length=33)
    assert data.schema.text == TextSchema(("text",), max_length=33)
    assert data.labels("validation") == [0, 1]


def test_columns_of_the_new_file_may_have_other_names(folder):
    saved = load("train", data_dir=str(folder)).schema
    path = write(folder / "new.csv", "words,gold\nx,bad\n")
    data = load("test", saved=saved, test_file=str(path), text_column_names="words", label_column_name="gold")
    assert (texts(data, "test"), data.labels("test")) == (["x"], [0])


# Table columns

TABLE = "text,shop,price,label\na,north,1,x\nb,south,3,y\nc,north,,x\nd,,5,y\n"


def test_table_schema_is_fitted_on_the_training_rows(tmp_path):
    write(tmp_path / "test.csv", "text,shop,price\ne,west,100\n")
    write(tmp_path / "train.csv", TABLE)
    data = load("train", "test", data_dir=str(tmp_path), categorical_columns="shop", numeric_columns="price")
    table = data.schema.columns
    assert table.categorical[0].categories == ("", "north", "south")
    assert table.numeric[0] == NumericColumn("price", 3.0, (8 / 3) ** 0.5, True)
    assert f"{tmp_path / 'test.csv'}: 1 rows with an unknown 'shop', e.g. 'west'" in data.notes


def test_rare_categories_share_the_unknown_bucket(tmp_path):
    data = load_train(tmp_path, TABLE, categorical_columns="shop", min_category_count=2)
    assert data.schema.columns.categorical[0].categories == ("north",)


@pytest.mark.parametrize("cell", ["cheap", "inf"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_cell_that_is_no_number_names_file_line_and_column(tmp_path, cell, split):
    write(tmp_path / "train.csv", TABLE)
    write(tmp_path / "test.csv", TABLE)
    write(tmp_path / f"{split}.csv", TABLE + f"e,north,{cell},x\n")
    fails(rf"{split}.csv:6: .*column 'price'", "train", "test", data_dir=str(tmp_path), numeric_columns="price")


def test_column_without_any_number_is_refused(tmp_path):
    with pytest.raises(UserError, match="column 'price' holds no number"):
        load_train(tmp_path, "text,price,label\na,,x\nb,NA,y\n", numeric_columns="price")


def test_columns_as_text_are_read_as_text_only(tmp_path):
    data = load_train(tmp_path, TABLE, categorical_columns="shop", numeric_columns="price", columns_as_text=True)
    assert not data.schema.columns
    assert texts(data, "train")[0] == "a shop: north price: 1"
    saved = through_config(data.schema)
    path = write(tmp_path / "test.csv", "text,shop,price\ne,west,7\n")
    assert texts(load("test", saved=saved, test_file=str(path)), "test") == ["e shop: west price: 7"]


def test_list_column_cannot_be_a_text(tmp_path):
    path = write_jsonl(tmp_path / "train.jsonl", [{"text": ["a", "b"], "label": "x"}])
    fails("column 'text' holds lists", train_file=str(path))


# Notes


def test_empty_texts_stay_and_are_counted(tmp_path):
    data = load_train(tmp_path, "text,label\n,x\nb,y\n  ,x\n")
    assert len(data.splits["train"].rows) == 3
    assert f"{tmp_path / 'train.csv'}:2: 2 rows with an empty text (this is the first)" in data.notes


def test_text_in_training_and_test_is_counted_blank_ones_aside(folder):
    write(folder / "test.csv", "text,label\na fine pen,good\nnew,bad\n,bad\n")
    write(folder / "train.csv", TRAIN + ",bad\n")
    data = load("train", "test", data_dir=str(folder))
    assert f"{folder / 'test.csv'}: 1 of 2 texts also occur in the training rows" in data.notes


def test_pairs_leak_only_as_pairs(tmp_path):
    write(tmp_path / "train.csv", "sentence1,sentence2,label\na,b,x\nc,d,y\n")
    write(tmp_path / "test.csv", "sentence1,sentence2,label\na,d,x\nc,d,y\n")
    data = load("train", "test", data_dir=str(tmp_path))
    assert f"{tmp_path / 'test.csv'}: 1 of 2 texts also occur in the training rows" in data.notes
    assert texts(data, "train") == ["a b", "c d"]
    assert list(data.training_texts()) == ["a", "c", "b", "d"]


# One file, split

MANY = "text,label,who\n" + "".join(f"text {i},{'xy'[i % 2]},{i // 4}\n" for i in range(40))


def test_one_file_is_split_and_the_indices_say_how(tmp_path):
    path = write(tmp_path / "all.csv", MANY)
    flags = {"train_file": str(path), "validation_split": 0.2, "test_split": 0.1, "text_column_names": "text"}
    data = load(*ALL, **flags)
    indices = data.split_indices
    assert indices is not None
    assert (indices["source"], indices["rows"]) == ("all.csv", 40)
    for split in ALL:
        assert texts(data, split) == [f"text {i}" for i in indices[split]]
    assert [len(indices[split]) for split in ALL] == [28, 8, 4]
    assert sorted(data.labels("validation")) == [0] * 4 + [1] * 4
    assert load(*ALL, **flags).split_indices == indices


def test_indices_of_an_earlier_run_give_its_rows(tmp_path):
    import json

    path = write(tmp_path / "all.csv", MANY)
    first = load(
        *ALL, train_file=str(path), validation_split=0.2, test_split=0.1, split_seed=7, text_column_names="text"
    )
    saved = write(tmp_path / "split_indices.json", json.dumps(first.split_indices))
    again = load(*ALL, train_file=str(path), split_indices=str(saved), text_column_names="text")
    for split in ALL:
        assert texts(again, split) == texts(first, split)
    alone = load("validation", saved=first.schema, train_file=str(path), split_indices=str(saved))
    assert texts(alone, "validation") == texts(first, "validation")
    write(path, MANY + "one more,x,1\n")
    fails(
        "made for 40 rows of all.csv.* has 41",
        *ALL,
        train_file=str(path),
        split_indices=str(saved),
        text_column_names="text",
    )


def test_groups_stay_on_one_side(tmp_path):
    path = write(tmp_path / "all.csv", MANY)
    data = load(
        "train", "validation", train_file=str(path), validation_split=0.2, split_by="who", text_column_names="text"
    )
    who = [set(data.splits[split].rows["who"][:]) for split in ("train", "validation")]
    assert not who[0] & who[1]
    assert len(data.splits["validation"].rows) == 8


def test_repeats_are_left_out_before_splitting(tmp_path):
    path = write(tmp_path / "all.csv", MANY + MANY.split("\n", 1)[1] + "text 0,y,0\n")
    data = load(
        "train",
        "validation",
        train_file=str(path),
        validation_split=0.25,
        drop_duplicates=True,
        text_column_names="text",
    )
    assert len(data.splits["train"].rows) + len(data.splits["validation"].rows) == 40
    assert any("41 rows with a repeated text left out, 1 of them" in note for note in data.notes)
    assert not any("also occur" in note for note in data.notes)


def test_repeats_are_left_out_without_a_split_too(tmp_path):
    data = load_train(tmp_path, TRAIN + "a fine pen,good\n", drop_duplicates=True)
    assert len(data.splits["train"].rows) == 4
    assert data.split_indices is None


def test_unlabelled_rows_are_on_no_side_of_a_split(tmp_path):
    rows = [{"text": f"t{i}", "label": "" if i < 4 else "xy"[i % 2]} for i in range(24)]
    import json

    path = write(tmp_path / "all.json", json.dumps(rows))  # on one line: rows must not be told apart by their line
    data = load("train", "test", train_file=str(path), test_split=0.2)
    assert data.split_indices is not None
    sides = sorted(data.split_indices["train"] + data.split_indices["test"])
    assert sides == list(range(4, 24))
    assert texts(data, "test") == [f"t{i}" for i in data.split_indices["test"]]


def test_split_and_file_for_the_same_rows_are_refused(folder):
    fails("both --validation_split and a file", "train", "validation", data_dir=str(folder), validation_split=0.1)


def test_split_by_an_absent_column_is_refused(tmp_path):
    path = write(tmp_path / "all.csv", MANY)
    fails(
        "no column 'whom'",
        "train",
        train_file=str(path),
        validation_split=0.2,
        split_by="whom",
        text_column_names="text",
    )


# Cutting, shuffling, ids, kept columns


def test_first_rows_are_kept_and_labels_are_those_of_all_rows(folder):
    data = load(*ALL, data_dir=str(folder), max_train_samples=1, max_eval_samples=1, max_predict_samples=1)
    assert [texts(data, split) for split in ALL] == [["a fine pen"], ["a fine cup"], ["a poor lamp"]]
    assert data.schema.labels.names == ("bad", "good")


def test_limit_above_the_number_of_rows_is_fine(folder):
    assert len(load("train", data_dir=str(folder), max_train_samples=99).splits["train"].rows) == 4


def test_training_rows_are_shuffled_before_they_are_cut(tmp_path):
    path = write(tmp_path / "all.csv", MANY)
    flags = {"train_file": str(path), "text_column_names": "text", "shuffle_train_dataset": True}
    whole = texts(load("train", **flags), "train")
    assert whole != sorted(whole, key=lambda t: int(t.split()[1]))
    assert texts(load("train", **flags, max_train_samples=5), "train") == whole[:5]
    assert texts(load("train", **flags, shuffle_seed=1), "train") != whole


def test_ids_are_the_id_column_or_numbers(folder):
    assert load("train", "test", data_dir=str(folder)).ids("test") == ["0", "1"]
    for name in ("train", "test"):
        write(folder / f"{name}.csv", "nr,text,label\n007,a,x\nNA,b,y\n")
    data = load("train", "test", data_dir=str(folder), id_column_name="nr")
    assert data.ids("test") == ["007", "NA"]
    assert data.schema.id_column == "nr"


def test_kept_columns(folder):
    for name in ("train", "test"):
        write_jsonl(folder / f"{name}.jsonl", [{"text": "a", "label": ["x", "y"], "n": 1}])
        (folder / f"{name}.csv").unlink()
    flags = {"data_dir": str(folder), "label_column_name": "label"}
    assert load("train", "test", **flags).kept_columns("test") == {}
    assert load("train", "test", **flags, keep_columns="n").kept_columns("test") == {"n": ["1"]}
    everything = load("train", "test", **flags, keep_columns="all").kept_columns("test")
    assert everything == {"text": ["a"], "label": ["x,y"], "n": ["1"]}
    fails("no column 'm' among", "train", "test", **flags, keep_columns="m")


# Features


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["a fine poor pen book cup lamp"], level="word", min_count=1, model_max_length=32)


def test_features_of_each_split(folder, tokenizer, tmp_path):
    data = load(*ALL, data_dir=str(folder))
    features = data.tokenize(tokenizer, cache_dir=tmp_path / "cache")
    names = set(tokenizer.model_input_names)
    assert set(features["train"].column_names) == set(features["validation"].column_names) == names | {"labels"}
    assert set(features["test"].column_names) == names, "test features never hold labels"
    assert features["train"]["labels"][:] == data.labels("train")
    assert features["test"]["input_ids"][:] == [tokenizer(text)["input_ids"] for text in texts(data, "test")]


def test_lengths_are_noted_once_and_again_from_the_cache(folder, tokenizer, tmp_path):
    notes = []
    for _ in range(2):
        data = load("train", data_dir=str(folder), max_seq_length=3)
        data.tokenize(tokenizer, cache_dir=tmp_path / "cache")
        data.tokenize(tokenizer, cache_dir=tmp_path / "cache")
        notes.append([note for note in data.notes if "cut to 3 tokens" in note])
    longest = len(tokenizer("a fine pen")["input_ids"])
    assert notes[0] == notes[1] == [f"{folder / 'train.csv'}: 4 of 4 texts cut to 3 tokens; the longest has {longest}"]
    long = load("train", data_dir=str(folder), max_seq_length=999)
    long.tokenize(tokenizer, cache_dir=tmp_path / "cache")
    assert any("--max_seq_length 999 is more than the model takes; 32 is used" in note for note in long.notes)


def test_changed_file_is_never_served_from_the_cache(folder, tokenizer, tmp_path):
    def ids():
        made = load("train", data_dir=str(folder)).tokenize(tokenizer, cache_dir=tmp_path / "cache")
        return made["train"]["input_ids"][:]

    before = ids()
    assert ids() == before
    write(folder / "train.csv", TRAIN.replace("a fine pen", "a fine lamp"))
    after = ids()
    assert after[0] == tokenizer("a fine lamp")["input_ids"] != before[0]
    assert after[1:] == before[1:]


def test_rows_are_located_by_file_and_line():
    lines = [2, 3, 5, 6, 9, 10, 11]
    rows = datasets.Dataset.from_dict({"text": ["a"] * 7, "_line": lines})
    splits = {
        "train": RowSplit("train", rows, "in.csv"),
        "test": RowSplit("test", rows.to_iterable_dataset(), "in.csv"),
    }
    data = ClassificationData(TaskSchema(labels=LabelSchema(names=("a", "b"))), splits)
    assert data.locate("train", [2]) == "in.csv:5"
    assert data.locate("train", range(6)) == "in.csv:2, 3, 5, 6, 9, …"
    assert data.locate("train", []) is None
    assert data.locate("test", [1]) is None
