"""ExtForSequenceClassification: families, losses, saving, memory, kernels, columns."""

from __future__ import annotations

import copy

import pytest
import torch
from model_factories import (
    COLUMNS,
    FAMILIES,
    VOCAB_SIZE,
    batch,
    build,
    encoder_config,
    poison,
    recurrent_config,
    task,
)
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForSequenceClassification

from hf_ext.models.fusion import FUSIONS
from hf_ext.models.poolers import POOLERS
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL, CategoricalColumn, TabularSchema
from hf_ext.models.sequence_classification import ExtForSequenceClassification, classification_loss

# XLNet learns these only from permuted targets and second segments, which a classifier does not feed.
NEVER_USED = {"xlnet": ("mask_emb", "r_s_bias", "seg_embed")}
ENCODERS = {family: (lambda family=family: encoder_config(family)) for family in FAMILIES} | {
    "scratch": recurrent_config,
    "scratch_gru": lambda: recurrent_config(rnn="gru"),
}
LABELS = torch.tensor([0, 2, 1, 0])


def gradients(model: ExtForSequenceClassification, inputs: dict[str, Tensor], **more: object) -> dict[str, Tensor]:
    model.zero_grad()
    model(**inputs, **more).loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_weight_in_use_gets_a_finite_gradient(encoder):
    flags = {"pooler": "attention", "classifier_hidden_sizes": "8", "ngram_sizes": "1,2", "ngram_buckets": 7}
    model = build(ENCODERS[encoder](), task(columns=COLUMNS), **flags).train()
    output = model(**batch(columns=COLUMNS), labels=LABELS)
    assert output.logits.shape == (4, 3)
    output.loss.backward()
    unused = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert all(name.endswith(NEVER_USED.get(encoder, ())) for name in unused)
    assert len(unused) == (0 if encoder not in NEVER_USED else 5)
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_and_loaded_logits_are_bitwise_equal(encoder, dtype, tmp_path):
    built = build(ENCODERS[encoder](), task(columns=COLUMNS), pooler="mean", ngram_sizes="1,2", ngram_buckets=7)
    torch.nn.init.normal_(built.wide.table.weight)  # as after some training; a fresh table says nothing
    built.save_pretrained(tmp_path / "float32")
    inputs = batch(columns=COLUMNS)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "float32", dtype=dtype)
    model.save_pretrained(tmp_path / "again")
    poison()
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again", dtype=dtype)
    assert type(loaded) is ExtForSequenceClassification
    assert {weight.dtype for weight in loaded.encoder.parameters()} == {dtype}
    assert torch.equal(model(**inputs).logits, loaded(**inputs).logits)
    assert loaded(**inputs).logits.dtype == torch.float32


@pytest.mark.parametrize("stock", [False, True])
def test_loaded_weights_are_aligned_so_that_wide_layers_round_the_same(stock, tmp_path):
    if stock:  # what a plain load does, so that the check can fail
        model = AutoModelForSequenceClassification.from_config(encoder_config("bert"))
    else:
        model = build(recurrent_config(rnn="lstm", embedding_size=200, rnn_hidden_size=256), pooler="max")
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    aligned = all(weight.data_ptr() % 64 == 0 for weight in loaded.parameters())
    assert aligned is not stock
    if not stock:
        for seed in range(5):
            assert torch.equal(model(**batch(seed=seed)).logits, loaded(**batch(seed=seed)).logits)


@pytest.mark.parametrize("pooler", POOLERS)
@pytest.mark.parametrize("category_embedding", ["one_hot", "learned"])
def test_head_over_poisoned_memory_is_finite_and_its_statistics_are_right(pooler, category_embedding, tmp_path):
    build(encoder_config("bert")).encoder.save_pretrained(tmp_path)
    fresh = build(
        encoder_config("bert"),
        task(columns=COLUMNS),
        pooler=pooler,
        fusion="gated",
        category_embedding=category_embedding,
        classifier_hidden_sizes="8",
    )
    poison()
    loaded, info = ExtForSequenceClassification.from_pretrained(
        tmp_path, config=copy.deepcopy(fresh.config), output_loading_info=True
    )
    assert any(name.startswith("tabular.") for name in info["missing_keys"])
    for name, tensor in {**dict(loaded.named_parameters()), **dict(loaded.named_buffers())}.items():
        assert tensor.isfinite().all(), name
        assert tensor.abs().max() < 100, name
    assert loaded.tabular.numeric_mean.tolist() == [12.0, 40.0]
    assert loaded.tabular.numeric_std.tolist() == [3.0, 10.0]
    if category_embedding == "learned":
        assert all(table.weight[0].abs().max() == 0 for table in loaded.tabular.embeddings)
    assert loaded(**batch(columns=COLUMNS)).logits.isfinite().all()


def test_table_block_stays_in_float32_when_the_model_is_bfloat16(tmp_path):
    build(
        encoder_config("bert"), task(columns=COLUMNS), category_embedding="learned", fusion="attention"
    ).save_pretrained(tmp_path)
    loaded = ExtForSequenceClassification.from_pretrained(tmp_path, dtype="bfloat16")
    of_table = {tensor.dtype for tensor in [*loaded.tabular.parameters(), *loaded.tabular.buffers()]}
    assert of_table == {torch.float32}
    assert {weight.dtype for weight in loaded.encoder.parameters()} == {torch.bfloat16}
    assert loaded(**batch(columns=COLUMNS)).logits.isfinite().all()


def test_single_label_loss_is_cross_entropy_over_the_labelled_rows():
    logits, labels = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, -100, 2, 1, -100])
    expected = -sum(logits[i].log_softmax(-1)[labels[i]] for i in (0, 2, 3))
    torch.testing.assert_close(classification_loss(logits, labels, SINGLE_LABEL), expected / 3)
    torch.testing.assert_close(classification_loss(logits, labels, SINGLE_LABEL, 7), expected / 7)


def test_multi_label_loss_counts_every_label_of_every_row():
    logits = torch.randn(2, 3, dtype=torch.float64)
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, -100.0, -100.0]])
    p = logits.sigmoid()
    expected = -(p[0, 0].log() + (1 - p[0, 1]).log() + p[0, 2].log() + (1 - p[1, 0]).log())
    torch.testing.assert_close(classification_loss(logits, labels, MULTI_LABEL), expected / 4)
    torch.testing.assert_close(classification_loss(logits, labels, MULTI_LABEL, torch.tensor(9)), expected / 9)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_regression_loss_is_the_mean_squared_error_whatever_the_shape_of_the_targets(shape):
    logits = torch.tensor([[1.0], [2.0], [5.0]])
    labels = torch.tensor([0.0, 4.0, -100.0]).reshape(shape)
    assert classification_loss(logits, labels, REGRESSION).item() == (1 + 4) / 2
    assert classification_loss(logits, labels, REGRESSION, 5).item() == 1.0


def test_batch_without_any_label_has_loss_zero_and_zero_gradient():
    model = build(recurrent_config())
    found = gradients(model, batch(), labels=torch.full((4,), -100))
    assert all(gradient.abs().max() == 0 for gradient in found.values())


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL, REGRESSION])
def test_micro_batches_divided_by_the_whole_count_add_up_to_the_whole_batch(problem_type):
    model = build(encoder_config("bert"), task(problem_type=problem_type, columns=COLUMNS), pooler="mean").double()
    inputs = batch(8, columns=COLUMNS)
    labels = {
        SINGLE_LABEL: torch.tensor([0, 1, 2, -100, 1, 1, 0, 2]),
        MULTI_LABEL: torch.randint(0, 2, (8, 3)).double(),
        REGRESSION: torch.randn(8, dtype=torch.float64),
    }[problem_type]
    whole = gradients(model, inputs, labels=labels)
    assert model.accepts_loss_kwargs
    count = (labels != -100).sum()
    summed: dict[str, Tensor] = {}
    for rows in (slice(0, 1), slice(1, 4), slice(4, 8)):
        part = {name: tensor[rows] for name, tensor in inputs.items()}
        for name, gradient in gradients(model, part, labels=labels[rows], num_items_in_batch=count).items():
            summed[name] = summed.get(name, 0) + gradient
    for name, gradient in whole.items():
        torch.testing.assert_close(summed[name], gradient, rtol=0, atol=1e-12)


def test_double_count_halves_the_loss():
    model, inputs = build(recurrent_config()), batch()
    once = model(**inputs, labels=LABELS, num_items_in_batch=4).loss
    assert torch.equal(once / 2, model(**inputs, labels=LABELS, num_items_in_batch=8).loss)


@pytest.mark.parametrize(
    "encoder", ["bert", "roberta", "distilbert", "electra", "modernbert", "deberta-v2", "scratch_gru"]
)
def test_activation_checkpointing_leaves_the_gradient_alone(encoder):
    model = build(ENCODERS[encoder](), task(columns=COLUMNS), pooler="textcnn").train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    inputs = batch(columns=COLUMNS)
    plain = gradients(model, inputs, labels=LABELS)
    model.gradient_checkpointing_enable()
    assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    checkpointed = gradients(model, inputs, labels=LABELS)
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, rtol=0, atol=1e-7)


@pytest.mark.parametrize("family", ["xlnet", "albert"])
def test_activation_checkpointing_is_refused_where_transformers_has_none(family):
    with pytest.raises(ValueError, match=r"does not support (activation|gradient) checkpointing"):
        build(encoder_config(family)).gradient_checkpointing_enable()


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "pooler"), [("bert", "textcnn"), ("scratch", "attention")])
def test_compiled_model_gives_the_same_logits(encoder, pooler):
    config = ENCODERS[encoder]()
    config.num_hidden_layers = 1
    model = build(config, task(columns=COLUMNS), pooler=pooler, fusion="gated", ngram_sizes="1,2", ngram_buckets=7)
    torch.nn.init.normal_(model.wide.table.weight)
    inputs = batch(columns=COLUMNS)
    expected = model(**inputs).logits
    compiled = torch.compile(model, backend="aot_eager")
    torch.testing.assert_close(compiled(**inputs).logits, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooler", POOLERS)
def test_bfloat16_autocast_trains_with_finite_gradients(pooler):
    model = build(encoder_config("bert"), task(columns=COLUMNS), pooler=pooler, fusion="attention").train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**batch(columns=COLUMNS), labels=LABELS)
    assert output.logits.dtype == torch.float32
    output.loss.backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "modernbert", "albert"])
def test_eager_and_sdpa_attention_agree(family, tmp_path):
    build(encoder_config(family), pooler="mean").save_pretrained(tmp_path)
    logits = {}
    for kernel in ("eager", "sdpa"):
        model = ExtForSequenceClassification.from_pretrained(tmp_path, attn_implementation=kernel)
        assert model.encoder.config._attn_implementation == kernel
        logits[kernel] = model(**batch()).logits
    torch.testing.assert_close(logits["eager"], logits["sdpa"], rtol=0, atol=1e-6)


def test_kernel_that_the_encoder_lacks_is_refused_before_loading(tmp_path):
    build(encoder_config("xlnet")).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="does not support an attention implementation"):
        ExtForSequenceClassification.from_pretrained(tmp_path, attn_implementation="sdpa")


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("category_embedding", ["one_hot", "learned"])
def test_columns_matter_with_every_fusion_and_a_missing_number_is_the_mean(fusion, category_embedding):
    # has_missing off, so that a missing cell leaves no trace but its value
    columns = TabularSchema(COLUMNS.categorical, COLUMNS.numeric[1:])
    model = build(
        encoder_config("bert"), task(columns=columns), fusion=fusion, category_embedding=category_embedding
    ).double()
    inputs = batch(columns=columns)
    logits = model(**inputs).logits
    assert logits.isfinite().all()
    mean = {**inputs, "numeric_values": inputs["numeric_values"].nan_to_num(nan=40.0)}
    torch.testing.assert_close(model(**mean).logits, logits)
    for name in ("category_ids", "numeric_values"):
        changed = {**inputs, name: inputs[name].flip(0).clone()}
        assert not torch.allclose(model(**changed).logits, logits)


def test_numbers_alone_and_categories_alone_are_enough():
    for columns in (TabularSchema(numeric=COLUMNS.numeric), TabularSchema(categorical=COLUMNS.categorical)):
        model = build(recurrent_config(), task(columns=columns), pooler="max")
        inputs = batch(columns=COLUMNS)
        del inputs["category_ids" if columns.numeric else "numeric_values"]
        assert model(**inputs).logits.isfinite().all()


def test_column_of_only_unseen_categories_still_trains():
    columns = TabularSchema(categorical=(*COLUMNS.categorical, CategoricalColumn("shop", ())))
    model = build(recurrent_config(), task(columns=columns), pooler="max")
    inputs = batch()
    loss = model(**inputs, category_ids=torch.zeros(4, 3, dtype=torch.long), labels=LABELS).loss
    loss.backward()
    assert loss.isfinite()


def test_missing_or_stray_columns_are_refused():
    with pytest.raises(ValueError, match="built with 2 columns of category_ids"):
        build(recurrent_config(), task(columns=COLUMNS))(**batch())
    with pytest.raises(ValueError, match="this model has no table columns"):
        build(recurrent_config())(**batch(columns=COLUMNS))


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("pooler", POOLERS)
def test_more_padding_changes_nothing(pooler, left):
    model = build(encoder_config("xlnet"), pooler=pooler)  # relative positions, so that the left side is possible
    inputs = batch(left=left)
    wider = {
        name: functional.pad(tensor, (3, 0) if left else (0, 3), value=5 if name == "input_ids" else 0)
        for name, tensor in inputs.items()
    }
    torch.testing.assert_close(model(**wider).logits, model(**inputs).logits, rtol=0, atol=1e-6)


def test_mask_is_read_off_the_padding_id_when_it_is_missing():
    model = build(encoder_config("roberta"), pooler="mean")  # its padding id is 1
    inputs = batch()
    inputs["input_ids"] = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, 1)
    expected = model(**inputs).logits
    torch.testing.assert_close(model(input_ids=inputs["input_ids"]).logits, expected)


def test_embedded_tokens_give_the_logits_of_their_ids():
    model, inputs = build(encoder_config("bert"), pooler="mean"), batch()
    vectors = model.get_input_embeddings()(inputs["input_ids"])
    embedded = model(inputs_embeds=vectors, attention_mask=inputs["attention_mask"]).logits
    torch.testing.assert_close(embedded, model(**inputs).logits)
    everything_real = torch.ones_like(inputs["attention_mask"])
    expected = model(inputs_embeds=vectors, attention_mask=everything_real).logits
    torch.testing.assert_close(model(inputs_embeds=vectors).logits, expected)
    with pytest.raises(ValueError, match="needs input_ids or inputs_embeds"):
        model()


def test_segments_reach_the_encoders_that_know_them_and_no_others():
    for encoder, heard in (("bert", True), ("xlnet", True), ("modernbert", False), ("scratch", False)):
        model, inputs = build(ENCODERS[encoder](), pooler="mean"), batch()
        segments = torch.arange(9).expand(4, 9) // 5
        same = torch.equal(model(**inputs, token_type_ids=segments).logits, model(**inputs).logits)
        assert same is not heard


def test_hidden_states_and_attentions_come_on_request(tmp_path):
    build(encoder_config("bert")).save_pretrained(tmp_path)
    model = ExtForSequenceClassification.from_pretrained(tmp_path, attn_implementation="eager")
    output = model(**batch(), output_hidden_states=True, output_attentions=True)
    assert [tuple(states.shape) for states in output.hidden_states] == [(4, 9, 16)] * 3
    assert [tuple(weights.shape) for weights in output.attentions] == [(4, 2, 9, 9)] * 2
    assert list(model(**batch())) == ["logits"]
    assert isinstance(model(**batch(), return_dict=False), tuple)


def test_resized_vocabulary_is_found_again_after_saving(tmp_path):
    for name, config in (("bert", encoder_config("bert")), ("scratch", recurrent_config())):
        model, inputs = build(config, pooler="mean"), batch()
        before = model(**inputs).logits
        model.resize_token_embeddings(VOCAB_SIZE + 5)
        assert model.encoder.config.vocab_size == VOCAB_SIZE + 5
        torch.testing.assert_close(model(**inputs).logits, before)
        inputs["input_ids"][0, 1] = VOCAB_SIZE + 4
        model.save_pretrained(tmp_path / name)
        loaded = ExtForSequenceClassification.from_pretrained(tmp_path / name)
        assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)


def test_hidden_layers_of_the_classifier_have_the_asked_sizes():
    layers = build(recurrent_config(), pooler="mean", classifier_hidden_sizes="8,5").output_layers
    linear = [(layer.in_features, layer.out_features) for layer in layers if isinstance(layer, torch.nn.Linear)]
    assert linear == [(12, 8), (8, 5), (5, 3)]
    assert [type(layer).__name__ for layer in layers[:3]] == ["Dropout", "GlorotLinear", "ReLU"]


def test_encoder_is_built_without_its_pooling_layer_and_in_the_dtype_of_the_head():
    config = encoder_config("bert")
    config.dtype = torch.bfloat16  # as a checkpoint saved in bfloat16 says
    model = build(config)
    assert model.encoder.pooler is None
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_unknown_names_are_answered_with_the_legal_ones():
    with pytest.raises(ValueError, match="unknown pooler 'sum'; choose one of cls, mean, max"):
        build(recurrent_config(), pooler="sum")
    with pytest.raises(ValueError, match="unknown fusion 'add'; choose one of concat, gated, attention"):
        build(recurrent_config(), task(columns=COLUMNS), fusion="add")


def test_encoder_decoder_is_refused():
    from transformers import T5Config

    with pytest.raises(ValueError, match="t5 is an encoder-decoder"):
        build(T5Config(vocab_size=10, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
