"""Byte-level tokenizers get a blank before each word, however they were made, and keep it when saved."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, RobertaTokenizerFast

from hf_ext.tokenization import build_tokenizer
from hf_ext.tokenization.words import put_space_before_words

SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "cls_token": "<s>",
    "sep_token": "</s>",
}
WORDS = ["paris", "is", "nice"]


def byte_level(folder, make, *, sequence: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    step = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(), step]) if sequence else step
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["paris is nice and big", "the paris of the nice north"] * 30, trainer)
    make(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("make", [PreTrainedTokenizerFast, RobertaTokenizerFast])
@pytest.mark.parametrize("sequence", [False, True])
def test_words_read_as_after_a_blank_also_when_saved_and_loaded(tmp_path, make, sequence):
    tokenizer = byte_level(tmp_path / "first", make, sequence=sequence)
    text = " " + " ".join(WORDS)
    expected = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer(WORDS, is_split_into_words=True, add_special_tokens=False)["input_ids"] != expected
    assert put_space_before_words(tokenizer)
    tokenizer.save_pretrained(tmp_path / "second")
    for read in (tokenizer, AutoTokenizer.from_pretrained(tmp_path / "second")):
        assert read(WORDS, is_split_into_words=True, add_special_tokens=False)["input_ids"] == expected
        assert not put_space_before_words(read)


def test_other_tokenizers_are_left_alone():
    tokenizer = build_tokenizer(["paris is nice"] * 3, level="word", min_count=1)
    before = tokenizer.backend_tokenizer.to_str()
    assert not put_space_before_words(tokenizer)
    assert tokenizer.backend_tokenizer.to_str() == before
