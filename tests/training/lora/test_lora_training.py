"""LoRA in a run: what learns and what stays, the merged model, checkpoints, rates, processes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from average_cases import build_rows, run
from family_models import ours, tagger
from forked_runs import in_two_processes
from lora_cases import NO_DROPOUT, adapt, learning, main
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from training_models import tiny_bert
from transformers import BertForSequenceClassification

from hf_ext.errors import UserError
from hf_ext.models.checkpoint_arguments import CheckpointArguments
from hf_ext.models.pretrained import load_config
from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.lora.merging import ADAPTER_FOLDER, merge_lora, unmerged

ADAPTER_FILES = {"adapter_config.json", "adapter_model.safetensors"}
SAVED = {"save_strategy": "steps", "save_steps": 3}
ROWS = torch.tensor([row["input_ids"] for row in build_rows(4)])


def logits(model, **inputs):
    model.eval()
    with torch.no_grad():
        return model(input_ids=ROWS, **inputs).logits


def test_it_begins_as_the_model_that_was_loaded():
    assert torch.equal(logits(adapt(tiny_bert(**NO_DROPOUT))), logits(tiny_bert(**NO_DROPOUT)))


def test_only_adapters_and_heads_change(tmp_path):
    before = tiny_bert().state_dict()
    model = adapt()
    started = learning(model)
    trainer = run(tmp_path, model=model, save_strategy="no")
    ended = learning(trainer.model)
    assert ended.keys() == started.keys()
    assert all(not torch.equal(ended[name], started[name]) for name in ended)
    kinds = ("lora_A", "lora_B", "bert.pooler.modules_to_save", "classifier.modules_to_save")
    assert all(any(kind in name for kind in kinds) for name in ended)
    base = {
        name.removeprefix("base_model.model.").replace("base_layer.", "").replace("original_module.", ""): weight
        for name, weight in trainer.model.named_parameters()
        if name not in ended
    }
    assert base.keys() == before.keys()
    assert all(torch.equal(base[name], before[name]) for name in base)


def test_the_merged_matrices_are_the_formula_and_the_logits_stay(tmp_path):
    before = tiny_bert().state_dict()
    trainer = run(tmp_path, model=adapt(), save_strategy="no")
    unmerged = logits(trainer.model)
    merge_lora(trainer)
    assert type(trainer.model) is BertForSequenceClassification
    torch.testing.assert_close(logits(trainer.model), unmerged, atol=1e-5, rtol=1e-5)
    adapter = load_file(tmp_path / ADAPTER_FOLDER / "adapter_model.safetensors")
    merged = trainer.model.state_dict()
    assert merged.keys() == before.keys()
    for name, weight in merged.items():
        small = f"base_model.model.{name.removesuffix('.weight')}.lora_"
        if f"{small}A.weight" in adapter:
            added = adapter[f"{small}B.weight"].double() @ adapter[f"{small}A.weight"].double()
            torch.testing.assert_close(weight.double(), before[name].double() + 6 / 2 * added, atol=1e-7, rtol=1e-6)
        elif name.startswith(("classifier", "bert.pooler")):
            assert torch.equal(weight, adapter[f"base_model.model.{name}"])
        else:
            assert torch.equal(weight, before[name])


@pytest.mark.parametrize("build", [tiny_bert, ours, tagger])
def test_peft_loads_the_adapter_on_the_model_that_was_loaded(build, tmp_path):
    model = adapt(build())
    moved = {name: weight + 0.1 * torch.randn_like(weight) for name, weight in learning(model).items()}
    model.load_state_dict(moved, strict=False)
    trainer = ExtTrainer(model, ExtTrainingArguments(output_dir=str(tmp_path), use_cpu=True))
    merge_lora(trainer)
    assert {path.name for path in (tmp_path / ADAPTER_FOLDER).iterdir()} == ADAPTER_FILES
    loaded = PeftModel.from_pretrained(build(), str(tmp_path / ADAPTER_FOLDER))
    found = dict(loaded.named_parameters())
    assert all(torch.equal(found[name], weight) for name, weight in moved.items())
    again = loaded.merge_and_unload().state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in trainer.model.state_dict().items())


def test_a_copy_is_merged_where_the_adapter_is_kept(tmp_path):
    trainer = run(tmp_path, model=adapt(), save_strategy="no")
    kept = merge_lora(trainer, keep=True)
    merged = trainer.model
    with unmerged(trainer, kept) as model:
        assert trainer.model is model is kept
        torch.testing.assert_close(logits(model), logits(merged), atol=1e-5, rtol=1e-5)
    assert trainer.model is merged


def test_a_model_without_an_adapter_is_left_alone(tmp_path):
    trainer = run(tmp_path, save_strategy="no")
    model = trainer.model
    assert merge_lora(trainer) is None
    assert trainer.model is model
    assert not (tmp_path / ADAPTER_FOLDER).exists()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    run(folder, model=adapt(), max_steps=3, **SAVED)
    return str(folder / "checkpoint-3")


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"ema_decay": 0.6}], ids=["plain", "ema"])
def test_a_resumed_run_ends_with_the_same_weights_bit_by_bit(more, tmp_path):
    settings = {**SAVED, **more}
    whole = run(tmp_path / "whole", model=adapt(lora_dropout=0.1), **settings)
    saved = {path.name for path in (tmp_path / "whole" / "checkpoint-3").iterdir()}
    assert saved >= ADAPTER_FILES
    assert "model.safetensors" not in saved
    checkpoint = str(tmp_path / "whole" / "checkpoint-3")
    resumed = run(tmp_path / "cut", model=adapt(lora_dropout=0.1), resume=checkpoint, **settings)
    expected = whole.model.state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in resumed.model.state_dict().items())


def test_the_best_checkpoint_is_loaded_at_the_end(tmp_path):
    scored = {
        "eval_strategy": "steps",
        "eval_steps": 3,
        "metric_for_best_model": "loss",
        "load_best_model_at_end": True,
    }
    trainer = run(tmp_path, model=adapt(), learning_rate=0.5, greater_is_better=True, **SAVED, **scored)
    best = Path(trainer.state.best_model_checkpoint)
    losses = {entry["step"]: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
    assert best.name == f"checkpoint-{max(losses, key=losses.get)}"
    expected = load_file(best / "adapter_model.safetensors")
    found = get_peft_model_state_dict(trainer.model)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"lora_r": 3}, r"another adapter: .*lora_A.weight is \[2, 16\] there and \[3, 16\] here – resume with"),
        ({"lora_target_modules": "query"}, r"lora_A.weight is \[2, 16\] there and missing here"),
        ({"lora_alpha": 2.0}, r"--lora_alpha was 6.0 and is now 2.0 – .* --resume_changed_run goes on"),
        ({"lora_r": None}, r"holds an adapter, and this run has none \(--lora_r\)"),
    ],
    ids=["rank", "layers", "scale", "without"],
)
def test_a_run_with_another_adapter_does_not_go_on(other, words, checkpoint, tmp_path):
    with pytest.raises(UserError, match=words):
        run(tmp_path, model=adapt(**other), resume=checkpoint, **SAVED)


def test_a_run_with_an_adapter_does_not_go_on_from_one_without(tmp_path):
    run(tmp_path / "whole", **SAVED)
    with pytest.raises(UserError, match="holds no adapter, and this run has one"):
        run(tmp_path / "cut", model=adapt(), resume=str(tmp_path / "whole" / "checkpoint-3"), **SAVED)


def test_a_checkpoint_is_no_model_to_load(checkpoint):
    with pytest.raises(ValueError, match="holds an adapter of LoRA alone; name the folder of its run"):
        load_config(CheckpointArguments(model_name_or_path=checkpoint))


@pytest.mark.parametrize("reentrant", [False, None])
def test_activation_checkpointing_changes_nothing(reentrant, tmp_path):
    more = {} if reentrant is None else {"gradient_checkpointing_kwargs": {"use_reentrant": reentrant}}
    plain = run(tmp_path / "plain", model=adapt(lora_dropout=0.1), max_steps=2)
    saving = run(tmp_path / "saving", model=adapt(lora_dropout=0.1), max_steps=2, gradient_checkpointing=True, **more)
    expected = learning(plain.model)
    for name, weight in learning(saving.model).items():
        torch.testing.assert_close(weight, expected[name], atol=1e-6, rtol=1e-6)


# --- rates ------------------------------------------------------------------------------------------------------------


def test_every_weight_that_learns_is_in_one_group_with_the_rate_of_its_layer(tmp_path):
    rates = {"learning_rate": 1e-3, "head_learning_rate": 7e-3, "layerwise_lr_decay": 0.5}
    trainer = run(tmp_path, model=adapt(), max_steps=1, lr_scheduler_type="constant", **rates)
    names = {id(weight): name for name, weight in trainer.model.named_parameters()}
    found = [(names[id(w)], group["lr"]) for group in trainer.optimizer.param_groups for w in group["params"]]
    assert sorted(name for name, _ in found) == sorted(learning(trainer.model))
    for name, rate in found:
        layer = re.search(r"layer\.(\d)\..*lora_", name)
        expected = 7e-3 if "classifier" in name else 1e-3 * 0.5 ** (1 - int(layer[1])) if layer else 1e-3
        assert rate == pytest.approx(expected), name


# --- several processes ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    assert in_two_processes(lambda rank: main(tmp_path)) == [0, 0]
    found = load_file(tmp_path / "found")
    alone = run(tmp_path / "alone", model=adapt(tiny_bert(**NO_DROPOUT)), save_strategy="no")
    for name, weight in alone.model.named_parameters():
        torch.testing.assert_close(found[name], weight.detach(), atol=1e-6, rtol=1e-6)
