"""NgramLogits: a linear model over hashed n-grams, alone and beside a deep part."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_factories import COLUMNS, batch, build, encoder_config, poison, recurrent_config, task
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForSequenceClassification

from hf_ext.models.configuration import ExtConfig
from hf_ext.models.schema import MULTI_LABEL, REGRESSION
from hf_ext.models.sequence_classification import ExtForSequenceClassification
from hf_ext.models.wide import (
    HASH_MODULUS,
    HASH_MULTIPLIER,
    SCALE,
    NgramLogits,
    NgramTable,
    init_weights,
    ngram_buckets,
)

TEXTS = [[5, 9, 5, 2], [7], [3, 3, 3, 3, 3, 8], [11, 5, 9], []]
WIDE = {"ngram_sizes": "1,2", "ngram_buckets": 23}


def padded(texts: list[list[int]], *, side: str = "right", width: int | None = None, fill: int = 0) -> list[Tensor]:
    width = width or max(1, *map(len, texts))
    rows, masks = [], []
    for text in texts:
        pad, zeros, ones = [fill] * (width - len(text)), [0] * (width - len(text)), [1] * len(text)
        rows.append(text + pad if side == "right" else pad + text)
        masks.append(ones + zeros if side == "right" else zeros + ones)
    return [torch.tensor(rows), torch.tensor(masks)]


def make(sizes: tuple[int, ...] = (1, 2, 3), *, num_buckets: int = 17, num_labels: int = 3) -> NgramLogits:
    """Build a term whose rows are not zero, as after some training."""
    wide = NgramLogits(sizes=sizes, num_buckets=num_buckets, num_labels=num_labels)
    randomise(wide)
    return wide


def randomise(wide: NgramLogits) -> None:
    with torch.no_grad():
        wide.table.weight[1:] = torch.randn(wide.table.weight[1:].shape, generator=torch.Generator().manual_seed(3))


# --- oracles -------------------------------------------------------------------------------------------------------


def bucket_reference(tokens: list[int], num_buckets: int) -> int:
    value = len(tokens)
    for token in tokens:
        value = (value * HASH_MULTIPLIER + token + 1) % HASH_MODULUS
    return 1 + value % num_buckets


def buckets_reference(text: list[int], sizes: tuple[int, ...], num_buckets: int) -> set[int]:
    return {
        bucket_reference(text[start : start + size], num_buckets)
        for size in sizes
        for start in range(len(text) - size + 1)
    }


def logits_reference(wide: NgramLogits, text: list[int]) -> list[float]:
    """Score one unpadded text by Python numbers."""
    buckets = buckets_reference(text, wide.sizes, wide.num_buckets)
    weight = wide.table.weight.tolist()
    scale = SCALE / math.sqrt(max(len(buckets), 1))
    return [scale * math.fsum(weight[bucket][label] for bucket in buckets) for label in range(len(weight[0]))]


@given(
    texts=st.lists(st.lists(st.integers(0, 60000), max_size=7), min_size=1, max_size=5),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True),
    num_buckets=st.integers(1, 50),
    extra=st.integers(0, 4),
    side=st.sampled_from(["right", "left"]),
)
@settings(max_examples=100, deadline=None)
def test_logits_equal_the_definition_on_each_text_alone(texts, sizes, num_buckets, extra, side):
    wide = make(tuple(sizes), num_buckets=num_buckets)
    width = max(1, *map(len, texts), 0) + extra
    found = wide(*padded(texts, side=side, width=width))
    expected = torch.tensor([logits_reference(wide, text) for text in texts])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


@given(
    rows=st.lists(
        st.lists(st.tuples(st.integers(0, 2**31), st.booleans()), min_size=5, max_size=5), min_size=1, max_size=4
    ),
    size=st.integers(1, 6),
    num_buckets=st.integers(1, 10**6),
)
@settings(max_examples=100, deadline=None)
def test_hash_equals_python_integers(rows, size, num_buckets):
    ids = torch.tensor([[token for token, _ in row] for row in rows])
    mask = torch.tensor([[int(flag) for _, flag in row] for row in rows])
    buckets = ngram_buckets(ids, mask, size=size, num_buckets=num_buckets).tolist()
    for row, found in zip(rows, buckets, strict=True):
        for end in range(1, 6):
            window = row[end - size : end] if end >= size else []
            whole = bool(window) and all(flag for _, flag in window)
            expected = bucket_reference([token for token, _ in window], num_buckets) if whole else 0
            assert found[end - 1] == expected


def test_hash_tells_orders_and_sizes_apart():
    pairs = torch.cartesian_prod(torch.arange(60), torch.arange(60))
    buckets = [ngram_buckets(pairs, torch.ones_like(pairs), size=size, num_buckets=2**30)[:, 1] for size in (1, 2)]
    assert buckets[1].unique().numel() == 3600
    assert torch.cat(buckets).unique().numel() == 3660


def test_hash_spreads_evenly_over_the_buckets():
    pairs = torch.cartesian_prod(torch.arange(200), torch.arange(200))
    buckets = ngram_buckets(pairs, torch.ones_like(pairs), size=2, num_buckets=1000)[:, 1]
    counts = torch.bincount(buckets, minlength=1001)[1:]
    assert counts.sum() == 40000
    assert counts.min() > 0
    assert counts.max() < 100  # 40 on average; a Poisson count passes 100 once in 10^14


def test_scale_by_hand():
    wide = NgramLogits(sizes=[1], num_buckets=1, num_labels=1)
    with torch.no_grad():
        wide.table.weight[1] = 0.5
    assert wide(*padded([[4, 8, 15, 16]])).tolist() == [[5.0]]  # one bucket: 10 / sqrt(1) * 0.5
    wide = NgramLogits(sizes=[1], num_buckets=2**20, num_labels=1)
    with torch.no_grad():
        wide.table.weight[1:] = 0.5
    assert wide(*padded([[4, 8, 15, 16]])).tolist() == [[10.0]]  # four buckets: 10 / sqrt(4) * 4 * 0.5


def test_a_repeated_ngram_counts_once():
    wide = make((1, 2), num_buckets=1000)
    torch.testing.assert_close(wide(*padded([[4, 4, 4, 4]])), wide(*padded([[4, 4]])))


# --- invariants ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("extra", [0, 1, 9])
def test_padding_and_what_stands_in_it_change_nothing(side, extra):
    wide = make()
    expected = wide(*padded(TEXTS))
    found = wide(*padded(TEXTS, side=side, width=6 + extra, fill=13))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_rows_do_not_depend_on_their_neighbours():
    wide, (ids, mask) = make(), padded(TEXTS)
    order = torch.tensor([2, 4, 0, 3, 1])
    assert torch.equal(wide(ids[order], mask[order]), wide(ids, mask)[order])


def test_text_without_any_ngram_gives_zeros():
    wide = make((2, 4))
    logits = wide(*padded([[7], [], [7, 7]]))
    assert (logits[:2] == 0).all()
    assert (logits[2] != 0).any()
    assert (make((3,))(*padded([[1, 2]])) == 0).all()  # the whole batch is shorter than the n-gram


def test_fresh_term_says_nothing():
    wide = NgramLogits(sizes=[1, 2], num_buckets=9, num_labels=4)
    assert (wide.table.weight == 0).all()
    logits = wide(*padded(TEXTS))
    assert logits.shape == (5, 4)
    assert (logits == 0).all()


def test_gradient_reaches_the_rows_of_occurring_ngrams_and_no_others():
    wide = NgramLogits(sizes=[1, 3], num_buckets=400, num_labels=2)
    ids, mask = padded(TEXTS, width=9, fill=29)
    wide(ids, mask).sum().backward()
    occurring = {bucket for text in TEXTS for bucket in buckets_reference(text, (1, 3), 400)}
    touched = wide.table.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert set(touched) == occurring
    assert len(occurring) > 8


def test_gradient_equals_finite_differences():
    wide = make((1, 2), num_buckets=5, num_labels=2).double()
    ids, mask = padded(TEXTS[:3])

    def score(weight: Tensor) -> Tensor:
        return torch.func.functional_call(wide, {"table.weight": weight}, (ids, mask))

    # row 0 is left out: it gets no gradient although the lookup reads it
    free = wide.table.weight[1:].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: score(functional.pad(rows, (0, 0, 1, 0))), free)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_logits_are_float32_whatever_the_table_is_stored_in(dtype):
    wide = make()
    found = copy.deepcopy(wide).to(dtype)(*padded(TEXTS))
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, wide(*padded(TEXTS)), atol=0.2, rtol=0.02)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(wide(*padded(TEXTS)), make()(*padded(TEXTS)))


def train_on_orders(wide: NgramLogits, *, steps: int) -> float:
    """Train on pairs of texts that differ only in the order of two neighbours; give the accuracy."""
    ids = torch.randint(3, 9, (32, 6), generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    labels = torch.arange(64) // 32
    ids[:, 2:4] = torch.tensor([[1, 2], [2, 1]])[labels]
    optimizer = torch.optim.Adam(wide.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(wide(ids, torch.ones_like(ids)), labels).backward()
        optimizer.step()
    return (wide(ids, torch.ones_like(ids)).argmax(1) == labels).float().mean().item()


def test_a_rule_of_bigrams_is_learned_at_the_learning_rate_of_the_deep_part():
    assert train_on_orders(NgramLogits(sizes=[1, 2], num_buckets=5000, num_labels=2), steps=20) == 1.0
    assert train_on_orders(NgramLogits(sizes=[1], num_buckets=5000, num_labels=2), steps=20) == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": [2, 0]}, r"ngram_sizes must be numbers of tokens, at least 1, got \[2, 0\]"),
        ({"sizes": []}, r"at least 1, got \[\]"),
        ({"num_buckets": 0}, "ngram_buckets must be at least 1, got 0"),
    ],
)
def test_wrong_sizes_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        NgramLogits(**{"sizes": [1], "num_buckets": 4, "num_labels": 2, **settings})


def test_initialisation_knows_its_own_table_only():
    table = NgramTable(3, 2)
    with torch.no_grad():
        table.weight.fill_(4.0)
    assert init_weights(table)
    assert (table.weight == 0).all()
    other = torch.nn.Embedding(3, 2)
    before = other.weight.clone()
    assert not init_weights(other)
    assert torch.equal(other.weight, before)


# --- inside a model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["bert", "xlnet", "modernbert", "scratch"])
@pytest.mark.parametrize("problem_type", ["single_label_classification", MULTI_LABEL, REGRESSION])
def test_logits_are_those_of_the_deep_part_plus_the_wide_ones(encoder, problem_type):
    config = recurrent_config() if encoder == "scratch" else encoder_config(encoder)
    model = build(config, task(problem_type=problem_type, columns=COLUMNS), pooler="mean", **WIDE)
    inputs = batch(columns=COLUMNS)
    fresh = model(**inputs).logits
    randomise(model.wide)
    both = model(**inputs).logits
    wide = model.wide(inputs["input_ids"], inputs["attention_mask"])
    assert wide.abs().min() > 0
    model.wide = None
    assert torch.equal(model(**inputs).logits, fresh)
    assert torch.equal(both, fresh + wide)


def test_no_sizes_means_no_table():
    model = build(recurrent_config())
    assert model.wide is None
    assert not any("wide" in name for name in model.state_dict())


def test_sizes_of_the_config_are_sorted_and_single():
    config = ExtConfig(ngram_sizes=[3, 1, 3])
    assert config.ngram_sizes == [1, 3]
    other = ExtConfig()
    other.ngram_sizes.append(2)
    assert ExtConfig().ngram_sizes == []


def test_token_vectors_alone_are_refused_and_with_their_ids_give_the_same_logits():
    for config in (encoder_config("bert"), recurrent_config()):
        model, inputs = build(config, pooler="mean", **WIDE), batch()
        randomise(model.wide)
        vectors = model.get_input_embeddings()(inputs["input_ids"])
        with pytest.raises(ValueError, match="needs input_ids for them, beside inputs_embeds"):
            model(inputs_embeds=vectors, attention_mask=inputs["attention_mask"])
        torch.testing.assert_close(model(**inputs, inputs_embeds=vectors).logits, model(**inputs).logits)


def test_missing_mask_is_guessed_for_the_ngrams_too():
    model, inputs = build(encoder_config("bert"), pooler="mean", **WIDE), batch()
    randomise(model.wide)
    inputs["input_ids"] = inputs["input_ids"] * inputs["attention_mask"]
    torch.testing.assert_close(model(input_ids=inputs["input_ids"]).logits, model(**inputs).logits)


@pytest.mark.parametrize("encoder", ["bert", "scratch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_and_loaded_logits_are_bitwise_equal_and_the_table_stays_float32(encoder, dtype, tmp_path):
    built = build(recurrent_config() if encoder == "scratch" else encoder_config(encoder), pooler="mean", **WIDE)
    randomise(built.wide)
    built.save_pretrained(tmp_path / "float32")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "float32", dtype=dtype)
    assert torch.equal(model.wide.table.weight, built.wide.table.weight)
    assert {weight.dtype for weight in model.encoder.parameters()} == {dtype}
    model.save_pretrained(tmp_path / "again")
    poison()
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again", dtype=dtype)
    assert loaded.wide.table.weight.dtype is torch.float32
    assert (loaded.config.ngram_sizes, loaded.config.ngram_buckets) == ([1, 2], 23)
    assert torch.equal(loaded(**batch()).logits, model(**batch()).logits)


def test_table_that_a_checkpoint_lacks_is_zero_over_poisoned_memory(tmp_path):
    fresh = build(encoder_config("bert"), pooler="mean", ngram_sizes="1,2", ngram_buckets=47)  # 48 rows of 3: 144
    fresh.encoder.save_pretrained(tmp_path)
    for _ in range(3):
        poison()
        loaded, info = ExtForSequenceClassification.from_pretrained(
            tmp_path, config=copy.deepcopy(fresh.config), output_loading_info=True
        )
        assert "wide.table.weight" in info["missing_keys"]
        assert loaded.wide.table.weight.shape == (48, 3)
        assert (loaded.wide.table.weight == 0).all()


def test_a_training_step_moves_the_table_and_no_gradient_is_missing():
    model = build(recurrent_config(rnn="gru"), task(columns=COLUMNS), pooler="max", **WIDE).train()
    model(**batch(columns=COLUMNS), labels=torch.tensor([0, 2, 1, 0])).loss.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())
    assert model.wide.table.weight.grad.abs().sum() > 0
    assert (model.wide.table.weight.grad[0] == 0).all()
