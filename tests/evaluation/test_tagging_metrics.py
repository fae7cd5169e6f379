"""The streaming metric: any batches, any windows, tags or logits give what counting whole sentences gives."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn
from transformers import EvalPrediction, Trainer, TrainingArguments

from hf_ext.evaluation.entities import EntityCounts
from hf_ext.evaluation.tagging_metrics import TaggingMetric
from hf_ext.models.tagging_schema import TaggingSchema

TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y")
SCHEMA = TaggingSchema(TAGS, "BIO")
JOINT = TaggingSchema(TAGS, "BIO", sentence_labels=("ask", "say", "sing"))


def random_sentences(rng, number, longest=12):
    """Draw pairs of true and predicted tag ids for each sentence."""
    lengths = [rng.randint(0, longest) for _ in range(number)]
    return [tuple([rng.randrange(5) for _ in range(n)] for _ in "ab") for n in lengths]


def cut_into_rows(sentences, rng):
    """Lay sentences out as windows: (sentence, labels, tags), words of the neighbouring windows as context at -100."""
    rows = []
    for number, (gold, predicted) in enumerate(sentences):
        borders = sorted({0, len(gold), *(rng.randint(0, len(gold)) for _ in range(rng.randint(0, 2)))})
        for begin, end in zip(borders[:1] + borders[1:-1], borders[1:] or [0], strict=True):
            left, right = max(begin - 2, 0), min(end + 2, len(gold))
            labels = [gold[i] if begin <= i < end else -100 for i in range(left, right)]
            tags = [predicted[i] if begin <= i < end else rng.randrange(5) for i in range(left, right)]
            rows.append((number, [-100, *labels, -100], [rng.randrange(5), *tags, rng.randrange(5)]))
    return rows


def batches_of(rows, rng, kind):
    """Cut rows into batches of any size, padded, as arrays, tensors or logits."""
    begin = 0
    while begin < len(rows):
        part = rows[begin : begin + rng.randint(1, 7)]
        begin += len(part)
        width = max(len(labels) for _, labels, _ in part) + rng.randint(0, 2)
        labels, tags = (np.full((len(part), width), -100) for _ in "ab")
        for i, (_, gold, predicted) in enumerate(part):
            labels[i, : len(gold)], tags[i, : len(gold)] = gold, predicted
        if kind == "arrays":
            yield tags, labels
        elif kind == "tensors":
            yield torch.tensor(tags), torch.tensor(labels)
        else:
            logits = torch.randn(*tags.shape, 5)
            logits.scatter_(-1, torch.tensor(tags).clamp_min(0)[..., None], 9.0)
            yield (logits.bfloat16() if kind == "bfloat16" else logits.numpy()), labels


def feed(metric, batches):
    """Call the metric as Trainer does; give its last answer."""
    batches = list(batches)
    for i, (predictions, labels) in enumerate(batches):
        result = metric(EvalPrediction(predictions, labels), compute_result=i == len(batches) - 1)
        assert (result == {}) == (i < len(batches) - 1)
    return result


def expected_scores(sentences):
    counts = EntityCounts("BIO")
    for gold, predicted in sentences:
        counts.add([TAGS[i] for i in gold], [TAGS[i] for i in predicted])
    return counts.scores(entity_level=True)


@pytest.mark.parametrize("kind", ["arrays", "tensors", "logits", "bfloat16"])
def test_batches_of_windows_score_as_whole_sentences(kind):
    rng = random.Random(kind)
    for _ in range(25):
        sentences = random_sentences(rng, rng.randint(1, 15))
        rows = cut_into_rows(sentences, rng)
        metric = TaggingMetric(SCHEMA, [row[0] for row in rows], entity_level=True)
        for _ in range(2):  # the second evaluation begins anew
            assert feed(metric, batches_of(rows, rng, kind)) == expected_scores(sentences)


def test_one_entity_across_three_batches_counts_once():
    labels = [np.array([[1, 2]]), np.array([[2, 2]]), np.array([[2, 0]])]
    metric = TaggingMetric(SCHEMA, [4, 4, 4], entity_level=True)
    scores = feed(metric, zip(labels, labels, strict=True))
    assert (scores["X_number"], scores["f1"], scores["accuracy"]) == (1.0, 1.0, 1.0)
    alone = feed(TaggingMetric(SCHEMA, [4, 5, 6], entity_level=True), zip(labels, labels, strict=True))
    assert (alone["X_number"], alone["f1"]) == (1.0, 1.0)  # B-X I-X; the other rows begin with an I of nothing


def test_figures_of_types_only_when_asked():
    label = np.array([[1, 0]])
    assert "X_f1" not in feed(TaggingMetric(SCHEMA, [0]), [(label, label)])
    assert "X_f1" in feed(TaggingMetric(SCHEMA, [0], entity_level=True), [(label, label)])


# --- sentence labels --------------------------------------------------------------------------------------------------


def test_sentence_labels_are_scored_and_both_right_needs_both():
    gold = np.array([[1, 2], [0, -100], [3, 4], [0, 0], [0, 0]])
    tags = np.array([[1, 2], [0, 0], [3, 4], [0, 1], [0, 0]])
    # rows 2 and 3 are one sentence: its first window speaks for the label, a later one has tags wrong
    labels = np.array([2, 0, 1, -100, -100])
    scores = np.eye(3)[[2, 1, 1, 0, 0]]
    metric = TaggingMetric(JOINT, [0, 1, 2, 2, 3])
    for cut in range(1, 5):
        parts = [slice(0, cut), slice(cut, None)]
        found = feed(metric, [((tags[p], torch.tensor(scores[p])), (gold[p], torch.tensor(labels[p]))) for p in parts])
        assert found["sentence_accuracy"] == pytest.approx(2 / 3)  # sentence 3 has no label
        assert found["both_right"] == pytest.approx(1 / 3)
        assert found["accuracy"] == pytest.approx(8 / 9)


def test_probabilities_between_tags_and_scores_are_passed_over():
    tags, chances = np.array([[1, 2]]), np.array([[0.5, 0.5]])
    prediction = EvalPrediction((tags, chances, chances, np.array([[0.0, 1.0, 0.0]])), (tags, np.array([1])))
    found = TaggingMetric(JOINT, [0])(prediction, compute_result=True)
    assert (found["f1"], found["sentence_accuracy"], found["both_right"]) == (1.0, 1.0, 1.0)


def test_joint_figures_equal_a_loop_over_sentences():
    rng = random.Random(5)
    for _ in range(20):
        sentences = random_sentences(rng, rng.randint(1, 12), longest=2)
        rows = cut_into_rows(sentences, rng)
        numbers = [row[0] for row in rows]
        truth, guess = [[rng.randrange(-1, 3) for _ in sentences] for _ in "ab"]
        firsts = [i for i, number in enumerate(numbers) if i == 0 or numbers[i - 1] != number]
        row_truth = np.array([truth[n] if i in firsts and truth[n] >= 0 else -100 for i, n in enumerate(numbers)])
        row_scores = np.eye(3)[[guess[n] if i in firsts else rng.randrange(3) for i, n in enumerate(numbers)]]
        batches, begin = [], 0
        for tags, labels in batches_of(rows, rng, "arrays"):
            part = slice(begin, begin + len(tags))
            batches.append(((tags, row_scores[part]), (labels, row_truth[part])))
            begin = part.stop
        labelled = [i for i, label in enumerate(truth) if label >= 0]
        right = [i for i in labelled if guess[i] % 3 == truth[i]]
        both = [i for i in right if sentences[i][0] == sentences[i][1]]
        found = feed(TaggingMetric(JOINT, numbers), batches)
        assert found["sentence_accuracy"] == pytest.approx(len(right) / max(len(labelled), 1))
        assert found["both_right"] == pytest.approx(len(both) / max(len(labelled), 1))


@pytest.mark.parametrize("schema", [SCHEMA, JOINT], ids=["tags", "joint"])
@pytest.mark.parametrize("kind", ["tensors", "bfloat16"])
def test_tags_and_labels_are_all_that_needs_to_be_gathered(schema, kind):
    rng = random.Random(9)
    rows = cut_into_rows(random_sentences(rng, 12), rng)
    metric = TaggingMetric(schema, [row[0] for row in rows])
    whole, shrunk = [], []
    for tags, labels in batches_of(rows, rng, kind):
        answers, truth = tags, torch.as_tensor(labels)
        if schema is JOINT:
            answers = (tags, torch.rand(len(tags), 3))
            truth = (truth, torch.arange(len(tags)) % 3)
        whole.append((answers, truth))
        shrunk.append((metric.shrink(answers, truth), truth))
    for parts, _ in shrunk:
        assert [(part.ndim, part.dtype) for part in parts] == [(2, torch.int64), (1, torch.int64)][: len(parts)]
        assert len(parts) == (2 if schema is JOINT else 1)
    assert feed(metric, shrunk) == feed(metric, whole)


# --- wrong calls ------------------------------------------------------------------------------------------------------


def test_rows_that_do_not_fit_the_split_are_an_error_and_the_next_evaluation_is_clean():
    label = np.array([[1, 2], [0, 0]])
    metric = TaggingMetric(SCHEMA, [0, 1, 2, 3])
    with pytest.raises(ValueError, match="only 2 rows came of the 4"):
        metric(EvalPrediction(label, label), compute_result=True)
    with pytest.raises(ValueError, match="6 rows came, more than the 4"):
        feed(metric, [(label, label)] * 3)
    assert feed(metric, [(label, label)] * 2)["f1"] == 1.0


def test_an_evaluation_that_was_broken_off_can_be_forgotten():
    label = np.array([[1, 2], [0, 0]])
    metric = TaggingMetric(SCHEMA, [0, 1])
    metric(EvalPrediction(label, label * 0), compute_result=False)
    metric.reset()
    assert feed(metric, [(label, label)])["f1"] == 1.0


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((2, 4), int), r"shape \(2, 3\), labels \(2, 4\)"),
        (np.full((2, 3), -100), np.zeros((2, 3), int), "predicted tag id -100 is none of the 5 tags"),
        (np.zeros((2, 3), int), np.full((2, 3), 7), "true tag id 7 is none of the 5 tags"),
    ],
)
def test_shapes_and_ids_that_do_not_fit_are_named(predictions, labels, message):
    with pytest.raises(ValueError, match=message):
        TaggingMetric(SCHEMA, [0, 1])(EvalPrediction(predictions, labels), compute_result=True)


def test_a_joint_schema_wants_both_answers():
    tags = np.zeros((1, 2), int)
    with pytest.raises(ValueError, match="the schema has sentence labels"):
        TaggingMetric(JOINT, [0])(EvalPrediction(tags, (tags, np.zeros(1))), compute_result=True)


# --- in use -----------------------------------------------------------------------------------------------------------


class Parrot(nn.Module):
    """Predicts its input ids; every tenth one wrong."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, input_ids, labels=None):
        return {"loss": self.weight.sum(), "tags": torch.where(input_ids == 3, 0, input_ids)}


def test_trainer_streams_it(tmp_path):
    rng = random.Random(7)
    rows = [torch.tensor([rng.randrange(5) for _ in range(6)]) for _ in range(11)]
    data = [{"input_ids": row, "labels": row} for row in rows]
    args = TrainingArguments(
        str(tmp_path), batch_eval_metrics=True, per_device_eval_batch_size=4, report_to=[], use_cpu=True
    )
    metric = TaggingMetric(SCHEMA, [0, 0, *range(1, 10)])
    trainer = Trainer(Parrot(), args, eval_dataset=data, compute_metrics=metric)
    sentences = [torch.cat(rows[:2]), *rows[2:]]
    expected = expected_scores([(row.tolist(), [0 if i == 3 else i for i in row.tolist()]) for row in sentences])
    for _ in range(2):
        found = trainer.evaluate()
        assert found["eval_f1"] == expected["f1"]
        assert found["eval_accuracy"] == expected["accuracy"]


def test_memory_does_not_grow_with_rows():
    label = np.random.default_rng(0).integers(0, 5, (32, 64))
    number = 60
    metric = TaggingMetric(SCHEMA, np.arange(32 * number))

    def grown(batches):
        tracemalloc.start()
        for _ in range(batches):
            metric(EvalPrediction(label, label), compute_result=False)
        return tracemalloc.get_traced_memory()[0]

    try:
        first, later = grown(10), grown(40)
    finally:
        tracemalloc.stop()
    assert later - first < 10_000  # bytes; one batch of tags has 16 384
