"""Attacks work with whatever else a run uses: precision, memory, compilation, losses, kinds of model."""

from __future__ import annotations

import adversarial_cases as cases
import pytest
import torch
from adversarial_models import build_model, build_rows, collate, encoder_config
from adversarial_reference import EPSILON, reference_gradient, relative_error
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, BertForMaskedLM

from hf_ext.training import ExtTrainer
from hf_ext.training.adversarial.perturbation import EmbeddingPerturbation

METHODS = ("fgm", "pgd", "freelb", "vat", "awp", "fgm_weight")


@pytest.fixture
def trained(arguments):
    """Train a model for one optimizer step and give its gradient before the step."""

    def run(model, rows, *, compute_loss_func=None, **flags):
        catch = cases.CatchGradient()
        settings = {"max_steps": 1, "max_grad_norm": 0.0, "train_sampling_strategy": "sequential"}
        settings |= {"remove_unused_columns": False, "per_device_train_batch_size": len(rows)}
        args = arguments(**(settings | flags))
        extra = {"compute_loss_func": compute_loss_func, "callbacks": [catch]}
        trainer = ExtTrainer(model, args, collate, train_dataset=rows, **extra)
        trainer.train()
        trainer.caught = catch.gradients
        return trainer

    return run


def attack_flags(method="fgm"):
    settings = {f"adversarial_{name}": value for name, value in cases.METHODS[method].items()}
    return {"adversarial": method, **settings}


# --- memory, compilation, precision -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "awp", "fgm_weight"])
def test_activation_checkpointing_changes_nothing(method, reentrant):
    flags = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": reentrant}}
    found = cases.step_gradient("crf", method, 2, **flags)
    assert cases.error_of(found, "crf", method, 2) <= 1e-12


@pytest.mark.slow
def test_a_compiled_model_is_attacked_too_also_after_evaluation_and_steps_without_attack(arguments):
    torch._dynamo.reset()
    late = {"eval_on_start": True, "adversarial_start": 0.25, "adversarial_every": 2}  # of steps 0 to 3 only step 2
    rows = [row | {"input_ids": (row["input_ids"] * 3)[:6], "present": True} for row in build_rows("stock")]
    weights = []
    for changes in ({}, {"torch_compile": True, "torch_compile_backend": "aot_eager"}, {"adversarial": "none"}):
        settings = {**attack_flags(), **late, "max_steps": 4, "per_device_train_batch_size": 4, "learning_rate": 0.1}
        settings |= {"optim": "sgd", "remove_unused_columns": False, **changes}
        model = build_model("stock", num_hidden_layers=1)
        ExtTrainer(model, arguments(**settings), collate, train_dataset=rows, eval_dataset=rows).train()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    plain, with_compiler, not_attacked = weights
    torch.testing.assert_close(with_compiler, plain, rtol=1e-9, atol=1e-12)
    assert (not_attacked - plain).norm() > 1e-3 * plain.norm()


@pytest.mark.parametrize("method", ["fgm", "freelb", "vat"])
def test_bf16_autocast_points_the_same_way(trained, method):
    rows = build_rows("stock")
    found = []
    for flags in ({}, {"bf16": True}):
        model = build_model("stock", initializer_range=0.02).float()
        torch.manual_seed(0)
        gradients = trained(model, rows, **attack_flags(method), **flags).caught
        found.append(torch.cat([value.flatten() for value in gradients.values()]))
    assert torch.isfinite(found[1]).all()
    assert torch.cosine_similarity(*found, dim=0) > 0.999


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat", "awp", "fgm_weight"])
def test_a_scaled_loss_as_of_fp16_changes_no_direction(monkeypatch, method):
    original = ExtTrainer.training_step
    backward = torch.Tensor.backward
    monkeypatch.setattr(torch.Tensor, "backward", lambda self, *a, **k: backward(self * 2.0**16, *a, **k))
    found = cases.step_gradient("ext", method, 2)
    assert ExtTrainer.training_step is original
    unscaled = {name: value / 2.0**16 for name, value in found.items()}
    assert cases.error_of(unscaled, "ext", method, 2) <= 1e-12


# --- what is trained --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat"])
def test_frozen_embeddings_are_attacked_as_well(monkeypatch, method):
    def frozen(head, **changes):
        model = build_model(head, **changes)
        model.get_input_embeddings().requires_grad_(False)
        return model

    monkeypatch.setattr(cases, "build_model", frozen)
    found = cases.step_gradient("stock", method, 2)
    expected = {n: value for n, value in reference_gradient("stock", method, 2).items() if n in found}
    assert len(expected) + 1 == len(reference_gradient("stock", method, 2))
    assert relative_error(found, expected) <= 1e-12


def test_the_weight_form_cannot_attack_a_frozen_table(trained):
    model = build_model("stock")
    model.get_input_embeddings().requires_grad_(False)
    with pytest.raises(ValueError, match="frozen; use fgm"):
        trained(model, build_rows("stock"), **attack_flags("fgm_weight"))


@pytest.mark.parametrize("checkpointing", [None, False, True], ids=["plain", "non-reentrant", "reentrant"])
@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb"])
def test_lora_learns_what_the_whole_model_would(trained, method, checkpointing):
    from peft import LoraConfig, get_peft_model

    flags = {}
    if checkpointing is not None:
        flags = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": checkpointing}}
    rows, found = build_rows("stock"), []
    for extra in ({}, flags):
        torch.manual_seed(7)
        lora = LoraConfig(task_type="SEQ_CLS", r=2, lora_dropout=0.0, target_modules=["query"], init_lora_weights=False)
        model = get_peft_model(build_model("stock"), lora).double()
        found.append(trained(model, rows, **attack_flags(method), **extra).caught)
    plain = trained(model, rows).caught
    assert relative_error(found[1], found[0]) <= 1e-12
    assert relative_error(plain, found[0]) > 0.05


def masked_lm():
    torch.manual_seed(3)
    return BertForMaskedLM(encoder_config()).double()


def test_a_tied_output_layer_is_not_perturbed(trained, monkeypatch):
    changed = []
    original = EmbeddingPerturbation.__call__

    def spy(self, module, inputs, output):
        changed.append(model.get_output_embeddings().weight.detach().clone())
        return original(self, module, inputs, output)

    model = masked_lm()
    before = model.get_output_embeddings().weight.detach().clone()
    rows = [{"input_ids": row["input_ids"], "labels": row["input_ids"]} for row in build_rows("stock", 4)]
    trained_weight = model.get_input_embeddings().weight
    assert model.get_output_embeddings().weight is trained_weight
    monkeypatch.setattr(EmbeddingPerturbation, "__call__", spy)
    trainer = trained(model, rows, **attack_flags(), learning_rate=0.0)
    assert len(changed) >= 2
    assert all(torch.equal(weight, before) for weight in changed)
    assert trainer.caught["bert.embeddings.word_embeddings.weight"].norm() > 0


def focal(outputs, labels, num_items_in_batch=None):
    each = nn.functional.cross_entropy(outputs.logits, labels, reduction="none")
    total = ((1 - (-each).exp()) ** 2 * each).sum()
    return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "extra", [{"label_smoothing_factor": 0.1}, {"compute_loss_func": focal}], ids=["smooth", "own"]
)
def test_other_losses_give_the_same_gradient_however_the_batch_is_cut(trained, monkeypatch, method, extra):
    from hf_ext.training.adversarial import virtual as virtual_adversarial

    def even(like, mask, size, norm):
        each = torch.arange(1.0, like.shape[-1] + 1).to(like) * mask
        return size * each / each.flatten(1).norm(dim=1)[:, None, None]

    monkeypatch.setattr(virtual_adversarial, "random_perturbation", even)
    rows = [row | {"present": True} for row in build_rows("stock")]
    whole = trained(build_model("stock"), rows, **attack_flags(method), **extra).caught
    # the attacks on weights see one micro-batch, so for them only copies of one micro-batch must agree
    rows = rows if method in ("fgm", "pgd", "freelb", "vat") else rows[:4] * 4
    if method in ("awp", "fgm_weight"):
        whole = trained(build_model("stock"), rows, **attack_flags(method), **extra).caught
    cut = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}
    found = trained(build_model("stock"), rows, **attack_flags(method), **extra, **cut).caught
    assert relative_error(found, whole) <= 1e-9


def test_clipping_acts_on_the_sum_of_all_passes(trained, monkeypatch):
    norms = []
    original = ExtTrainer.log
    monkeypatch.setattr(
        ExtTrainer, "log", lambda self, logs, *a: (norms.append(logs.get("grad_norm")), original(self, logs, *a))
    )
    caught = trained(build_model("stock"), build_rows("stock"), **attack_flags(), max_grad_norm=0.01, logging_steps=1)
    size = torch.cat([value.flatten() for value in caught.caught.values()]).norm()
    whole = torch.cat([value.flatten() for value in reference_gradient("stock", "fgm", 1).values()]).norm()
    assert size.item() == pytest.approx(0.01, rel=1e-3)
    assert norms[0] == pytest.approx(whole.item(), rel=1e-6)


FAMILIES = {
    "albert": {"embedding_size": 8},
    "xlnet": {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "deberta-v2": {"relative_attention": True, "position_buckets": 4, "pos_att_type": ["c2p", "p2c"]},
    "roberta": {},
    "electra": {"embedding_size": 8},
    "longformer": {"attention_window": 4},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_moves_by_epsilon_in_every_family(trained, monkeypatch, family):
    seen = []
    original = EmbeddingPerturbation.__call__

    def spy(self, module, inputs, output):
        found = original(self, module, inputs, output)
        if found is not None:
            change = (found - output).detach()
            seen.append(change.transpose(0, 1) if family == "xlnet" else change)
        return found

    monkeypatch.setattr(EmbeddingPerturbation, "__call__", spy)
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "num_labels": 3, "pad_token_id": 0}
    sizes |= {} if family == "xlnet" else {"max_position_embeddings": 64}
    config = AutoConfig.for_model(family, **(sizes | FAMILIES[family]))
    model = AutoModelForSequenceClassification.from_config(config)
    rows = [row | {"present": True} for row in build_rows("stock", 7)]  # 7 rows of up to 7 tokens: a square batch
    trained(model, rows, **attack_flags())
    assert len(seen) == 2
    lengths = seen[1].flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((7,), EPSILON), rtol=1e-4, atol=0)
    padding = collate(rows)["attention_mask"] == 0
    assert (seen[1][:, : padding.shape[1]][padding] == 0).all()


def test_a_model_that_does_not_read_its_token_table_is_refused(trained):
    class Deaf(type(build_model("stock"))):
        def forward(self, input_ids=None, attention_mask=None, labels=None, **kwargs):
            embedded = nn.functional.embedding(input_ids, self.get_input_embeddings().weight)
            return super().forward(inputs_embeds=embedded, attention_mask=attention_mask, labels=labels)

    model = Deaf(encoder_config()).double()
    with pytest.raises(ValueError, match="does not depend on the token embeddings"):
        trained(model, build_rows("stock"), **attack_flags())
