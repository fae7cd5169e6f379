"""Rows in batches of similar length, answers in the order of the rows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from hf_ext.inference.engine import PRECISIONS, Engine, choose_precision, to_numpy


class Echo(nn.Module):
    """Give the ids back, and note the shapes that came."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.layer.weight)
        self.shapes, self.dtypes = [], []

    def forward(self, input_ids):
        self.shapes.append(tuple(input_ids.shape))
        scores = self.layer(input_ids.unsqueeze(-1).float())
        self.dtypes.append(scores.dtype)
        return SimpleNamespace(scores=scores.squeeze(-1), first=input_ids[:, 0])


def collate(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    return {"input_ids": torch.tensor([row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows])}


def run(engine, rows):
    return engine.run(rows, collate, lambda output: (output.scores, output.first))


def rows_of(lengths):
    return [{"input_ids": [i + 1] * length} for i, length in enumerate(lengths)]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_answers_stand_in_the_order_of_the_rows(batch_size):
    lengths = [3, 1, 7, 2, 7, 5]
    engine = Engine(Echo(), torch.device("cpu"), batch_size=batch_size)
    for i, (scores, first) in enumerate(run(engine, rows_of(lengths))):
        assert scores[: lengths[i]].tolist() == [i + 1] * lengths[i]
        assert first == i + 1


def test_the_longest_rows_come_first_and_batches_are_alike():
    engine = Engine(Echo(), torch.device("cpu"), batch_size=2)
    run(engine, rows_of([3, 1, 7, 2, 7, 5]))
    assert engine.model.shapes == [(2, 7), (2, 5), (2, 2)]


def test_no_row_gives_no_answer_and_no_batch_size_is_refused():
    assert run(Engine(Echo(), torch.device("cpu")), []) == []
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Engine(Echo(), torch.device("cpu"), batch_size=0)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_precision_computes_and_weights_stay(precision, dtype):
    engine = Engine(Echo(), torch.device("cpu"), precision=precision)
    (scores, _), *_ = run(engine, rows_of([2]))
    assert engine.model.dtypes == [dtype]
    assert (engine.model.layer.weight.dtype, scores.dtype) == (torch.float32, np.float32)


def test_auto_is_one_of_the_others_and_nonsense_is_refused():
    assert choose_precision("auto", torch.device("cpu")) in PRECISIONS[:3]
    assert choose_precision("fp16", torch.device("cpu")) == "fp16"
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16, fp16, auto, got 'int8'"):
        choose_precision("int8", torch.device("cpu"))


def test_whole_numbers_stay_whole():
    assert to_numpy(torch.tensor([1, 2])).dtype == np.int64
    assert to_numpy(torch.tensor([1.0], dtype=torch.bfloat16)).dtype == np.float32
