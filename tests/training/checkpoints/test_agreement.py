"""One process decides; the others get its answer or its error. Real processes: ``make stress``."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hf_ext.errors import UserError
from hf_ext.training.checkpoints import agreement
from hf_ext.training.checkpoints.agreement import decide_together


@pytest.fixture
def wire(monkeypatch):
    """Two processes in turn: what the main one tells is what the other one hears."""
    told = []

    def become(main):
        state = SimpleNamespace(num_processes=2, is_main_process=main)
        monkeypatch.setattr(agreement, "PartialState", lambda: state)

    def broadcast(values):
        if agreement.PartialState().is_main_process:
            told[:] = values
        else:
            values[:] = told

    monkeypatch.setattr(agreement, "broadcast_object_list", broadcast)
    return become


def nobody_asks():
    raise AssertionError


def test_the_others_get_the_answer_without_looking(wire):
    wire(True)
    assert decide_together(lambda: ("checkpoint-4", "run")) == ("checkpoint-4", "run")
    wire(False)
    assert decide_together(nobody_asks) == ("checkpoint-4", "run")


def test_a_mistake_is_raised_everywhere_in_the_same_words(wire):
    def refuse():
        raise UserError("no checkpoint", where="out", fix="name one")

    messages = []
    for main in (True, False):
        wire(main)
        with pytest.raises(UserError) as caught:
            decide_together(refuse if main else nobody_asks)
        messages.append(str(caught.value))
    assert messages == ["out: no checkpoint – name one"] * 2


def test_a_single_process_asks_nobody():
    assert decide_together(lambda: 3) == 3
