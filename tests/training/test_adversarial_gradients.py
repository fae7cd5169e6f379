"""The gradient of attacked steps equals an independent reference, whatever accumulation, processes and head."""

from __future__ import annotations

import adversarial_cases as cases
import pytest
from adversarial_models import HEADS

TOLERANCE = 1e-12  # relative, in float64


@pytest.mark.parametrize("steps", cases.ACCUMULATIONS)
@pytest.mark.parametrize("method", cases.METHODS)
@pytest.mark.parametrize("head", HEADS)
def test_gradient_equals_the_reference(head, method, steps):
    assert cases.error_of(cases.step_gradient(head, method, steps), head, method, steps) <= TOLERANCE


@pytest.fixture(scope="module")
def on_two_processes(tmp_path_factory):
    return cases.two_process_gradients(tmp_path_factory.mktemp("gradients") / "found.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("steps", cases.ACCUMULATIONS)
@pytest.mark.parametrize("method", cases.METHODS)
@pytest.mark.parametrize("head", HEADS)
def test_gradient_equals_the_reference_on_two_processes(on_two_processes, head, method, steps):
    assert cases.error_of(on_two_processes[head, method, steps], head, method, 2 * steps) <= TOLERANCE


@pytest.mark.parametrize("head", HEADS)
def test_the_usual_snippet_is_right_only_without_accumulation(head):
    assert cases.error_of(cases.step_gradient(head, "usual", 1), head, "usual", 1) <= TOLERANCE
    assert cases.error_of(cases.step_gradient(head, "usual", 4), head, "usual", 4) > 0.05


@pytest.mark.parametrize("head", HEADS)
def test_the_right_loss_scale_does_not_save_the_usual_snippet(head):
    assert cases.error_of(cases.step_gradient(head, "scaled", 4), head, "scaled", 4) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("snippet", cases.SNIPPETS)
@pytest.mark.parametrize("head", HEADS)
def test_the_usual_snippet_is_wrong_on_two_processes_even_without_accumulation(on_two_processes, head, snippet):
    for steps in cases.ACCUMULATIONS:
        assert cases.error_of(on_two_processes[head, snippet, steps], head, snippet, 2 * steps) > 0.03
