"""Tiny taggers, their schemas and batches for the tests of the models."""

from __future__ import annotations

from typing import Any

import torch
from model_factories import VOCAB_SIZE
from torch import Tensor
from transformers import PreTrainedConfig

from hf_ext.models.configuration import ExtConfig
from hf_ext.models.joint_classification import ExtForJointClassification
from hf_ext.models.tagger_arguments import TaggerArguments
from hf_ext.models.tagging_schema import TaggingSchema
from hf_ext.models.token_classification import ExtForTokenClassification

TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
SENTENCE_LABELS = ("buy", "sell", "wait")
CHARACTERS = "abcdef"


def schema(*, joint: bool = False, characters: bool = False, tags: tuple[str, ...] = TAGS) -> TaggingSchema:
    """Make the schema of BIO tags, with or without sentence labels and known characters."""
    labels = SENTENCE_LABELS if joint else ()
    return TaggingSchema(tags, "BIO", sentence_labels=labels, characters=CHARACTERS if characters else "")


def arguments(**flags: Any) -> TaggerArguments:
    """Make tagger flags with small layers."""
    small = {"head_rnn_hidden_size": 5, "character_embedding_size": 4, "character_hidden_size": 3}
    scratch = {"embedding_size": 12, "rnn_hidden_size": 6}
    return TaggerArguments(**{**small, **scratch, **flags})


def build(
    config: PreTrainedConfig, *, joint: bool = False, seed: int = 0, **flags: Any
) -> ExtForTokenClassification | ExtForJointClassification:
    """Build a tagger of ours on a fresh encoder, in evaluation mode."""
    torch.manual_seed(seed)
    wanted = schema(joint=joint, characters=flags.get("character_encoder", "none") != "none")
    made = ExtForJointClassification if joint else ExtForTokenClassification
    return made(ExtConfig.for_tagging(arguments(**flags), config, wanted)).eval()


def batch(
    rows: int = 4, length: int = 9, *, joint: bool = False, characters: bool = False, seed: int = 0, left: bool = False
) -> dict[str, Tensor]:
    """Make rows of random lengths whose words have one or two tokens between two special ones; some are unlabelled."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, length + 1, (rows, 1), generator=draw)
    lengths[0] = length
    places = torch.arange(length)
    mask = (places < lengths).long()
    words = (places >= 1) & (places < lengths - 1) & ((torch.rand(rows, length, generator=draw) < 0.7) | (places == 1))
    labels = torch.randint(0, len(TAGS), (rows, length), generator=draw)
    labels = labels.masked_fill(~words | (torch.rand(rows, length, generator=draw) < 0.2), -100)
    labels[0, 1] = 0
    made = {
        "input_ids": torch.randint(6, VOCAB_SIZE, (rows, length), generator=draw),
        "attention_mask": mask,
        "word_mask": words.long(),
        "labels": labels,
    }
    if left:
        shifts = [length - int(n) for n in lengths]
        made = {name: torch.stack([row.roll(s) for row, s in zip(v, shifts, strict=True)]) for name, v in made.items()}
    if characters:
        made["char_ids"] = char_ids(words, draw)
    if joint:
        made["sentence_labels"] = torch.randint(0, len(SENTENCE_LABELS), (rows,), generator=draw)
        made["sentence_labels"][-1] = -100
    return made


def char_ids(words: Tensor, draw: torch.Generator, longest: int = 5) -> Tensor:
    """Make characters for the words of each row, from the left, as the collator does: ``(B, W, C)``."""
    counts = words.sum(1)
    ids = torch.randint(1, len(CHARACTERS) + 2, (len(words), int(counts.max()), longest), generator=draw)
    sizes = torch.randint(1, longest + 1, (*ids.shape[:2], 1), generator=draw)
    ids[torch.arange(longest).expand_as(ids) >= sizes] = 0
    ids[torch.arange(ids.shape[1]) >= counts.unsqueeze(1)] = 0
    return ids


def padded(inputs: dict[str, Tensor], more: int, *, left: bool = False) -> dict[str, Tensor]:
    """Add padding, with values that must not matter, to every field with one entry a token."""
    filler = {"attention_mask": 0, "word_mask": 1, "labels": -100, "input_ids": 7}
    sides = (more, 0) if left else (0, more)
    return {
        name: torch.nn.functional.pad(value, sides, value=filler[name]) if name in filler else value
        for name, value in inputs.items()
    }
