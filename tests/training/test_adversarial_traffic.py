"""Attacks exchange as many bytes between processes as plain training, the usual snippet twice as many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_only_the_last_pass_exchanges_gradients(tmp_path):
    path = tmp_path / "traffic.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "adversarial.py"), "--only", "traffic", "--output", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(path.read_text(encoding="utf-8"))["traffic"]
    assert found.pop("usual snippet") == 2.0
    assert set(found.values()) == {1.0}
