"""Evaluations are read by length, and what they give stands in the order of the rows."""

from __future__ import annotations

import batching_cases as cases
import datasets
import numpy as np
import pytest
import torch
from training_models import SIZES
from transformers import BertConfig, BertForTokenClassification, Trainer

from hf_ext.evaluation.tagging_metrics import TaggingMetric
from hf_ext.models.tagging_schema import TaggingSchema
from hf_ext.training import ExtTrainer
from hf_ext.training.batching.input_order import InputOrder, sort_by_length

LABELS = [row["labels"] for row in cases.build_rows()]
SCHEMA = TaggingSchema(("O", "B-X", "I-X"), "BIO")
SENTENCES = [0, 0, 1, 2, 2, 2, *range(3, 20)]  # of 23 windows


def test_the_longest_come_first_and_equal_ones_as_they_stand():
    rows = [{"input_ids": [0] * n} for n in (2, 5, 3, 5, 2)]
    assert list(sort_by_length(rows)) == [1, 3, 2, 0, 4]


def test_rows_of_a_group_stay_together():
    rows = [{"input_ids": [0] * n} for n in (2, 9, 1, 5, 8, 3)]
    assert list(sort_by_length(rows, groups=[7, 7, 7, 3, 3, 5])) == [0, 1, 2, 3, 4, 5]
    assert list(sort_by_length(rows, groups=[1, 1, 2, 3, 3, 4])) == [0, 1, 3, 4, 5, 2]
    assert list(sort_by_length(rows, groups=[1, 2])) == [1, 4, 3, 5, 0, 2]  # another split's


def test_equal_and_unknown_lengths_are_left_alone():
    assert sort_by_length([{"input_ids": [1, 2]}, {"input_ids": [3, 4]}]) is None
    assert sort_by_length([{"x": 1}]) is None
    assert sort_by_length(datasets.IterableDataset.from_generator(lambda: iter([{"input_ids": [1]}]))) is None


def test_trees_of_arrays_are_restored():
    order = InputOrder(np.array([2, 0, 1]), in_batches=False)
    scores = np.array([20.0, 0.0, 10.0])
    found = order.restore((scores, {"a": scores[:, None]}, np.array(5), np.array([20, 0, 10, -1])))
    assert found[0].tolist() == [0, 10, 20]
    assert found[1]["a"].tolist() == [[0], [10], [20]]
    assert found[2] == 5
    assert found[3].tolist() == [0, 10, 20]  # one entry a row, without those that filled the last batch up
    assert order.restore(None) is None


def test_batches_are_restored_and_padded_to_their_own_rows():
    order = InputOrder(np.array([2, 0, 1]), in_batches=True)
    batches = [(np.array([[21, 22], [1, 2]]), np.array([2, 0])), (np.array([[11]]), np.array([1]))]
    first, second = order.restore(batches)
    assert first[0].tolist() == [[1, 2], [11, -100]]
    assert first[1].tolist() == [0, 1]
    assert (second[0].tolist(), second[1].tolist()) == ([[21, 22]], [2])


@pytest.mark.parametrize("flags", [{}, {"eval_accumulation_steps": 2}, {"length_strategy": "group"}])
def test_predictions_labels_and_inputs_equal_those_of_single_rows(tmp_path, flags):
    found = cases.predict(tmp_path, **flags)
    for predictions in (found["predictions"], found["given"]["predictions"]):
        np.testing.assert_allclose(predictions, cases.reference_logits(), atol=1e-6)
    assert found["labels"].tolist() == found["given"]["labels"].tolist() == LABELS
    for row, tokens in zip(cases.build_rows(), found["given"]["inputs"], strict=True):
        assert tokens[tokens > 0].tolist() == row["input_ids"]
    unsorted = torch.nn.functional.cross_entropy(torch.tensor(cases.reference_logits()), torch.tensor(LABELS))
    assert found["loss"] == pytest.approx(unsorted.item(), abs=1e-6)


def test_lists_of_batches_come_back_in_input_order(tmp_path):
    found = cases.predict(tmp_path, eval_do_concat_batches=False)
    for batches in (found["predictions"], found["given"]["predictions"]):
        assert [len(batch) for batch in batches] == [3] * 7 + [2]
        np.testing.assert_allclose(np.concatenate(batches), cases.reference_logits(), atol=1e-6)
    assert np.concatenate(found["labels"]).tolist() == LABELS


def test_little_is_padded(tmp_path):
    seen = []

    class Watching(ExtTrainer):
        def prediction_step(self, model, inputs, *rest, **kwargs):
            seen.append(inputs["input_ids"].shape)
            return super().prediction_step(model, inputs, *rest, **kwargs)

    trainer = Watching(cases.tiny_bert(), cases.settings(tmp_path), data_collator=cases.collate)
    trainer.predict(cases.build_rows())
    lengths = sorted(cases.LENGTHS, reverse=True)
    assert seen == [(len(lengths[i : i + 3]), lengths[i]) for i in range(0, len(lengths), 3)]


def tag_rows():
    """Give windows with a tag for every token."""
    return [{**row, "labels": [token % 3 for token in row["input_ids"]]} for row in cases.build_rows()]


def collate_tags(rows):
    batch = cases.collate([{"input_ids": row["input_ids"]} for row in rows])
    longest = batch["input_ids"].shape[1]
    batch["labels"] = torch.tensor([row["labels"] + [-100] * (longest - len(row["labels"])) for row in rows])
    return batch


def tagger():
    torch.manual_seed(2)
    return BertForTokenClassification(BertConfig(**SIZES))


@pytest.mark.parametrize("in_batches", [True, False])
def test_the_tagging_metric_finds_the_windows_of_a_sentence_again(tmp_path, in_batches):
    kwargs = {"eval_dataset": tag_rows(), "data_collator": collate_tags}
    args = cases.settings(tmp_path, batch_eval_metrics=True)
    expected = Trainer(tagger(), args, compute_metrics=TaggingMetric(SCHEMA, SENTENCES), **kwargs).evaluate()
    metric = TaggingMetric(SCHEMA, SENTENCES)
    args = cases.settings(tmp_path, batch_eval_metrics=in_batches)
    found = ExtTrainer(tagger(), args, compute_metrics=metric, **kwargs).evaluate()
    for name in ("eval_f1", "eval_precision", "eval_recall", "eval_accuracy"):
        assert found[name] == expected[name]
    assert 0 < found["eval_f1"] < 1


def test_predictions_of_tokens_are_in_order(tmp_path):
    trainer = ExtTrainer(tagger(), cases.settings(tmp_path), data_collator=collate_tags)
    found = trainer.predict(tag_rows())
    model = tagger().eval()
    for row, scores, labels in zip(tag_rows(), found.predictions, found.label_ids, strict=True):
        length = len(row["input_ids"])
        with torch.no_grad():
            logits = model(torch.tensor([row["input_ids"]])).logits[0].numpy()
        np.testing.assert_allclose(scores[:length], logits, atol=1e-6)
        assert labels[:length].tolist() == row["labels"]
