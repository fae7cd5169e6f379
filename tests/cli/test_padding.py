"""``--pad_to_max_length`` and ``--length_strategy``: one thing, whichever flag says it."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from hf_ext.cli.padding import length_multiple, settle_padding
from hf_ext.errors import UserError


def settled(strategy=None, *, pads=False, sampling="random", **data):
    args = SimpleNamespace(length_strategy=strategy, train_sampling_strategy=sampling)
    data_args = SimpleNamespace(pad_to_max_length=pads, **data)
    settle_padding(args, data_args)
    return args.length_strategy, data_args.pad_to_max_length


def test_either_flag_sets_the_other():
    assert settled() == (None, False)
    assert settled("group") == ("group", False)
    assert settled("pad_max") == ("pad_max", True)
    assert settled("pad_max", pads=True) == ("pad_max", True)
    assert settled(pads=True) == (None, True)


def test_grouping_what_is_padded_anyway_is_pointed_out(caplog):
    with caplog.at_level(logging.WARNING):
        assert settled("group", pads=True) == ("pad_max", True)
    assert "nothing is grouped" in caplog.text


@pytest.mark.parametrize("strategy", ["dynamic", "budget", "pack"])
def test_contradictions_are_refused(strategy):
    with pytest.raises(UserError, match=f"--pad_to_max_length and --length_strategy {strategy} contradict"):
        settled(strategy, pads=True)


def test_packed_rows_are_not_grouped(caplog):
    with pytest.raises(UserError, match="rows are packed to one length already – leave it out, or add --packing none"):
        settled("budget", packing="best_fit")
    for strategy in ("group", "pack"):
        with pytest.raises(UserError, match="rows are packed"):
            settled(strategy, packing="concat")
    with caplog.at_level(logging.WARNING):
        assert settled("group", sampling="group_by_length", packing="best_fit") == (None, False)
    assert "packed to one length" in caplog.text
    assert settled("group", packing="none") == ("group", False)


@pytest.mark.parametrize(
    ("device", "flags", "expected"),
    [
        ("cpu", {}, None),
        ("cpu", {"bf16": True}, None),
        ("cuda", {}, None),
        ("cuda", {"bf16": True}, 8),
        ("cuda", {"fp16": True}, 8),
        ("cpu", {"torch_compile": True}, 8),
    ],
)
def test_lengths_are_rounded_up_for_matrix_units_and_for_the_compiler(device, flags, expected):
    off = {"fp16": False, "bf16": False, "torch_compile": False}
    assert length_multiple(SimpleNamespace(device=SimpleNamespace(type=device), **(off | flags))) == expected
