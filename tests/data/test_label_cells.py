from __future__ import annotations

import pytest

from hf_ext.data.arguments import DataArguments
from hf_ext.data.labels import LabelReader, choose_problem_type, fit_labels, is_known
from hf_ext.errors import UserError
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL, LabelSchema


def names(cells: list, label_list: tuple[str, ...], *, kind: str = SINGLE_LABEL, strict: bool = True) -> list:
    reader = LabelReader(kind, ",", label_list).for_cells(cells, "a.csv", strict=strict)
    return [reader.read(cell) for cell in cells]


@pytest.mark.parametrize("cell", ["001", "1", "NA", "-1", "1.0", "None"])
def test_single_labels_are_names_as_written(cell):
    assert LabelReader(SINGLE_LABEL).read(f" {cell} ") == cell


@pytest.mark.parametrize("cell", ["", "  ", "\t"])
@pytest.mark.parametrize("kind", [SINGLE_LABEL, MULTI_LABEL, REGRESSION])
def test_blank_cells_are_unlabelled(cell, kind):
    assert LabelReader(kind, ",").read(cell) is None


def test_cells_are_taken_apart():
    reader = LabelReader(MULTI_LABEL, "|")
    assert reader.read("a| b |") == ["a", "b"]
    assert reader.read("a,b") == ["a,b"]
    assert reader.read(["x", " y "]) == ["x", "y"]


def test_empty_list_is_a_label_but_null_is_none():
    reader = LabelReader(MULTI_LABEL)
    assert reader.read([]) == []
    assert reader.read([""]) is None


def test_list_of_one_is_a_single_label():
    assert LabelReader(SINGLE_LABEL).read(["a"]) == "a"
    assert LabelReader(SINGLE_LABEL).read([]) is None


def test_indices_become_names_only_when_all_are_indices():
    assert names(["1", "0", ""], ("no", "yes")) == ["yes", "no", None]
    assert names(["yes", "no"], ("no", "yes")) == ["yes", "no"]
    assert names(["0", "1"], ("1", "0")) == ["0", "1"], "cells that are names already stay"
    assert names(["0,2", "1"], ("a", "b", "c"), kind=MULTI_LABEL) == [["a", "c"], ["b"]]


@pytest.mark.parametrize("cell", ["2", "-1", "maybe", "1.0", "²"])
def test_cell_that_is_neither_name_nor_index_is_refused(cell):
    with pytest.raises(UserError, match=r"a.csv: the label .* neither in the label list nor an index from 0 to 1"):
        names(["0", "1", cell], ("no", "yes"))


def test_mixture_of_names_and_indices_is_refused_in_training():
    with pytest.raises(UserError, match="neither"):
        names(["0", "yes"], ("no", "yes"))


def test_strange_cells_are_left_to_the_check_of_unknown_labels_elsewhere():
    assert names(["1", "7"], ("no", "yes"), strict=False) == ["yes", "7"]


@pytest.mark.parametrize(
    ("flags", "lists", "kind"),
    [
        ({}, False, SINGLE_LABEL),
        ({}, True, MULTI_LABEL),
        ({"label_delimiter": ","}, False, MULTI_LABEL),
        ({"task": "single_label"}, True, SINGLE_LABEL),
        ({"task": "regression"}, False, REGRESSION),
        ({"do_regression": True}, False, REGRESSION),
        ({"task": "multi_label", "label_delimiter": ";"}, False, MULTI_LABEL),
    ],
)
def test_kind_of_task(flags, lists, kind):
    assert choose_problem_type(DataArguments(**flags), cells_are_lists=lists, source="a.csv") == kind


def test_multi_label_without_a_delimiter_asks_for_it():
    with pytest.raises(UserError, match="--label_delimiter"):
        choose_problem_type(DataArguments(task="multi_label"), cells_are_lists=False, source="a.csv")


def test_labels_are_sorted_and_a_saved_order_with_the_same_names_is_kept():
    fitted = fit_labels(["b", "a", "b"], SINGLE_LABEL, source="a.csv", saved=None)
    assert fitted.names == ("a", "b")
    saved = LabelSchema(SINGLE_LABEL, ("b", "a"))
    assert fit_labels(["b", "a"], SINGLE_LABEL, source="a.csv", saved=saved) is saved
    assert fit_labels(["c", "a"], SINGLE_LABEL, source="a.csv", saved=saved).names == ("a", "c")


@pytest.mark.parametrize(("labels", "what"), [(["a", "a"], "every row has the label 'a'"), ([], "no row has a label")])
def test_a_single_label_cannot_be_trained(labels, what):
    with pytest.raises(UserError, match=f"a.csv: {what} .*--label_column_name"):
        fit_labels(labels, SINGLE_LABEL, source="a.csv", saved=None)


def test_known_labels():
    schema = LabelSchema(SINGLE_LABEL, ("a", "b"))
    assert is_known("a", schema)
    assert not is_known("c", schema)
    many = LabelSchema(MULTI_LABEL, ("a", "b"))
    assert is_known(["a", "b"], many)
    assert is_known([], many)
    assert not is_known(["a", "c"], many)
    assert is_known("3.5", LabelSchema(REGRESSION))
