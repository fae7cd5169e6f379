"""Small texts and a tiny encoder for run_continue_pretrain.py."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

PLACES = ("Oslo", "Rome", "Quito", "Delhi")
THINGS = ("station", "harbour", "library", "market", "garden")
MANNERS = ("slowly", "quietly", "happily")
TOPICS = ("北京", "上海", "图书馆", "电影院", "火车站")
ACTS = ("喜欢在", "常常去", "没有去过", "想念")
PIECES = ("sta", "##tion", "har", "##bour", "mar", "##ket", "##ly", "the", "in", "is", "of")


def english(count: int, *, offset: int = 0) -> list[str]:
    """Documents of two to five sentences."""
    return [
        " ".join(
            f"The {THINGS[(i + j) % 5]} of {PLACES[(i * 3 + j) % 4]} is growing {MANNERS[(i + 2 * j) % 3]}."
            for j in range(2 + i % 4)
        )
        for i in range(offset, offset + count)
    ]


def chinese(count: int, *, offset: int = 0) -> list[str]:
    """Documents of two to five sentences."""
    return [
        "".join(f"我们{ACTS[(i + j) % 4]}{TOPICS[(2 * i + j) % 5]}附近散步。" for j in range(2 + i % 4))
        for i in range(offset, offset + count)
    ]


def write_documents(path: Path, documents: list[str]) -> str:
    """Write documents with an empty line after each, English ones a sentence a line."""
    blocks = (document.replace(". ", ".\n") + "\n\n" for document in documents)
    path.write_text("".join(blocks), encoding="utf-8")
    return str(path)


def write_rows(path: Path, documents: list[str]) -> str:
    """Write documents as JSON lines."""
    lines = (json.dumps({"text": document}, ensure_ascii=False) + "\n" for document in documents)
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def make_tokenizer() -> BertTokenizerFast:
    """A WordPiece tokenizer that knows all characters of these texts and few words."""
    characters = sorted({c for text in english(20) + chinese(20) for c in text if not c.isspace()})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters), *PIECES]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    return BertTokenizerFast(vocab=vocabulary, do_lower_case=False, model_max_length=64)


def save_tiny_encoder(folder: Path) -> str:
    """Save a two-layer BERT without dropout and without a head, and its tokenizer."""
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
