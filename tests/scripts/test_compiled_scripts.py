"""``--torch_compile`` in every script: the run ends with the figures of a plain one."""

from __future__ import annotations

import pytest
import torch
from reviews import review_rows
from scripts.ner_files import english as sentences
from scripts.ner_files import write_columns
from scripts.pretraining_files import english as documents
from scripts.pretraining_files import save_tiny_encoder, write_documents
from scripts.support import TRAIN, run_main, write_csv

STEPS = ("--max_steps", "4", "--per_device_train_batch_size", "4", "--seed", "3", "--precision", "fp32")


def classification(folder, encoder):
    train, dev = (write_csv(folder / f"{name}.csv", review_rows(n)) for name, n in (("train", 40), ("dev", 12)))
    return "run_classification.py", ["--train_file", train, "--validation_file", dev, "--pooler", "mean"]


def tagging(folder, encoder):
    train, dev = (write_columns(folder / f"{name}.txt", sentences(n)) for name, n in (("train", 40), ("dev", 12)))
    return "run_ner.py", ["--train_file", train, "--validation_file", dev, "--decoder", "crf"]


def pretraining(folder, encoder):
    train, dev = (write_documents(folder / f"{name}.txt", documents(n)) for name, n in (("train", 40), ("dev", 12)))
    return "run_continue_pretrain.py", ["--train_file", train, "--validation_file", dev, "--packing", "none"]


@pytest.mark.stress
@pytest.mark.parametrize("task", [classification, tagging, pretraining])
def test_a_compiled_run_ends_with_the_loss_of_a_plain_one(task, tmp_path):
    encoder = save_tiny_encoder(tmp_path / "encoder")
    script, flags = task(tmp_path, encoder)
    words = [word for word in TRAIN if word != "--do_predict"]
    losses = []
    for compiles in ([], ["--torch_compile", "--torch_compile_backend", "eager"]):
        torch._dynamo.reset()
        common = ["--model_name_or_path", encoder, "--cache_dir", str(tmp_path / "cache"), *STEPS, *words, *compiles]
        results = run_main(*flags, *common, "--output_dir", str(tmp_path / f"out{len(losses)}"), script=script)
        losses.append(results["eval"]["eval_loss"])
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)  # dropout draws other masks for other lengths
