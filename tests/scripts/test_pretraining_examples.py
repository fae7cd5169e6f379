"""Every YAML file in examples/ for run_continue_pretrain.py runs, on a few texts of the form that its own data has."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from scripts.pretraining_files import chinese, save_tiny_encoder, write_documents
from scripts.support import ROOT, read_json, run_main

from hf_ext.cli import pretraining_building

EXAMPLES = sorted((ROOT / "examples").glob("pretrain_*.yaml"))
TINY = "hidden_size=16,num_hidden_layers=1,num_attention_heads=2,intermediate_size=32"


def flags_for(settings: dict, folder: Path) -> list[str]:
    """Write the text that an example names and give the flags that point it there, at a small model."""
    flags = []
    if "train_file" in settings:
        count = len(settings["train_file"].split(","))
        files = [write_documents(folder / f"{i}.txt", chinese(30, offset=40 * i)) for i in range(count)]
        flags += ["--train_file", ",".join(files)]
    if "model_name_or_path" in settings:
        flags += ["--model_name_or_path", save_tiny_encoder(folder / "encoder"), "--max_seq_length", "48"]
    if "tokenizer_name" in settings:
        flags += ["--tokenizer_name", save_tiny_encoder(folder / "encoder")]
    if "config_overrides" in settings:
        flags += ["--config_overrides", TINY]
    return flags


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(path, tmp_path, monkeypatch):
    def tiny_demo(folder: Path) -> Path:
        (tmp_path / "demo.txt").write_text("\n".join(chinese(60)), encoding="utf-8")
        return tmp_path / "demo.txt"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretraining_building, "prepare_pretraining_demo", tiny_demo)
    monkeypatch.setattr(pretraining_building, "DEMO_SIZES", TINY)
    flags = flags_for(yaml.safe_load(path.read_text(encoding="utf-8")), tmp_path)
    where = ("--cache_dir", tmp_path / "cache", "--output_dir", tmp_path / "out")
    quick = ("--max_steps", "2", "--use_cpu", "--disable_tqdm", "true")
    run_main(path, *flags, *where, *quick, script="run_continue_pretrain.py")
    results = read_json(tmp_path / "out" / "all_results.json")
    assert math.isfinite(results["eval_perplexity"])
    assert results["train_utilisation"] > 0.5
