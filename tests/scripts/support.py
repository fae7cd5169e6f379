"""Run the scripts in this process or as a user would, and write small files."""

from __future__ import annotations

import csv
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "run_classification.py"
TRAIN = ("--do_train", "--do_eval", "--do_predict", "--use_cpu", "--disable_tqdm", "true", "--save_strategy", "no")
TRAIN += ("--write_report", "false")  # the pictures have tests of their own


def write_csv(path: Path, rows: list[dict[str, str]], columns: list[str] | None = None) -> str:
    """Write the named columns of the rows, with a header line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def read_csv(path: Path, *, encoding: str = "utf-8") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def run_main(*argv: str, script: str = SCRIPT) -> dict:
    """Call a script's ``main`` in this process."""
    return importlib.import_module(script.removesuffix(".py")).main([str(word) for word in argv])


def run_script(
    *argv: str, cwd: Path, processes: int = 0, timeout: int = 240, script: str = SCRIPT
) -> subprocess.CompletedProcess:
    """Start the script as a user would, with ``torchrun`` when processes are asked for, under a timeout."""
    launcher = [sys.executable]
    if processes:
        launcher += ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--master_port=0"]
        launcher += ["--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(cwd / "cache"),
    }
    return subprocess.run(
        [*launcher, str(ROOT / script), *map(str, argv)],
        cwd=cwd,
        env=environment,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
