"""The gradient-parity table: every loss and R-Drop, however the batch is cut up, to 1e-12."""

from __future__ import annotations

from functools import cache

import loss_gradient_cases as cases
import pytest
from forked_runs import succeed_in_two_processes
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
    succeed_in_two_processes(cases.main, path)
    return load_file(path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head", "steps"), cases.ALL)
def test_gradient_is_that_of_the_formula_on_two_processes(two_process_gradients, name, head, steps):
    prefix = f"{name}/{head}/{steps}/"
    found = {key.removeprefix(prefix): g for key, g in two_process_gradients.items() if key.startswith(prefix)}
    _, error = ratio_and_error(found, true_gradient(name, head))
    assert error <= TOLERANCE
