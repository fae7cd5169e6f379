"""The loss of docs/adding_a_method.md is run as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from hf_ext.cli.parsing import ScriptArgumentParser
from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.losses.item_loss import LossSettings
from hf_ext.training.losses.registry import LOSSES

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_method.md"
WEIGHTS = torch.tensor([1.0, 2.5, 0.3], dtype=torch.float64)


def blocks_of(heading):
    """Give the python blocks of one section."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def printed_loss():
    names = {"__name__": "own_loss"}
    exec(blocks_of("A loss")[0], names)
    yield names["GeneralizedCrossEntropyLoss"]
    LOSSES.pop("generalized", None)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_it_is_the_formula_of_its_docstring(printed_loss, smoothing):
    torch.manual_seed(0)
    logits = torch.randn(4, 5, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (4, 5))
    labels[1, 2:] = -100
    loss = printed_loss(LossSettings(class_weights=WEIGHTS, label_smoothing=smoothing))
    found = loss({"logits": logits}, labels, num_items_in_batch=40)
    expected = torch.zeros((), dtype=torch.float64)
    for scores, label in zip(logits.reshape(-1, 3), labels.reshape(-1), strict=True):
        if label != -100:
            target = torch.full((3,), smoothing / 3, dtype=torch.float64)
            target[label] += 1 - smoothing
            expected = expected + (target * WEIGHTS * (1 - scores.softmax(0) ** 0.7) / 0.7).sum()
    torch.testing.assert_close(found, expected / 40, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (found, expected / 40)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-15)


def test_it_lies_between_cross_entropy_and_the_distance_from_certainty(printed_loss):
    log_probability = torch.linspace(-5, -0.1, 20, dtype=torch.float64)
    near_zero, one = type("NearZero", (printed_loss,), {"q": 1e-9})(), type("One", (printed_loss,), {"q": 1.0})()
    torch.testing.assert_close(near_zero.cost(log_probability), -log_probability, rtol=1e-7, atol=0)
    torch.testing.assert_close(one.cost(log_probability), 1 - log_probability.exp())


def test_it_is_chosen_by_name_and_trained_with(printed_loss, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(blocks_of("A loss")[1], names)
    assert names["args"].loss == "generalized"
    (read,) = ScriptArgumentParser([ExtTrainingArguments]).parse_args_into_dataclasses(
        ["--loss", "generalized", "--output_dir", "out"]
    )
    assert read.loss == "generalized"
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertForSequenceClassification(BertConfig(**sizes, intermediate_size=16, num_labels=3))
    rows = [{"input_ids": [1 + i, 2, 3], "labels": i % 3} for i in range(12)]
    args = ExtTrainingArguments(
        output_dir="out",
        loss="generalized",
        class_weights="balanced",
        max_steps=2,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = ExtTrainer(model, args, train_dataset=rows, eval_dataset=rows)
    assert isinstance(trainer.compute_loss_func, printed_loss)
    trainer.train()
    with torch.no_grad():
        p = model.eval()(input_ids=torch.tensor([row["input_ids"] for row in rows])).logits.softmax(-1)
    right = p[torch.arange(12), torch.arange(12) % 3]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(((1 - right**0.7) / 0.7).mean().item(), rel=1e-5)


def test_the_printed_loss_is_short():
    assert len([line for line in blocks_of("A loss")[0].splitlines() if line.strip()]) <= 20


def test_the_script_with_a_loss_of_ones_own_is_python():
    (code,) = blocks_of("With the script")
    compile(code, "own_script.py", "exec")
    assert "run_classification.main(sys.argv[1:])" in code
