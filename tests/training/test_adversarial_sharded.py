"""With parameters sharded over 2 processes (FSDP2), fgm and freelb give the gradient of the reference."""

from __future__ import annotations

import adversarial_cases as cases
import fsdp_cases
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    return cases.two_process_gradients(tmp_path_factory.mktemp("sharded") / "found.safetensors", fsdp_cases.main)


@pytest.mark.parametrize(("head", "method", "steps"), fsdp_cases.CASES)
def test_gradient_of_a_sharded_model_equals_the_reference(sharded, head, method, steps):
    assert cases.error_of(sharded[head, method, steps], head, method, 2 * steps) <= 1e-12
