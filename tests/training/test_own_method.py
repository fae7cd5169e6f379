"""The example of docs/adding_a_method.md is run as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from training_models import tiny_bert

from hf_ext.training import ExtTrainer
from hf_ext.training.adversarial.methods import ADVERSARIES
from hf_ext.training.adversarial.perturbation import EmbeddingPerturbation

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_method.md"


def blocks_of(heading):
    """Give the python blocks of one section."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def noise_method():
    method, _ = blocks_of("An adversarial method")
    names = {"__name__": "own_method"}
    exec(method, names)
    yield names["NoiseMethod"]
    ADVERSARIES.pop("noise", None)


def test_the_printed_method_is_chosen_by_name_and_adds_noise_of_norm_epsilon(
    noise_method, arguments, rows, monkeypatch
):
    seen = []
    original = EmbeddingPerturbation.__call__

    def spy(self, module, inputs, output):
        if self.delta is not None:
            seen.append(self.delta.detach())
        return original(self, module, inputs, output)

    monkeypatch.setattr(EmbeddingPerturbation, "__call__", spy)
    args = arguments(adversarial="noise", adversarial_epsilon=0.5, max_steps=1, gradient_accumulation_steps=2)
    trainer = ExtTrainer(tiny_bert(), args, train_dataset=rows)
    assert isinstance(trainer.adversarial.attack, noise_method)
    trainer.train()
    assert len(seen) == 4  # two passes for each of two micro-batches
    for clean, noise in zip(seen[::2], seen[1::2], strict=True):
        assert (clean == 0).all()
        torch.testing.assert_close(noise.flatten(1).norm(dim=1), torch.full((len(noise),), 0.5))
    assert not torch.equal(seen[1][:2], seen[3][:2])


def test_the_page_shows_arguments_that_are_accepted(noise_method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(blocks_of("An adversarial method")[1], names)
    assert names["args"].adversarial == "noise"


def test_the_printed_method_is_short():
    code = blocks_of("An adversarial method")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
