"""Run the scripts in this process or as a user would, and write small files."""

from __future__ import annotations

import csv
import importlib
import json
import logging
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import datasets
from forked_runs import in_child, in_processes

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
    """Start the script as a user would, with ``torchrun`` when processes are asked for, under a timeout.

    When: the start itself is what is tested; ``fork_script`` does without the seconds in which torch is imported.
    """
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


def fork_script(*argv: str, cwd: Path, processes: int = 1, script: str = SCRIPT) -> subprocess.CompletedProcess:
    """Run a script with its command line in a forked process, or in several that form a group.

    They begin with what is imported here already. A status other than 0 is that of one that failed.
    """
    importlib.import_module(script.removesuffix(".py"))

    def run(rank: int = 0) -> None:
        os.chdir(cwd)
        os.environ["HF_DATASETS_CACHE"] = datasets.config.HF_DATASETS_CACHE = str(cwd / "cache")
        for name, number in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(place / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
            setattr(sys, name, open(number, "w", buffering=1, encoding="utf-8", closefd=False))  # noqa: SIM115
        for logger in (logging.getLogger(), logging.getLogger("transformers"), logging.getLogger("datasets")):
            # pytest's own handlers keep what is logged for themselves
            logger.handlers = [handler for handler in logger.handlers if type(handler) is logging.StreamHandler]
            for handler in logger.handlers:
                handler.setStream(sys.stderr)
        sys.argv = [script, *map(str, argv)]
        runpy.run_path(str(ROOT / script), run_name="__main__")

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        statuses = in_processes(run, processes) if processes > 1 else [in_child(run)]
        out, err = ((place / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess([script, *argv], max(statuses, key=abs), out, err)


def said(run: subprocess.CompletedProcess, *, status: int = 2) -> str:
    """Expect a mistake, and give the one line that the script said of it."""
    lines = [line for line in run.stderr.splitlines() if line.startswith("hf_ext: error:")]
    assert run.returncode == status, run.stderr[-2000:]
    assert len(lines) == 1, run.stderr[-2000:]
    if status == 2:
        assert "Traceback" not in run.stderr
    return lines[0]
