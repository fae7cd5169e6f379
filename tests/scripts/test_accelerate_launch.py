"""The files in examples/accelerate/ are what accelerate reads, and launch the scripts as torchrun does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from reviews import review_rows
from scripts.support import ROOT, read_json, write_csv

FILES = sorted((ROOT / "examples" / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_accelerate_reads_the_file(path):
    config = load_config_from_file(str(path))
    expected = {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "deepspeed_zero2": "DEEPSPEED"}[path.stem]
    assert str(config.distributed_type).rpartition(".")[2] == expected
    assert (config.num_machines, config.num_processes) == (1, 4)


def test_what_the_files_shard():
    sharded = load_config_from_file(str(ROOT / "examples" / "accelerate" / "fsdp2.yaml"))
    assert sharded.fsdp_config["fsdp_version"] == 2
    staged = load_config_from_file(str(ROOT / "examples" / "accelerate" / "deepspeed_zero2.yaml"))
    assert staged.deepspeed_config["zero_stage"] == 2


def test_the_readme_and_the_page_name_every_file():
    for page in ("README.md", "docs/several_processes.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert all(f"examples/accelerate/{path.name}" in text for path in FILES), page


@pytest.mark.slow
def test_two_processes_on_the_cpu_train_and_evaluate(tmp_path):
    write_csv(tmp_path / "train.csv", review_rows(24))
    write_csv(tmp_path / "dev.csv", review_rows(11, offset=900))
    flags = [
        "--train_file",
        "train.csv",
        "--validation_file",
        "dev.csv",
        "--model_type",
        "textcnn",
        "--filter_num",
        "4",
    ]
    flags += [
        "--do_train",
        "--do_eval",
        "--max_steps",
        "3",
        "--use_cpu",
        "--save_strategy",
        "no",
        "--output_dir",
        "out",
    ]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--main_process_port", "0"]
    launcher += ["--config_file", str(ROOT / "examples" / "accelerate" / "ddp.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*launcher, str(ROOT / "run_classification.py"), *flags],
        cwd=tmp_path,
        env={**environment, "HF_DATASETS_CACHE": str(tmp_path / "cache")},
        timeout=400,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 process(es)" in done.stderr
    assert read_json(tmp_path / "out" / "all_results.json")["eval_samples"] == 11
