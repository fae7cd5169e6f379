"""Tiny models and rows that the training tests share."""

from __future__ import annotations

import pytest
import torch
from training_models import tiny_bert

from hf_ext.training import ExtTrainingArguments


@pytest.fixture
def bert():
    return tiny_bert()


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(2)
    return [{"input_ids": torch.randint(1, 40, (6,), generator=generator).tolist(), "labels": i % 3} for i in range(12)]


@pytest.fixture
def arguments(tmp_path):
    def build(**changes):
        settings = {
            "output_dir": str(tmp_path / "out"),
            "use_cpu": True,
            "disable_tqdm": True,
            "max_steps": 2,
            "save_strategy": "no",
        }
        return ExtTrainingArguments(**{**settings, **changes})

    return build
