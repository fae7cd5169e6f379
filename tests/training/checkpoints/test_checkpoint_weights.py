"""Resuming needs every weight of the model, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_runs import build_trainer, train
from safetensors.torch import load_file, save_file

from hf_ext.errors import UserError
from hf_ext.training.checkpoints.manifest import read_manifest, write_manifest

NAME = "classifier.weight"


@pytest.fixture
def checkpoint(tmp_path):
    train(tmp_path, max_steps=2)
    return tmp_path / "checkpoint-2"


def rewrite(checkpoint: Path, change) -> None:
    """Change the weights of a checkpoint as another program would write them."""
    manifest, path = read_manifest(checkpoint), checkpoint / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})
    write_manifest(checkpoint, step=manifest.step, run=manifest.run, fingerprint=manifest.fingerprint)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop(NAME), f"the checkpoint lacks: {NAME} – resume with the model"),
        (lambda weights: [weights.pop(name) for name in list(weights)[:3]], "lacks: .* and 2 more"),
        (lambda weights: weights.update(other=weights[NAME].clone()), "weights that this model has not: other"),
    ],
)
def test_missing_and_unexpected_weights_are_errors(change, words, checkpoint, tmp_path):
    rewrite(checkpoint, change)
    with pytest.raises(UserError, match=words):
        build_trainer(tmp_path, max_steps=3).train(resume_from_checkpoint="last")
