"""A pickle that would run a command, in a model folder or a checkpoint, runs nothing."""

from __future__ import annotations

import shutil

import pytest
from checkpoint_runs import build_trainer, train
from poison import make_mark, write_poison
from training_models import tiny_bert
from transformers import AutoModelForSequenceClassification

from hf_ext.training.checkpoints.manifest import MANIFEST, write_manifest


@pytest.fixture
def mark(tmp_path):
    return make_mark(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(folder, max_steps=2)
    return folder


@pytest.mark.promise("poisoned pickles")
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"])
@pytest.mark.parametrize("signed", [True, False])
def test_in_a_checkpoint(name, plain, signed, run, mark, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoint-2"
    write_poison(checkpoint / name, mark, plain=plain)
    (checkpoint / MANIFEST).unlink()
    if signed:  # whoever can write the checkpoint can write its manifest
        trainer = build_trainer(tmp_path / "run")
        write_manifest(checkpoint, step=2, run="r", fingerprint=trainer.checkpoints.fingerprint)
    trainer = build_trainer(tmp_path / "run", max_steps=3)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint))
    except Exception:
        assert name != "training_args.bin"
    else:
        assert name == "training_args.bin"  # never read
    assert not mark.exists()


@pytest.mark.parametrize("plain", [True, False])
def test_in_a_model_folder(plain, mark, tmp_path):
    tiny_bert().save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    write_poison(tmp_path / "model" / "pytorch_model.bin", mark, plain=plain)
    write_poison(tmp_path / "model" / "training_args.bin", mark, plain=plain)
    with pytest.raises(Exception, match=r"(?i)weights_only|unsupported|cannot"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert not mark.exists()


def test_what_a_run_leaves_holds_no_pickle_but_torch_s_own(run):
    pickled = {path.name for path in run.rglob("*") if path.suffix in (".bin", ".pkl", ".pickle", ".joblib")}
    assert pickled == set()
    torchs = {path.name for path in run.rglob("*.pt*")}
    assert torchs == {"optimizer.pt", "scheduler.pt", "rng_state.pth"}
