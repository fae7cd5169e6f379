"""The trainer of masked language models: perplexity at each evaluation, no alarm at tied weights."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from hf_ext.models.masked_head import project_masked_only
from hf_ext.training.pretraining import PretrainingTrainer, perplexity

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = BertForMaskedLM(BertConfig(vocab_size=30, max_position_embeddings=8, **SIZES))
    assert project_masked_only(made)
    return made


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(1)
    made = []
    for count in (1, 4, 2):  # labels of the rows: batches of one row have different numbers of them
        labels = torch.full((5,), -100)
        labels[:count] = torch.randint(30, (count,), generator=generator)
        made.append({"input_ids": torch.randint(30, (5,), generator=generator).tolist(), "labels": labels.tolist()})
    return made


def test_perplexity_is_exp_of_the_mean_over_all_masked_tokens(model, rows, arguments):
    trainer = PretrainingTrainer(model=model, args=arguments(per_device_eval_batch_size=1), eval_dataset=rows)
    metrics = trainer.evaluate()
    with torch.no_grad():
        ids = torch.tensor([row["input_ids"] for row in rows])
        scores = model(input_ids=ids).logits.double().log_softmax(-1)
    labels = torch.tensor([row["labels"] for row in rows])
    loss = torch.nn.functional.nll_loss(scores.flatten(0, 1), labels.flatten())
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    assert trainer.state.log_history[-1]["eval_perplexity"] == metrics["eval_perplexity"]


def test_the_best_model_is_the_one_of_the_smallest_perplexity(model, rows, arguments):
    evaluated = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    args = arguments(**evaluated, max_steps=3, metric_for_best_model="perplexity", learning_rate=0.1)
    trainer = PretrainingTrainer(model=model, args=args, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    seen = [line["eval_perplexity"] for line in trainer.state.log_history if "eval_perplexity" in line]
    assert len(seen) == 3
    assert trainer.state.best_metric == min(seen)


def test_resuming_says_nothing_of_tied_weights(model, rows, arguments, caplog):
    args = arguments(save_strategy="steps", save_steps=1)
    PretrainingTrainer(model=model, args=args, train_dataset=rows).train()
    PretrainingTrainer(model=model, args=args, train_dataset=rows).train(
        resume_from_checkpoint=f"{args.output_dir}/checkpoint-1"
    )
    assert "missing keys" not in caplog.text


def test_the_perplexity_of_a_hopeless_loss_is_infinite():
    assert perplexity(0.0) == 1.0
    assert perplexity(1000.0) == math.inf
