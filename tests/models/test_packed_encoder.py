"""Packed encoders: the padded model is the oracle, for every family and every head."""

from __future__ import annotations

import copy

import model_factories
import pytest
import tagger_factories
import torch
from masked_models import FAMILIES, build_masked_model, masked_batch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from hf_ext.models.masked_head import project_masked_only
from hf_ext.models.packed_encoder import PackedLayer, pack_encoder, unpack_encoder

LONGEST = 14
LENGTHS = {
    "mixed": (14, 3, 9, 1, 9, 6),
    "equal": (9, 9, 9),
    "one token": (1, 1),
    "one text": (7,),
    "half empty": (8, 0, 3),
}


def make(family, dtype=torch.float32, **changes):
    """Build a stock classifier whose dropout is off, its weights large enough that attention is not flat."""
    torch.manual_seed(0)
    settings = {**FAMILIES[family], "num_labels": 3, "initializer_range": 0.2, **changes}
    if family == "modernbert":
        settings |= {"local_attention": 8, "layer_types": ["full_attention", "sliding_attention"]}
    if family == "distilbert":
        settings["seq_classif_dropout"] = 0.0
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(family, **settings)).to(dtype).eval()


def make_batch(lengths, *, left=False, total=LONGEST):
    draw = torch.Generator().manual_seed(1)
    lengths = torch.tensor(lengths)[:, None]
    mask = (torch.arange(total) < lengths).long()
    ids = torch.randint(5, 40, mask.shape, generator=draw)
    return {"input_ids": ids * (mask.flip(1) if left else mask), "attention_mask": mask.flip(1) if left else mask}


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def both(model, batch, **options):
    """Run the model padded and packed."""
    expected = model(**batch, **options)
    assert pack_encoder(model)
    return expected, model(**batch, **options)


def gradients(model, batch):
    model.zero_grad()
    model(**batch, labels=torch.arange(len(batch["input_ids"])) % 3).loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("lengths", [name for name in LENGTHS if name != "half empty"])
def test_logits_are_those_of_the_padded_model(family, lengths):
    padded, packed = both(make(family), make_batch(LENGTHS[lengths]))
    torch.testing.assert_close(packed.logits, padded.logits, rtol=0, atol=1e-6)


def test_logits_are_the_same_in_double_precision(family):
    padded, packed = both(make(family, torch.float64), make_batch(LENGTHS["mixed"]))
    torch.testing.assert_close(packed.logits, padded.logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_gradients_are_those_of_the_padded_model(family, dtype, tolerance):
    model, batch = make(family, dtype), make_batch(LENGTHS["mixed"])
    expected = gradients(model, batch)
    assert pack_encoder(model)
    found = gradients(model, batch)
    scale = max(gradient.abs().max() for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name] / scale, gradient / scale, rtol=0, atol=tolerance, msg=name)


def test_hidden_states_of_every_layer_are_those_of_the_padded_model_with_padding_on_the_left(family):
    batch = make_batch(LENGTHS["mixed"], left=True)
    padded, packed = both(make(family).base_model, batch, output_hidden_states=True)
    real = batch["attention_mask"].bool()
    assert len(packed.hidden_states) == len(padded.hidden_states)
    for one, other in zip(packed.hidden_states, padded.hidden_states, strict=True):
        torch.testing.assert_close(one[real], other[real], rtol=0, atol=2e-6)


def test_a_text_without_tokens_leaves_the_others_alone(family):
    model, batch = make(family), make_batch(LENGTHS["half empty"], total=8)
    expected = model(**{name: value[[0, 2]] for name, value in batch.items()}).logits
    assert pack_encoder(model)
    torch.testing.assert_close(model(**batch).logits[[0, 2]], expected, rtol=0, atol=1e-6)
    assert all(gradient.isfinite().all() for gradient in gradients(model, batch).values())


def test_a_batch_of_padding_alone_fails_nowhere(family):
    model = make(family)
    assert pack_encoder(model)
    assert model(**make_batch((0, 0))).logits.isfinite().all()


def test_layers_compute_on_real_tokens_alone(family):
    model, batch = make(family), make_batch(LENGTHS["mixed"])
    assert pack_encoder(model)
    shapes = set()
    layers = [part for part in model.modules() if isinstance(part, PackedLayer)]
    for linear in (part for layer in layers for part in layer.modules() if isinstance(part, nn.Linear)):
        linear.register_forward_hook(lambda module, args, output: shapes.add(output.shape[:-1].numel()))
    model(**batch)
    assert shapes == {sum(LENGTHS["mixed"])}


def test_segments_stay_with_their_tokens():
    batch = make_batch(LENGTHS["mixed"])
    batch["token_type_ids"] = (torch.arange(LONGEST) > 3).long().expand_as(batch["input_ids"])
    padded, packed = both(make("bert"), batch)
    torch.testing.assert_close(packed.logits, padded.logits, rtol=0, atol=1e-6)
    del batch["token_type_ids"]
    assert (make("bert")(**batch).logits - padded.logits).abs().max() > 1e-3


# --- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooler", ["cls", "mean", "textcnn", "lstm"])
def test_our_classifiers_stand_on_a_packed_encoder(pooler):
    model = model_factories.build(model_factories.encoder_config("roberta"), pooler=pooler)
    batch = model_factories.batch(left=True)
    padded, packed = both(model, batch)
    torch.testing.assert_close(packed.logits, padded.logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize("joint", [False, True])
def test_our_taggers_stand_on_a_packed_encoder(joint):
    model = tagger_factories.build(model_factories.encoder_config("bert"), joint=joint, decoder="crf")
    padded, packed = both(model, tagger_factories.batch(joint=joint))
    torch.testing.assert_close(packed.loss, padded.loss, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pairs", [False, True])
def test_masked_words_are_predicted_on_a_packed_encoder(pairs):
    model, batch = build_masked_model("bert", pairs=pairs), masked_batch(pairs=pairs)
    project_masked_only(model)
    padded, packed = both(model.eval(), batch)
    torch.testing.assert_close(packed.loss, padded.loss, rtol=0, atol=1e-6)


def test_adapters_learn_on_a_packed_encoder():
    peft = pytest.importorskip("peft")
    adapters = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"], init_lora_weights=False)
    model, batch = peft.get_peft_model(make("bert"), adapters).eval(), make_batch(LENGTHS["mixed"])
    expected = gradients(model, batch)
    assert pack_encoder(model)
    found = gradients(model, batch)
    assert found.keys() == expected.keys()
    assert any("lora" in name for name in found)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


# --- surroundings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_activations_computed_again_give_the_same_gradients(name, reentrant):
    model, batch = make(name), make_batch(LENGTHS["mixed"])
    assert pack_encoder(model)
    expected = gradients(model, batch)
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    model.train()
    found = gradients(model, batch)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_half_precision_is_as_near_as_it_is_padded(family):
    model, batch = make(family), make_batch(LENGTHS["mixed"])
    exact = model(**batch).logits
    with torch.autocast("cpu", torch.bfloat16):
        padded, packed = both(model, batch)
    spread = (padded.logits - exact).abs().max()
    assert (packed.logits - exact).abs().max() <= 2 * spread + 1e-2


def test_dropout_is_applied():
    model = make("bert", hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
    batch = make_batch(LENGTHS["mixed"])
    assert pack_encoder(model)
    model.train()
    assert not torch.equal(model(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize("name", ["albert", "modernbert"])
def test_what_is_saved_is_the_stock_model(name, tmp_path):
    model = make(name)
    model.save_pretrained(tmp_path / "stock")
    assert pack_encoder(model)
    model.save_pretrained(tmp_path / "packed")
    assert (tmp_path / "stock/config.json").read_text() == (tmp_path / "packed/config.json").read_text()
    assert (tmp_path / "stock/model.safetensors").read_bytes() == (tmp_path / "packed/model.safetensors").read_bytes()
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "packed")
    assert again.config._attn_implementation == "sdpa"


def test_unpacking_gives_the_stock_model_back(family):
    model = make(family)
    classes, config = [type(part) for part in model.modules()], copy.deepcopy(model.config)
    assert pack_encoder(model)
    assert pack_encoder(model)  # once more does nothing
    assert [type(part) for part in model.modules()] != classes
    unpack_encoder(model)
    unpack_encoder(model)
    assert [type(part) for part in model.modules()] == classes
    assert model.config.to_dict() == config.to_dict()
    assert model.config._attn_implementation == config._attn_implementation


def test_a_copy_is_packed_and_has_weights_of_its_own():
    model, batch = make("bert"), make_batch(LENGTHS["mixed"])
    assert pack_encoder(model)
    expected, copied = model(**batch).logits, copy.deepcopy(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    torch.testing.assert_close(copied(**batch).logits, expected)


def test_trying_leaves_mode_random_numbers_and_gradients_as_they_were(family):
    model = make(family).train()
    model.base_model.eval()
    state, hooks = torch.get_rng_state(), [len(part._forward_pre_hooks) for part in model.modules()]
    assert pack_encoder(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert (model.training, model.base_model.training) == (True, False)
    assert [len(part._forward_pre_hooks) for part in model.modules()] == hooks
    assert all(weight.grad is None for weight in model.parameters())


def test_a_model_in_half_precision_is_tried_in_single_precision():
    model = make("bert", torch.bfloat16)
    assert pack_encoder(model)
    assert model.dtype is torch.bfloat16
    assert model(**make_batch(LENGTHS["mixed"])).logits.isfinite().all()


# --- what cannot be packed --------------------------------------------------------------------------------------------


def refuses(model):
    classes = [type(part) for part in model.modules()]
    refused = not pack_encoder(model)
    return refused and [type(part) for part in model.modules()] == classes


@pytest.mark.parametrize("family", ["deberta-v2", "xlnet"])
def test_families_with_attention_of_their_own_are_refused(family):
    assert refuses(model_factories.build(model_factories.encoder_config(family)))


def test_an_encoder_trained_from_scratch_is_refused():
    assert refuses(model_factories.build(model_factories.recurrent_config()))


def test_a_module_that_is_no_model_is_refused():
    assert refuses(nn.Linear(2, 2))
    unpack_encoder(nn.Linear(2, 2))


def test_an_attention_implementation_that_was_asked_for_stays():
    model = make("bert")
    model.set_attn_implementation("eager")
    assert refuses(model)
    assert model.config._attn_implementation == "eager"


def test_a_decoder_is_refused():
    assert refuses(make("bert", is_decoder=True))


def test_a_layer_that_mixes_texts_is_found_out():
    class Leaking(nn.Module):  # every token gets a little of the row's first one
        def forward(self, hidden_states, input_tensor):
            return hidden_states + input_tensor + 1e-3 * input_tensor[:, :1]

    model = make("bert", intermediate_size=16)
    model.bert.encoder.layer[1].output = Leaking()
    assert refuses(model)


def test_an_encoder_that_makes_its_own_mask_is_found_out():
    model = make("bert")
    model.bert._create_attention_masks = lambda **given: (None, None)
    assert refuses(model)
