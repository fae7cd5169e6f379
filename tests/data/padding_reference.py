"""Batches made the plain way: the tokenizer's own ``pad``, and a tensor of a list of cells."""

from __future__ import annotations

import torch

TOKENIZER_MADE = ("input_ids", "attention_mask", "token_type_ids", "special_tokens_mask")


def pad_with_tokenizer(rows, tokenizer, *, pad_to_multiple_of=None, max_length=None):
    """Pad what the tokenizer made of each row by calling it."""
    return dict(
        tokenizer.pad(
            {name: [list(row[name]) for row in rows] for name in TOKENIZER_MADE if name in rows[0]},
            padding="longest" if max_length is None else "max_length",
            max_length=None if max_length is None else min(max_length, tokenizer.model_max_length),
            pad_to_multiple_of=pad_to_multiple_of,
            return_tensors="pt",
        )
    )


def collate_classification(rows, tokenizer, **options):
    """Make the batch that a ``ClassificationCollator`` is to make."""
    batch = pad_with_tokenizer(rows, tokenizer, **options)
    kinds = {"category_ids": torch.int64, "numeric_values": torch.float32}
    if "labels" in rows[0]:
        kinds["labels"] = torch.int64 if isinstance(rows[0]["labels"], int) else torch.float32
    for name, kind in kinds.items():
        if name in rows[0]:
            batch[name] = torch.tensor([row[name] for row in rows], dtype=kind)
    return batch


def collate_tagging(rows, tokenizer, **options):
    """Make the batch that a ``TaggingCollator`` is to make."""
    batch = pad_with_tokenizer(rows, tokenizer, **options)
    length = batch["input_ids"].shape[1]
    for name, fill in {"labels": -100, "word_mask": 0}.items():
        if name in rows[0]:
            fills = [[fill] * (length - len(row[name])) for row in rows]
            left = tokenizer.padding_side == "left"
            batch[name] = torch.tensor(
                [f + list(r[name]) if left else list(r[name]) + f for r, f in zip(rows, fills, strict=True)]
            )
    if "char_ids" in rows[0]:
        most = max(len(row["char_ids"]) for row in rows)
        longest = max([len(word) for row in rows for word in row["char_ids"]] + [1])
        words = [row["char_ids"] + [[]] * (most - len(row["char_ids"])) for row in rows]
        batch["char_ids"] = torch.tensor([[word + [0] * (longest - len(word)) for word in row] for row in words])
    if "sentence_labels" in rows[0]:
        batch["sentence_labels"] = torch.tensor([row["sentence_labels"] for row in rows])
    return batch
