from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from corpus_cases import WORDS, fails, rows_of, word_tokenizer, write
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from hf_ext.data.pretraining.sentence_pairs import plan_pairs

DOCUMENTS = st.lists(st.lists(st.integers(1, 30), max_size=12).map(np.array), max_size=12)


def sentences_of(sizes) -> list[np.ndarray]:
    return [np.array(lengths, dtype=np.int64) for lengths in sizes]


@given(sizes=DOCUMENTS, room=st.integers(2, 40), seed=st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_segments_in_order_hold_every_token_once(sizes, room, seed):
    plan = plan_pairs(sentences_of(sizes), room, kind="sentence_order", seed=seed)
    a, b, swapped = plan.segments[:, :3], plan.segments[:, 3:], plan.labels == 1
    first, second = np.where(swapped[:, None], b, a), np.where(swapped[:, None], a, b)
    assert (first[:, 0] == second[:, 0]).all()
    assert (first[:, 2] == second[:, 1]).all()  # neighbours, put back in order
    assert (plan.segments[:, 2] > plan.segments[:, 1]).all()
    assert (plan.segments[:, 5] > plan.segments[:, 4]).all()
    assert ((second[:, 2] - first[:, 1]) <= room).all()
    assert plan.labels.sum() == len(plan) // 2
    seen = Counter((d, t) for d, start, stop in [*a.tolist(), *b.tolist()] for t in range(start, stop))
    lone = Counter()  # a sentence, or a part of one, of a single token that has no neighbour makes no pair
    expected = Counter((d, t) for d, lengths in enumerate(sizes) for t in range(sum(lengths)))
    lone = expected - seen
    assert not seen - expected
    assert sum(lone.values()) <= sum(len(lengths) + sum(lengths) // max(1, room // 2) for lengths in sizes)
    assert not lone or all(count == 1 for count in lone.values())


def test_no_token_is_lost_where_sentences_fit_and_have_neighbours():
    sizes = sentences_of(np.random.default_rng(0).integers(2, 20, size=(40, 30)))
    for kind in ("sentence_order", "next_sentence"):
        plan = plan_pairs(sizes, 64, kind=kind, seed=1)
        held = (plan.segments[:, 2] - plan.segments[:, 1] + plan.segments[:, 5] - plan.segments[:, 4]).sum()
        assert held >= 0.999 * sum(lengths.sum() for lengths in sizes)


def test_half_of_the_second_segments_are_of_another_document_and_no_longer_than_the_others():
    sizes = sentences_of(np.random.default_rng(0).integers(2, 20, size=(200, 30)))
    plan = plan_pairs(sizes, 64, kind="next_sentence", seed=1)
    other = plan.segments[:, 0] != plan.segments[:, 3]
    assert (other == (plan.labels == 1)).all()
    right = plan.segments[~other]
    assert (right[:, 2] == right[:, 4]).all()  # the second follows the first
    assert abs(plan.labels.mean() - 0.5) < 0.01
    lengths = plan.segments[:, 5] - plan.segments[:, 4]
    assert abs(lengths[other].mean() - lengths[~other].mean()) < 0.05 * lengths.mean()
    totals = lengths + plan.segments[:, 2] - plan.segments[:, 1]
    assert totals.max() <= 64
    assert abs(totals[other].mean() - totals[~other].mean()) < 1


def test_the_same_seed_draws_the_same_and_another_draws_others():
    sizes = sentences_of(np.random.default_rng(0).integers(2, 20, size=(20, 30)))
    first, again, other = (plan_pairs(sizes, 64, kind="sentence_order", seed=seed) for seed in (3, 3, 4))
    assert (first.segments == again.segments).all()
    assert (first.labels == again.labels).all()
    assert not (first.labels == other.labels).all()


def test_one_document_has_no_second_segments_from_another():
    with pytest.raises(ValueError, match="one document only"):
        plan_pairs(sentences_of([[5, 5, 5, 5]]), 8, kind="next_sentence", seed=0)


def test_one_document_held_out_is_said_with_its_split(tmp_path):
    write(tmp_path / "train.txt", "w1 w2. w3 w4. w5 w6.\nw1 w2. w3 w4. w5 w6.\nw1. w2. w3. w4.\n")
    flags = {"tokenizer": pair_tokenizer(), "sentence_pairs": "next_sentence", "max_seq_length": 8}
    fails(
        lambda: rows_of(tmp_path, ("validation",), **flags), "(validation text)", "one document only", "sentence_order"
    )


def test_text_without_pairs_is_said(tmp_path):
    write(tmp_path / "train.txt", "w1\nw2\nw3\n")
    flags = {"tokenizer": pair_tokenizer(), "sentence_pairs": "sentence_order", "max_seq_length": 8}
    fails(lambda: rows_of(tmp_path, **flags), "(train text)", "no two sentences to make a pair of")


def pair_tokenizer():
    """``[CLS] a [SEP] b [SEP]``, as BERT has it."""
    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", tokenizer.sep_token_id), ("[CLS]", tokenizer.cls_token_id)
    )
    return tokenizer


@pytest.mark.parametrize("kind", ["next_sentence", "sentence_order"])
def test_rows_of_pairs(tmp_path, kind):
    texts = [". ".join(f"{WORDS[i]} {WORDS[j]}" for j in range(12)) for i in range(20)]
    write(tmp_path / "train.txt", "\n".join(texts))
    tokenizer = pair_tokenizer()
    asked = {"sentence_pairs": kind, "max_seq_length": 16, "validation_split_percentage": 20}
    made = rows_of(tmp_path, ("train", "validation"), tokenizer=tokenizer, **asked)
    lines = {row: tokenizer(text, add_special_tokens=False)["input_ids"] for row, text in enumerate(texts)}
    for split, rows in made.items():
        for number, row in enumerate(rows):
            ids, types = row["input_ids"], row["token_type_ids"]
            assert row["row"] == (number if split == "train" else -1 - number)
            assert row["document_lengths"] == [len(ids)]
            assert len(ids) <= 16
            marks = [i for i, token in enumerate(ids) if token == tokenizer.sep_token_id]
            assert ids[0] == tokenizer.cls_token_id
            assert len(marks) == 2
            assert marks[1] == len(ids) - 1
            assert types == [0] * (marks[0] + 1) + [1] * (marks[1] - marks[0])
            a, b = ids[1 : marks[0]], ids[marks[0] + 1 : -1]
            homes = [find(lines, a), find(lines, b)]
            follows = homes[0][0] == homes[1][0] and homes[0][1] + len(a) == homes[1][1]
            assert follows == (row["next_sentence_label"] == 0)
            if kind == "sentence_order" and not follows:
                assert homes[0][0] == homes[1][0]
                assert homes[1][1] + len(b) == homes[0][1]
            if kind == "next_sentence" and not follows:
                assert homes[0][0] != homes[1][0]
    assert sum(made["train"]["next_sentence_label"]) == len(made["train"]) // 2


def find(lines: dict[int, list[int]], part: list[int]) -> tuple[int, int]:
    """The document and the place of some tokens."""
    return next(
        (number, start)
        for number, ids in lines.items()
        for start in range(len(ids) - len(part) + 1)
        if ids[start : start + len(part)] == part
    )


def test_pairs_are_not_streamed():
    from hf_ext.data.pretraining import PretrainingDataArguments

    with pytest.raises(ValueError, match="leave out --streaming"):
        PretrainingDataArguments(train_file="a.txt", sentence_pairs="next_sentence", streaming=True)
