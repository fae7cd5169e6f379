"""Rows as masked batches: what a batch holds, that a row's mask is its own, epochs in workers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import AutoConfig, AutoModel

from hf_ext.data.pretraining.collator import MaskingCollator
from hf_ext.tokenization import build_tokenizer

WORDS = [f"w{number}" for number in range(40)]


@pytest.fixture
def tokenizer():
    return build_tokenizer([" ".join(WORDS)], level="word", min_count=1, model_max_length=64)


def make_rows(tokenizer, lengths=(30, 12, 20, 8), *, seed: int = 0, first: int = 0) -> list[dict]:
    """Make rows of two documents each, words of one to three tokens, and labels of sentence pairs."""
    random = np.random.default_rng(seed)
    rows = []
    for number, length in enumerate(lengths):
        cut = length // 2
        ids = random.integers(len(tokenizer) - len(WORDS), len(tokenizer), length)
        ids[[0, cut]], ids[[cut - 1, -1]] = tokenizer.cls_token_id, tokenizer.sep_token_id
        starts = random.random(length) < 0.6
        starts[[0, 1, cut - 1, cut, cut + 1, -1]] = True
        rows.append(
            {
                "input_ids": ids.tolist(),
                "word_starts": starts.tolist(),
                "document_lengths": [cut, length - cut],
                "row": first + number,
                "token_type_ids": [0] * cut + [1] * (length - cut),
                "next_sentence_label": number % 2,
            }
        )
    return rows


def original(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Put the labels back where they were hidden: ``(B, T)``."""
    return torch.where(batch["labels"] == -100, batch["input_ids"], batch["labels"])


# --- what a batch holds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("masking", ["token", "whole_word", "span"])
def test_a_batch_has_the_rows_padded_on_the_tokenizers_side(tokenizer, side, masking):
    tokenizer.padding_side = side
    rows = make_rows(tokenizer)
    batch = MaskingCollator(tokenizer, masking=masking)(rows)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        place = slice(0, length) if side == "right" else slice(30 - length, 30)
        assert batch["attention_mask"][number].sum() == batch["attention_mask"][number, place].sum() == length
        assert original(batch)[number, place].tolist() == row["input_ids"]
        assert batch["token_type_ids"][number, place].tolist() == row["token_type_ids"]
        assert batch["input_ids"][number].eq(tokenizer.pad_token_id).sum() == 30 - length
    assert batch["next_sentence_label"].tolist() == [0, 1, 0, 1]
    assert next(iter(batch)) == "input_ids"  # Trainer takes the number of rows from the first tensor
    assert all(values.dtype is torch.int64 for values in batch.values())
    places = [row * 30 + column for row, column in torch.nonzero(batch["labels"] != -100).tolist()]
    assert batch["masked_positions"].tolist() == places
    assert not torch.isin(batch["labels"], torch.tensor(tokenizer.all_special_ids)).any()


def test_a_mask_is_the_same_for_lists_arrays_and_a_data_set(tokenizer):
    collate = MaskingCollator(tokenizer, masking="span", isolate_documents=True)
    rows = make_rows(tokenizer)
    arrays = [{name: np.asarray(value) for name, value in row.items()} for row in rows]
    stored = Dataset.from_list(rows)
    table = stored.with_format("arrow")[:]
    for other in (arrays, list(stored), list(stored.with_format("numpy")), list(stored.with_format("torch")), table):
        batch = collate(other)
        assert all(torch.equal(values, batch[name]) for name, values in collate(rows).items())


def test_lengths_can_be_rounded_up_or_fixed(tokenizer):
    rows = make_rows(tokenizer)
    for options, length in (({"pad_to_multiple_of": 8}, 32), ({"max_length": 50}, 50), ({"max_length": 5}, 30)):
        batch = MaskingCollator(tokenizer, isolate_documents=True, **options)(rows)
        assert batch["input_ids"].shape == batch["labels"].shape == batch["position_ids"].shape == (4, length)
        assert batch["attention_mask"].shape == (4, 1, length, length)


@pytest.mark.parametrize("side", ["right", "left"])
def test_isolated_documents_see_themselves_and_count_for_themselves(tokenizer, side):
    tokenizer.padding_side = side
    rows = make_rows(tokenizer, (6, 4))
    batch = MaskingCollator(tokenizer, isolate_documents=True, position_offset=2)(rows)
    pad = [0, 0]
    second = [2, 3, 2, 3, *pad] if side == "right" else [*pad, 2, 3, 2, 3]
    assert batch["position_ids"].tolist() == [[2, 3, 4, 2, 3, 4], second]
    numbers = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2] if side == "right" else [2, 2, 0, 0, 1, 1]])
    assert torch.equal(batch["attention_mask"], (numbers[:, None, :, None] == numbers[:, None, None, :]))


@pytest.mark.parametrize(("family", "offset"), [("bert", 0), ("roberta", 2)])
def test_a_model_gives_isolated_documents_the_states_that_they_have_alone(tokenizer, family, offset):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), pad_token_id=offset - 1 if offset else 0, **sizes)
    model = AutoModel.from_config(config).eval()
    rows = make_rows(tokenizer)
    batch = MaskingCollator(tokenizer, isolate_documents=True, position_offset=offset)(rows)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids")}
    with torch.no_grad():
        packed = model(**inputs).last_hidden_state
        for number, row in enumerate(rows):
            begin = 0
            for length in row["document_lengths"]:
                ids = batch["input_ids"][number : number + 1, begin : begin + length]
                alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
                torch.testing.assert_close(packed[number, begin : begin + length], alone, rtol=1e-5, atol=1e-5)
                begin += length


def test_columns_that_no_masking_needs_may_be_missing(tokenizer):
    rows = [{name: row[name] for name in ("input_ids", "row")} for row in make_rows(tokenizer)]
    batch = MaskingCollator(tokenizer)(rows)
    assert set(batch) == {"input_ids", "attention_mask", "labels", "masked_positions"}
    assert "masked_positions" not in MaskingCollator(tokenizer, gives_positions=False)(rows)


# --- a row's mask is its own -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("masking", ["token", "whole_word", "span"])
def test_a_row_is_masked_the_same_in_every_company(tokenizer, masking):
    rows = make_rows(tokenizer)
    together = MaskingCollator(tokenizer, masking=masking, seed=5)(rows)
    for options in ({}, {"pad_to_multiple_of": 64}, {"isolate_documents": True}):
        collate = MaskingCollator(tokenizer, masking=masking, seed=5, **options)
        for order in ([2], [3, 1], [1, 0, 3, 2]):
            batch = collate([rows[number] for number in order])
            for place, number in enumerate(order):
                length = len(rows[number]["input_ids"])
                for name in ("input_ids", "labels"):
                    assert torch.equal(batch[name][place, :length], together[name][number, :length])


def test_the_side_of_the_padding_moves_the_mask_with_the_row(tokenizer):
    rows = make_rows(tokenizer)
    right = MaskingCollator(tokenizer)(rows)
    tokenizer.padding_side = "left"
    left = MaskingCollator(tokenizer)(rows)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        assert torch.equal(right["labels"][number, :length], left["labels"][number, -length:])


@pytest.mark.parametrize("change", ["seed", "epoch", "row"])
def test_seed_epoch_and_row_decide(tokenizer, change):
    rows, other = make_rows(tokenizer), make_rows(tokenizer, first=10 if change == "row" else 0)
    first, second = MaskingCollator(tokenizer, seed=1), MaskingCollator(tokenizer, seed=2 if change == "seed" else 1)
    if change == "epoch":
        second.set_epoch(1)
    assert not torch.equal(first(rows)["labels"], second(other)["labels"])


def test_validation_rows_are_masked_the_same_at_every_evaluation(tokenizer):
    collate = MaskingCollator(tokenizer, masking="whole_word")
    rows = make_rows(tokenizer, first=-9)
    before = collate(rows)
    collate.set_epoch(7)
    assert all(torch.equal(values, before[name]) for name, values in collate(rows).items())


# --- workers ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True])
def test_running_workers_learn_of_a_new_epoch(tokenizer, persistent):
    rows = make_rows(tokenizer, (20,) * 6)
    collate, expected = MaskingCollator(tokenizer), MaskingCollator(tokenizer)
    loader = DataLoader(rows, batch_size=2, collate_fn=collate, num_workers=2, persistent_workers=persistent)
    for epoch in (0, 1, 5):
        collate.set_epoch(epoch)
        expected.set_epoch(epoch)
        for number, batch in enumerate(loader):
            assert torch.equal(batch["labels"], expected(rows[2 * number : 2 * number + 2])["labels"])


def test_a_copy_by_pickle_keeps_settings_and_epoch(tokenizer):
    collate = MaskingCollator(tokenizer, masking="span", seed=9)
    collate.set_epoch(3)
    copy = pickle.loads(pickle.dumps(collate))
    assert copy.epoch == 3
    assert torch.equal(copy(make_rows(tokenizer))["labels"], collate(make_rows(tokenizer))["labels"])


# --- wrong calls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masking": "sentence"}, "token, whole_word, span; got 'sentence'"),
        ({"probability": 0}, "probability must be between 0 and 1"),
        ({"probability": 1.5}, "got 1.5"),
        ({"span_probability": 1}, "span_probability"),
        ({"max_span_length": 0}, "at least 1 word"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        MaskingCollator(tokenizer, **options)


def test_a_tokenizer_without_a_mask_token_is_refused(tokenizer):
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="no mask token"):
        MaskingCollator(tokenizer)


def test_rows_without_their_number_are_refused(tokenizer):
    with pytest.raises(ValueError, match="remove_unused_columns"):
        MaskingCollator(tokenizer)([{"input_ids": [2, 7, 3]}])


def test_documents_that_do_not_fill_their_row_are_refused(tokenizer):
    rows = make_rows(tokenizer)
    rows[1]["document_lengths"] = [5, 6]
    with pytest.raises(ValueError, match="row 1: its documents have 11 tokens together, but the row has 12"):
        MaskingCollator(tokenizer, isolate_documents=True)(rows)
