from __future__ import annotations

import json

import pytest
from table_files import write

from hf_ext.data.arguments import DataArguments
from hf_ext.data.columns import guess_label, read_label_file, resolve_columns
from hf_ext.errors import UserError
from hf_ext.models.schema import CategoricalColumn, LabelSchema, NumericColumn, TabularSchema, TaskSchema, TextSchema


def resolve(*present: str, saved: TaskSchema | None = None, **flags):
    return resolve_columns(DataArguments(**flags), present, source="a.csv", saved=saved)


@pytest.mark.parametrize(
    ("present", "text", "pair", "label"),
    [
        (["sentence", "label"], "sentence", None, "label"),
        (["label", "text"], "text", None, "label"),
        (["id", "Text", "Category"], "Text", None, "Category"),
        (["content", "intent", "other", "more"], "content", None, "intent"),
        (["sentence1", "sentence2", "label"], "sentence1", "sentence2", "label"),
        (["text_a", "text_b", "labels"], "text_a", "text_b", "labels"),
        (["premise", "hypothesis", "label", "idx"], "premise", "hypothesis", "label"),
        (["question1", "question2", "target"], "question1", "question2", "target"),
        (["unnamed_0", "words", "class"], "words", None, "class"),
        (["text", "department"], "text", None, "department"),
        (["text", "label", "score"], "text", None, "label"),
    ],
)
def test_usual_names_are_guessed_and_said(present, text, pair, label):
    resolved = resolve(*present)
    columns = resolved.columns
    assert (columns.text, columns.pair, columns.label) == ((text,), pair, label)
    assert any(repr(text) in note for note in resolved.notes)
    assert any(repr(label) in note for note in resolved.notes)


def test_flags_win_over_guesses_without_a_note():
    resolved = resolve(
        "text", "label", "a", "b", text_column_names="b, a", label_column_name="text", id_column_name="label"
    )
    assert resolved.columns.text == ("b", "a")
    assert (resolved.columns.label, resolved.columns.id) == ("text", "label")
    assert resolved.notes == []


def test_table_columns_are_not_guessed_as_text():
    columns = resolve("text", "shop", "price", "label", categorical_columns="shop", numeric_columns="price").columns
    assert (columns.text, columns.categorical, columns.numeric) == (("text",), ("shop",), ("price",))
    assert columns.inputs == ("text", "shop", "price")


def test_last_unclaimed_column_is_the_text():
    columns = resolve("shop", "price", "words", "label", categorical_columns="shop", numeric_columns="price").columns
    assert columns.text == ("words",)


def test_unclear_text_lists_the_columns():
    with pytest.raises(
        UserError, match=r"a.csv: which column is the text\? There are: foo, bar, label – .*--text_column_names"
    ):
        resolve("foo", "bar", "label")


@pytest.mark.parametrize(
    "flag",
    [
        "text_column_names",
        "label_column_name",
        "id_column_name",
        "categorical_columns",
        "numeric_columns",
        "text_pair_column_name",
    ],
)
def test_absent_column_lists_those_present_and_suggests(flag):
    with pytest.raises(UserError, match=r"a.csv: no column 'shopp' among: text, shop, label – did you mean 'shop'\?"):
        resolve("text", "shop", "label", **{flag: "shopp"})


def test_label_cannot_be_an_input():
    with pytest.raises(UserError, match="'text' is also an input"):
        resolve("text", "label", text_column_names="text", label_column_name="text")
    with pytest.raises(UserError, match="both categorical and numeric"):
        resolve("text", "x", "label", categorical_columns="x", numeric_columns="x")


def test_guess_of_a_label_prefers_the_plain_name():
    assert guess_label(["score", "Label", "text"]) == "Label"
    assert guess_label(["text", "other"]) is None


# Column file

INFO = {
    "text_cols": ["Title", "Body"],
    "cat_cols": ["Shop"],
    "num_cols": ["Age"],
    "label_col": "Buy",
    "label_list": ["no", "yes"],
}


def test_column_file_of_the_multimodal_toolkit(tmp_path):
    path = write(tmp_path / "info.json", json.dumps({**INFO, "text_col_sep_token": " | "}))
    columns = resolve("Title", "Body", "Shop", "Age", "Buy", column_file=str(path)).columns
    assert (columns.text, columns.categorical, columns.numeric) == (("Title", "Body"), ("Shop",), ("Age",))
    assert (columns.label, columns.label_list, columns.delimiter) == ("Buy", ("no", "yes"), " | ")


def test_flags_win_over_the_column_file(tmp_path):
    path = write(tmp_path / "info.json", json.dumps(INFO))
    columns = resolve("Title", "Body", "Shop", "Age", "Buy", column_file=str(path), text_column_names="Body").columns
    assert (columns.text, columns.label) == (("Body",), "Buy")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"text_cols": [', "info.json:1: broken JSON"),
        ("[]", "not a JSON object"),
        ('{"text_col": ["a"]}', "unknown key 'text_col' – did you mean 'text_cols'"),
        ('{"text_cols": "a"}', "text_cols must be a list"),
        ('{"label_col": ["a"]}', "label_col must be one text"),
    ],
)
def test_broken_column_file_is_one_line(tmp_path, content, words):
    path = write(tmp_path / "info.json", content)
    with pytest.raises(UserError, match=words.replace("[", r"\[")):
        resolve("a", column_file=str(path))


def test_missing_column_file_and_label_file(tmp_path):
    with pytest.raises(UserError, match="check --column_file"):
        resolve("a", column_file=str(tmp_path / "absent.json"))
    with pytest.raises(UserError, match="check --label_file"):
        resolve("a", label_file=str(tmp_path / "absent.txt"))


def test_label_file_holds_a_name_a_line(tmp_path):
    assert read_label_file(write(tmp_path / "labels.txt", "joy\n sad \n\n怒\n")) == ("joy", "sad", "怒")
    with pytest.raises(UserError, match=r"labels.txt:3: the label 'a' occurs twice"):
        read_label_file(write(tmp_path / "labels.txt", "a\nb\na\n"))


# A saved model

SAVED = TaskSchema(
    labels=LabelSchema(names=("x", "y")),
    text=TextSchema(("title", "body"), None, " | ", (), 64),
    columns=TabularSchema((CategoricalColumn("shop", ("a",)),), (NumericColumn("age"),)),
    label_column="buy",
    id_column="nr",
)


def test_saved_schema_decides_when_nothing_is_said():
    columns = resolve("body", "title", "shop", "age", "nr", saved=SAVED).columns
    assert (columns.text, columns.delimiter) == (("title", "body"), " | ")
    assert (columns.categorical, columns.numeric) == (("shop",), ("age",))
    assert (columns.label, columns.id) == ("buy", "nr")


def test_flags_rename_the_saved_columns():
    columns = resolve(
        "t", "b", "shop", "age", "gold", saved=SAVED, text_column_names="t,b", label_column_name="gold"
    ).columns
    assert (columns.text, columns.label, columns.id) == (("t", "b"), "gold", None)


def test_file_without_a_saved_column_is_refused():
    with pytest.raises(UserError, match="no column 'shop' among: title, body, age"):
        resolve("title", "body", "age", saved=SAVED)


def test_saved_labels_alone_leave_the_columns_to_the_guess():
    columns = resolve("text", "label", saved=TaskSchema(labels=LabelSchema(names=("x", "y")))).columns
    assert (columns.text, columns.label) == (("text",), "label")


def test_columns_as_text_are_needed_again():
    saved = TaskSchema(text=TextSchema(("text",), columns_as_text=("shop",)), label_column="label")
    with pytest.raises(UserError, match="no column 'shop'"):
        resolve("text", "label", saved=saved)


def test_text_schema_of_a_new_model():
    columns = resolve("text", "shop", "label", categorical_columns="shop").columns
    assert columns.text_schema(DataArguments(max_seq_length=9)) == TextSchema(("text",), None, " ", (), 9)
    assert columns.text_schema(DataArguments(columns_as_text=True)).columns_as_text == ("shop",)
