"""Small tokenizers of every kind of model, as users have them: of a family's class, loaded from a folder."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast, RobertaTokenizer, XLMRobertaTokenizer

ENGLISH = [
    "the block of the chain is on the art start of the part",
    "a chain of blocks and a block of chains, artful and smart",
    "start the smart part of the party, the block party",
    "new york is a new party of the blocks and the virus is covid",
    "pop-up C++ and the rest of it 12 34",
]
CHINESE = ["我的贷款很多，你的存款很少", "病毒和冠状的东西很新", "买新房要贷款，存款也要", "大冠状病毒很多"]
LETTERS = list("abcdefghijklmnopqrstuvwxyz0123456789")
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
HELD_OUT = ["the smart chain of blocks starts a party", "start artful", "我要买房，病毒的贷款", "a chain-smart art 77"]


def wordpiece(folder: Path) -> PreTrainedTokenizerFast:
    """BERT, uncased, Chinese characters apart; its words are written down, since training breaks ties by chance."""
    words = ["the", "of", "a", "and", "block", "chain", "art", "start", "smart", "part", "party", "new", "is", "virus"]
    characters = sorted({character for line in CHINESE for character in line})
    letters = ["-", "##s", "##ing", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*BERT_SPECIAL, *letters, *words, *characters]))}
    BertTokenizer(vocab=vocab, do_lower_case=True).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def byte_bpe(folder: Path) -> PreTrainedTokenizerFast:
    """RoBERTa."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=ROBERTA_SPECIAL, initial_alphabet=alphabet)
    backend.train_from_iterator(ENGLISH + CHINESE, trainer)
    model = backend.model
    model.save(str(folder))
    vocab, merges = models.BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    RobertaTokenizer(vocab=vocab, merges=merges).save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    return AutoTokenizer.from_pretrained(folder)


def unigram(folder: Path) -> PreTrainedTokenizerFast:
    """XLM-R, with <mask> behind the vocabulary."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=ROBERTA_SPECIAL[:-1], unk_token="<unk>")
    backend.train_from_iterator((ENGLISH + CHINESE) * 3, trainer)
    entries = json.loads(backend.to_str())["model"]["vocab"]
    XLMRobertaTokenizer(vocab=[tuple(entry) for entry in entries]).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def characters(folder: Path) -> PreTrainedTokenizerFast:
    """A plain tokenizer of characters, WordLevel."""
    found = sorted({character for line in ENGLISH + CHINESE for character in line if not character.isspace()})
    backend = Tokenizer(models.WordLevel({t: i for i, t in enumerate(BERT_SPECIAL + found)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    backend.decoder = decoders.Fuse()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **{f"{k}_token": v for k, v in roles.items()})
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


TOKENIZERS = {"wordpiece": wordpiece, "byte_bpe": byte_bpe, "unigram": unigram, "characters": characters}
