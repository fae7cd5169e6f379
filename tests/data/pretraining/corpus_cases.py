"""Small texts, tiny tokenizers and the ways in which tests read and pack them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hf_ext.data.pretraining import PretrainingData, PretrainingDataArguments
from hf_ext.data.pretraining.documents import Document, DocumentReader
from hf_ext.errors import UserError
from hf_ext.tokenization import build_tokenizer

WORDS = [f"w{i}" for i in range(60)]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def word_tokenizer(**more: Any) -> PreTrainedTokenizerBase:
    """One token a word; ``[CLS] … [SEP]`` around it; every word of ``WORDS`` known."""
    return build_tokenizer([" ".join(WORDS)], level="word", min_count=1, **more)


def byte_tokenizer() -> PreTrainedTokenizerBase:
    """Byte-level BPE as RoBERTa has it: some Chinese characters are several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat sat on the mat", "我爱北京我爱"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def document(number: int, length: int) -> str:
    """A text of so many words."""
    return " ".join(WORDS[(number * 7 + i * i) % len(WORDS)] for i in range(length))


def load(folder: Path, needs: tuple[str, ...] = ("train",), **flags: Any) -> PretrainingData:
    asked = PretrainingDataArguments(**{"train_file": str(folder / "train.txt"), "document_boundary": "line", **flags})
    return PretrainingData.from_arguments(asked, needs=needs, cache_dir=str(folder / "cache"))


def rows_of(
    folder: Path, needs: tuple[str, ...] = ("train",), *, tokenizer: Any = None, **flags: Any
) -> dict[str, Any]:
    return load(folder, needs, **flags).tokenize(tokenizer or word_tokenizer(), cache_dir=folder / "cache")


def parts_of(row: dict[str, Any]) -> list[list[int]]:
    """The documents of a row, special tokens included."""
    parts, start = [], 0
    for length in row["document_lengths"]:
        parts.append(row["input_ids"][start : start + length])
        start += length
    assert start == len(row["input_ids"]) == len(row["word_starts"])
    return parts


def documents(path: Path, **reading: Any) -> list[Document]:
    return list(DocumentReader(**reading).read(path))


def fails(call: Any, *parts: str) -> None:
    """The call must give a message of one line that has all the parts and a remedy."""
    with pytest.raises(UserError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    assert " – " in message, "the message lacks a remedy"
    for part in parts:
        assert part in message, message
