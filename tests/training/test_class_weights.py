"""Class weights: counted, listed, or read from a file."""

from __future__ import annotations

import json
import logging

import datasets
import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.utils.data import IterableDataset

from hf_ext.errors import UserError
from hf_ext.models.schema import MULTI_LABEL, SINGLE_LABEL
from hf_ext.training.losses.class_weights import read_class_weights
from hf_ext.training.losses.train_labels import read_labels

NAMES = ("cat", "dog", "emu")


def read(given, dataset=None, problem_type=SINGLE_LABEL, names=NAMES):
    return read_class_weights(given, names=names, problem_type=problem_type, train_dataset=dataset)


def as_rows(labels):
    return [{"input_ids": [1], "labels": label} for label in labels]


LABELS = [0, 0, 0, 1, 2, 2]


@pytest.mark.parametrize("build", [as_rows, lambda labels: datasets.Dataset.from_dict({"labels": labels})])
def test_balanced_weights_are_those_of_scikit_learn(build):
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(read("balanced", build(LABELS)), expected, rtol=1e-15)


def test_rows_may_be_tensors_and_the_column_may_be_called_label():
    rows = [{"label": torch.tensor(label)} for label in LABELS]
    assert read("balanced", rows).tolist() == read("balanced", as_rows(LABELS)).tolist()
    typed = datasets.Dataset.from_dict({"label": LABELS}).with_format("torch")
    assert read("balanced", typed).tolist() == read("balanced", as_rows(LABELS)).tolist()


def test_tokens_are_counted_without_those_that_have_no_label():
    tokens = as_rows([[-100, 0, 0, -100], [0, 1], [2, 2, -100]])
    assert read("balanced", tokens).tolist() == read("balanced", as_rows(LABELS)).tolist()


def test_with_several_labels_a_row_the_weight_is_negatives_to_positives():
    rows = as_rows([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-100.0, -100.0, -100.0]])
    assert read("balanced", rows, MULTI_LABEL).tolist() == [1 / 3, 3.0, 1.0]


def test_a_label_without_a_row_is_named():
    with pytest.raises(UserError, match="no training row has the label dog, emu – give weights"):
        read("balanced", as_rows([0, 0]))
    with pytest.raises(UserError, match="every training row has the label cat"):
        read("balanced", as_rows([[1.0, 0.0], [1.0, 1.0]]), MULTI_LABEL, NAMES[:2])


def test_a_label_beyond_the_outputs_is_refused():
    with pytest.raises(ValueError, match="labels go from 0 to 3, and the model has 3 outputs"):
        read("balanced", as_rows([0, 3]))


class Stream(IterableDataset):
    """Rows that cannot be counted before."""

    def __iter__(self):
        yield from as_rows(LABELS)


@pytest.mark.parametrize("stream", [Stream(), datasets.IterableDataset.from_generator(lambda: as_rows(LABELS))])
def test_a_stream_cannot_be_counted(stream):
    with pytest.raises(UserError, match=r"--class_weights balanced .* a stream does not allow"):
        read("balanced", stream)


def test_rows_without_labels_are_refused():
    with pytest.raises(UserError, match="the training rows have none"):
        read_labels([{"input_ids": [1]}], "--weighted_sampling")


def test_without_training_rows_the_loss_is_unweighted_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="hf_ext"):
        assert read("balanced") is None
    assert "unweighted" in caplog.text


def test_a_list_is_in_label_order_and_as_long_as_the_labels():
    assert read("1,2.5, 0").tolist() == [1.0, 2.5, 0.0]
    with pytest.raises(UserError, match="2 weights for 3 labels – give one a label, in this order: cat, dog, emu"):
        read("1,2.5")


@pytest.mark.parametrize("given", ["1,-1,1", "1,nan,1", "1,inf,1"])
def test_weights_are_finite_and_not_negative(given):
    with pytest.raises(UserError, match="the weight of 'dog' is"):
        read(given)


def test_a_file_names_labels_and_leaves_the_others_at_one(tmp_path):
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({"emu": 4, "cat": 0.5}), encoding="utf-8")
    assert read(str(path)).tolist() == [0.5, 1.0, 4.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"emo": 4}', "there is no label 'emo' – did you mean 'emu'"),
        ('{"emu": "4"}', "the weight of 'emu' is '4'"),
        ('{"emu": true}', "the weight of 'emu' is True"),
        ('{"emu": NaN}', "the weight of 'emu' is nan"),
        ("[1, 2, 3]", "holds list, not labels with weights"),
        ("{", "no JSON"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "weights.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        read(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line():
    with pytest.raises(UserError, match="--class_weights balancd: there is no such file – write balanced, numbers"):
        read("balancd")


@pytest.mark.parametrize(
    "given", ["1, 2, 0.5", "[1, 2, 0.5]", '{"dog": 2, "emu": 0.5}', ' {"emu": 0.5, "dog": 2, "cat": 1}']
)
def test_weights_may_stand_in_the_flag_itself(given):
    assert read(given).tolist() == [1, 2, 0.5]


def test_a_file_of_a_windows_editor_is_read(tmp_path):
    (tmp_path / "w.json").write_text('{"dog": 2}', encoding="utf-8-sig")
    assert read(str(tmp_path / "w.json")).tolist() == [1, 2, 1]


@pytest.mark.parametrize("given", ["0,0,0", '{"cat": 0, "dog": 0, "emu": 0}'])
def test_weights_that_are_all_zero_are_refused(given):
    with pytest.raises(UserError, match="all weights are 0"):
        read(given)


@pytest.mark.parametrize("given", ['{"dog": 2', '{"dgo": 2}', '{"dog": "x"}', "{}{}"])
def test_broken_json_in_the_flag_is_named_by_the_flag(given):
    with pytest.raises(UserError, match=r"^--class_weights: "):
        read(given)
