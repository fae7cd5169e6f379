from __future__ import annotations

import pytest

from hf_ext.data.checks import rows as checks
from hf_ext.errors import UserError
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL, CategoricalColumn, LabelSchema, TabularSchema

LABELS = LabelSchema(names=("a", "b"))


def test_unlabelled_rows_are_counted_with_the_first_line():
    kept, notes = checks.find_labelled(["a", None, "b", None], [2, 3, 5, 6], "t.csv")
    assert kept == [0, 2]
    assert notes == ["t.csv:3: 2 rows without a label left out (this is the first)"]
    assert checks.find_labelled(["a"], [2], "t.csv") == ([0], [])


def test_unknown_labels_say_count_line_label_and_remedy():
    with pytest.raises(UserError) as error:
        checks.find_unknown_labels(["a", "c", None, "d"], LABELS, [2, 3, 4, 5], "t.csv", ignore=False)
    assert str(error.value).startswith("t.csv:3: 2 rows have labels that training has not seen, the first 'c'")
    assert "--unknown_labels ignore" in str(error.value)


def test_unknown_number_hints_at_the_label_file():
    with pytest.raises(UserError, match="--label_file"):
        checks.find_unknown_labels(["3"], LABELS, [2], "t.csv", ignore=False)


def test_unknown_label_within_a_list_is_the_one_named():
    schema = LabelSchema("multi_label_classification", ("a", "b"))
    with pytest.raises(UserError, match="the first 'z'"):
        checks.find_unknown_labels([["a", "z"]], schema, [2], "t.csv", ignore=False)


def test_unknown_labels_can_be_ignored():
    unknown, notes = checks.find_unknown_labels(["a", "c"], LABELS, [2, 3], "t.csv", ignore=True)
    assert unknown == {1}
    assert "1 rows have labels" in notes[0]
    assert checks.find_unknown_labels(["a", None], LABELS, [2, 3], "t.csv", ignore=False) == (set(), [])


@pytest.mark.parametrize("cell", ["nan", "NA", "-", "none"])
def test_regression_target_that_is_missing_in_words_is_refused(cell):
    with pytest.raises(UserError, match=r"t.csv:3: the target .* is not a number \(column 'y'\)"):
        checks.check_targets(["1", cell], [2, 3], "t.csv", "y")


@pytest.mark.parametrize("cell", ["abc", "inf", "-inf", "1,5", "good"])
def test_regression_target_that_is_no_number_is_refused(cell):
    with pytest.raises(UserError, match=r"t.csv:3: .*column 'y'"):
        checks.check_targets([None, cell], [2, 3], "t.csv", "y")


@pytest.mark.parametrize("cell", ["abc", "inf", "1,5", "12 kg"])
def test_number_that_is_none_names_file_line_and_column(cell):
    with pytest.raises(UserError, match=r"t.csv:3: .*column 'age'.*categorical"):
        checks.check_numbers({"age": ["1", cell]}, ["age"], [2, 3], "t.csv")


def test_missing_numbers_and_all_kinds_of_floats_pass():
    checks.check_numbers({"age": ["", "NA", "nan", "1e3", "-2", " 3.5 "]}, ["age"], list(range(6)), "t.csv")


def test_empty_texts_are_counted():
    assert checks.note_empty_texts(["a", " ", "", "\u3000"], [2, 3, 4, 5], "t.csv") == [
        "t.csv:3: 3 rows with an empty text (this is the first)"
    ]
    assert checks.note_empty_texts(["a"], [2], "t.csv") == []


def test_unseen_categories_are_counted_per_column():
    schema = TabularSchema((CategoricalColumn("shop", ("x",)), CategoricalColumn("town", ("y",))))
    notes = checks.note_unseen_categories({"shop": ["x", "q", "r"], "town": ["y", "y", "y"]}, schema, "t.csv")
    assert notes == ["t.csv: 2 rows with an unknown 'shop', e.g. 'q'"]


def test_leaks_are_counted():
    assert checks.note_leaks(["a", "b"], ["a", "c", "a"], "t.csv") == [
        "t.csv: 2 of 3 texts also occur in the training rows"
    ]
    assert checks.note_leaks(["a"], ["b"], "t.csv") == []


def test_labels_that_look_like_numbers_are_mentioned():
    fractions = LabelSchema(names=("0.5", "1.0"))
    assert "--task regression" in checks.note_odd_labels(["0.5", "1.0"], fractions, "t.csv")[0]
    assert checks.note_odd_labels(["0", "-1"], LabelSchema(names=("-1", "0")), "t.csv") == []
    assert checks.note_odd_labels(["0.5"], LabelSchema(REGRESSION), "t.csv") == []


def test_labels_that_look_like_texts_are_mentioned():
    many = [f"text {i}" for i in range(30)]
    assert "is this the label column?" in checks.note_odd_labels(many, LabelSchema(names=tuple(many)), "t.csv")[0]


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, REGRESSION])
def test_several_labels_in_a_row_are_refused_where_one_is_meant(problem_type):
    cells = [["a"], [], "b", ["a", "b"]]
    with pytest.raises(UserError, match=r"t.csv:5: 2 labels in one row \(a, b\)"):
        checks.check_single_labels(cells, [2, 3, 4, 5], "t.csv", problem_type=problem_type)
    checks.check_single_labels(cells[:3], [2, 3, 4], "t.csv", problem_type=problem_type)
    checks.check_single_labels(cells, [2, 3, 4, 5], "t.csv", problem_type=MULTI_LABEL)


def test_ids_that_name_several_rows_are_counted():
    assert checks.note_repeated_ids(["a", "b"], "t.csv") == []
    assert checks.note_repeated_ids(["a", "b", "b", "a"], "t.csv") == ["t.csv: 2 ids name several rows, the first 'a'"]


def test_a_delimiter_that_no_cell_holds_is_said():
    assert checks.note_unused_delimiter(["a;b", "a"], ";", "t.csv") == []
    assert checks.note_unused_delimiter([["a"], ["b"]], ";", "t.csv") == []
    assert checks.note_unused_delimiter(["a", "b"], None, "t.csv") == []
    assert "--label_delimiter" in checks.note_unused_delimiter(["a;b", "a"], "|", "t.csv")[0]
