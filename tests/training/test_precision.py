"""--precision: what it sets, what auto becomes on a device, what contradicts it."""

from __future__ import annotations

import logging
import types

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from hf_ext.training import ExtTrainer, precision
from hf_ext.training.precision import fastest_precision


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (None, False, False)),
        ({"bf16": True}, (None, True, False)),
        ({"precision": "fp32"}, ("fp32", False, False)),
        ({"precision": "bf16"}, ("bf16", True, False)),
        ({"precision": "bf16", "bf16": True}, ("bf16", True, False)),
    ],
)
def test_it_sets_the_flags_of_transformers(given, expected, arguments):
    args = arguments(use_cpu=True, **given)
    assert (args.precision, args.bf16, args.fp16) == expected


@pytest.mark.parametrize(
    ("flags", "told"), [({"fp16": True}, True), ({"precision": "fp16"}, True), ({"bf16": True}, False)]
)
def test_fp16_on_a_cpu_is_worth_a_line(arguments, flags, told, caplog):
    arguments(**flags)
    assert ("fp16 makes training on a CPU slower" in caplog.text) == told


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": "fp32", "bf16": True}, "--precision fp32 and --bf16 contradict each other"),
        ({"precision": "auto", "fp16": True}, "--precision auto and --fp16 contradict each other"),
        ({"precision": "fp16", "bf16": True}, "--precision fp16 and --bf16 contradict each other"),
        ({"precision": "int8"}, "--precision is auto, fp32, bf16 or fp16, got int8"),
    ],
)
def test_a_contradiction_is_one_line(given, message, arguments):
    with pytest.raises(ValueError, match=message):
        arguments(**given)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, ("bf16", "this CPU has avx512_bf16")),
        ({"amx_bf16": True}, ("bf16", "this CPU has amx_bf16")),
        ({"avx512_f": True, "avx512_bf16": False}, ("fp32", "this CPU has no bf16 instructions")),
        ({}, ("fp32", "this CPU has no bf16 instructions")),
    ],
)
def test_auto_on_a_cpu_goes_by_its_instructions(capabilities, expected, monkeypatch):
    monkeypatch.setattr(precision, "_cpu_capabilities", lambda: capabilities)
    assert fastest_precision(use_cpu=True) == expected


@pytest.mark.parametrize(
    ("device", "supported", "expected"),
    [("cuda", True, "bf16"), ("cuda", False, "fp16"), ("xpu", True, "bf16"), ("mps", True, "fp32")],
)
def test_auto_on_an_accelerator(device, supported, expected, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: types.SimpleNamespace(type=device))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert fastest_precision(use_cpu=False)[0] == expected


def test_a_torch_that_does_not_tell_means_fp32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert fastest_precision(use_cpu=True)[0] == "fp32"


@pytest.mark.parametrize("instruction", ["avx512_bf16", None])
def test_what_auto_has_become_is_logged_and_stays_so_in_a_copy(instruction, arguments, monkeypatch, caplog):
    monkeypatch.setattr(precision, "_cpu_capabilities", lambda: {instruction: True})
    with caplog.at_level(logging.INFO):
        args = arguments(use_cpu=True, precision="auto")
    chosen = "bf16" if instruction else "fp32"
    assert (args.precision, args.bf16) == (chosen, chosen == "bf16")
    assert f"Precision auto: {chosen}, since this CPU has" in caplog.text
    args.__post_init__()
    assert args.precision == chosen


@pytest.mark.parametrize(("asked", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_run_in_the_precision_and_weights_stay_in_float32(asked, dtype, arguments):
    sizes = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertForSequenceClassification(BertConfig(**sizes, intermediate_size=16))
    seen = set()
    model.bert.encoder.layer[0].attention.self.query.register_forward_hook(lambda _, __, out: seen.add(out.dtype))
    rows = [{"input_ids": [1, 2, 3], "labels": i % 2} for i in range(4)]
    args = arguments(use_cpu=True, precision=asked, max_steps=1, report_to=[], save_strategy="no")
    ExtTrainer(model, args, train_dataset=rows).train()
    assert seen == {dtype}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_default_optimizer_is_fused_adamw(arguments, bert, rows):
    optimizer = ExtTrainer(bert, arguments(), train_dataset=rows).create_optimizer()
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.defaults["fused"] is True
