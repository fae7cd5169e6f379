"""The gradient-parity table: every loss and R-Drop, however the batch is cut up, to 1e-12."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import loss_gradient_cases as cases
import pytest
from loss_scale_cases import ratio_and_error
from safetensors.torch import load_file

TOLERANCE = 1e-12
true_gradient = cache(cases.true_gradient)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head", "steps"), cases.ALL)
def test_gradient_is_that_of_the_formula_over_the_whole_batch(name, head, steps):
    _, error = ratio_and_error(cases.step_gradient(name, head, steps), true_gradient(name, head))
    assert error <= TOLERANCE


@pytest.fixture(scope="module")
def two_process_gradients(tmp_path_factory):
    path = tmp_path_factory.mktemp("gradients") / "found.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0"]
    command = [*command, "--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0", cases.__file__, str(path)]
    root = Path(cases.__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head", "steps"), cases.ALL)
def test_gradient_is_that_of_the_formula_on_two_processes(two_process_gradients, name, head, steps):
    prefix = f"{name}/{head}/{steps}/"
    found = {key.removeprefix(prefix): g for key, g in two_process_gradients.items() if key.startswith(prefix)}
    _, error = ratio_and_error(found, true_gradient(name, head))
    assert error <= TOLERANCE
