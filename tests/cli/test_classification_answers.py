"""A prediction fetches answers and half-precision probabilities in input order, scored as all logits would be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification
from transformers.trainer_pt_utils import EvalLoopContainer

from hf_ext.cli.classification_outcome import ask_for_answers, score_answers
from hf_ext.evaluation.answers import Answers
from hf_ext.evaluation.metrics import score
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from hf_ext.training import ExtTrainer, ExtTrainingArguments

KINDS = [(SINGLE_LABEL, 2), (SINGLE_LABEL, 5), (MULTI_LABEL, 3), (REGRESSION, 1)]
COUNT = 23


def build_rows():
    generator = torch.Generator().manual_seed(0)
    return [{"input_ids": torch.randint(1, 30, (2 + i * 5 % 7,), generator=generator).tolist()} for i in range(COUNT)]


def collate(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    tokens = torch.tensor([row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows])
    return {"input_ids": tokens, "attention_mask": (tokens > 0).long()}


def build_trainer(folder, problem_type, width):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=width,
    )
    config.problem_type, config.initializer_range = problem_type, 0.5
    args = ExtTrainingArguments(str(folder), use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=4)
    return ExtTrainer(BertForSequenceClassification(config).double(), args, data_collator=collate)


def row_by_row(trainer):
    with torch.no_grad():
        each = [trainer.model(torch.tensor([row["input_ids"]])).logits for row in build_rows()]
    return torch.cat(each).numpy()


@pytest.mark.parametrize(("problem_type", "width"), KINDS)
def test_answers_stand_in_input_order_and_give_the_figures_of_all_logits(tmp_path, problem_type, width):
    trainer = build_trainer(tmp_path, problem_type, width)
    with ask_for_answers(trainer, problem_type, keep_logits=True):
        found = Answers.from_batches(trainer.predict(build_rows()).predictions)
    logits = row_by_row(trainer)
    expected = Answers.from_logits(logits, problem_type)
    np.testing.assert_allclose(found.decisions, expected.decisions, atol=1e-9)
    if problem_type != REGRESSION:
        np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-3, atol=1e-7)
    known = [i for i in range(COUNT) if i % 4]
    targets = {SINGLE_LABEL: np.arange(COUNT) % width, REGRESSION: np.arange(COUNT) / 7}.get(
        problem_type, (np.arange(COUNT)[:, None] >> np.arange(width)) % 2
    )[known]
    figures = score_answers(found, known, targets, problem_type)
    assert figures == pytest.approx(score(problem_type, logits[known], targets), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("problem_type", "width"), KINDS)
def test_nothing_is_kept_but_what_is_written(tmp_path, monkeypatch, problem_type, width):
    kept = []

    def add(container, values):
        kept.append((container.do_nested_concat, {name: value.dtype for name, value in values.items()}))
        container.tensors = [*(container.tensors or []), values]

    monkeypatch.setattr(EvalLoopContainer, "add", add)
    trainer = build_trainer(tmp_path, problem_type, width)
    with ask_for_answers(trainer, problem_type, keep_logits=False):
        trainer.predict(build_rows())
    assert not any(joined for joined, _ in kept)  # appended
    expected = {
        SINGLE_LABEL: {"probabilities": torch.float16, "decisions": torch.int64, "score": torch.float32},
        MULTI_LABEL: {"probabilities": torch.float16, "decisions": torch.int8},
        REGRESSION: {"decisions": torch.float64},
    }
    assert all(dtypes == expected[problem_type] for _, dtypes in kept)


def test_the_trainer_is_left_as_it_was(tmp_path):
    trainer = build_trainer(tmp_path, SINGLE_LABEL, 3)
    with pytest.raises(RuntimeError), ask_for_answers(trainer, SINGLE_LABEL, keep_logits=False):
        raise RuntimeError
    assert trainer.preprocess_logits_for_metrics is None
    assert trainer.args.eval_do_concat_batches is True
    np.testing.assert_allclose(trainer.predict(build_rows()).predictions, row_by_row(trainer), atol=1e-9)
