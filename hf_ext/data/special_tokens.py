"""The special tokens that a tokenizer puts around one sequence, or around and between two, found by trying."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Frame:
    """The special tokens around a single sequence.

    Args:
        before: Ids in front of the sequence.
        after: Ids behind it.
        types: Token types of the part before, of each token inside, and of the part behind; None without types.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[tuple[int, ...], int, tuple[int, ...]] | None

    def __len__(self) -> int:
        return len(self.before) + len(self.after)


def find_frame(tokenizer: PreTrainedTokenizerBase) -> Frame:
    """Find what a fast tokenizer puts around a sequence."""
    probe = tokenizer(["a"])
    inside = [i for i, word in enumerate(probe.word_ids(0)) if word is not None]
    start, end = (inside[0], inside[-1] + 1) if inside else (len(probe.input_ids[0]),) * 2
    ids, types = probe["input_ids"][0], probe["token_type_ids"][0] if "token_type_ids" in probe else None
    parts = (tuple(types[:start]), types[start] if inside else 0, tuple(types[end:])) if types else None
    return Frame(tuple(ids[:start]), tuple(ids[end:]), parts)


@dataclass(frozen=True)
class PairFrame:
    """The special tokens of a pair of sequences.

    Args:
        before: Ids in front of the first sequence.
        between: Ids between the two.
        after: Ids behind the second one.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


def find_pair_frame(tokenizer: PreTrainedTokenizerBase) -> PairFrame:
    """Find what a fast tokenizer puts around and between two sequences."""
    probe = tokenizer(["a"], ["a"])
    ids, parts = probe["input_ids"][0], probe.encodings[0].sequence_ids
    first = [i for i, part in enumerate(parts) if part == 0]
    second = [i for i, part in enumerate(parts) if part == 1]
    if not first or not second:
        raise ValueError("this tokenizer gives no token for the letter a, so its special tokens cannot be found")
    return PairFrame(tuple(ids[: first[0]]), tuple(ids[first[-1] + 1 : second[0]]), tuple(ids[second[-1] + 1 :]))
