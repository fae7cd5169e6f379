"""How well a tokenizer fits a text: what it knows, how many tokens it makes, and whether the text comes back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

BATCH = 500  # lines encoded at a time
SHOWN = 10  # characters shown before and behind the place where a line did not come back
# one Chinese character, or a run of letters and digits of another script
WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|(?:(?![\u3400-\u9fff\uf900-\ufaff])\w)+")


@dataclass
class TokenizerMeasures:
    """Figures of a tokenizer on some lines.

    Args:
        vocab_size: Tokens, added ones included.
        lines: Lines measured on.
        tokens: Tokens made of them, without special tokens.
        coverage: Share of the characters (white space aside) that are not in an unknown token.
        unknown_rate: Share of the tokens that are unknown.
        tokens_per_word: A word being a run of letters and digits, or one Chinese character.
        tokens_per_character: White space aside.
        bytes_per_token: UTF-8 bytes of the text for each token; the more, the shorter the sequences.
        round_trip: Share of lines that decode to their normalised text, white space aside.
        round_trip_exact: The same with inner white space.
        first_failure: Where the first line does not come back, without white space, and what came instead.
    """

    vocab_size: int
    lines: int
    tokens: int
    coverage: float
    unknown_rate: float
    tokens_per_word: float
    tokens_per_character: float
    bytes_per_token: float
    round_trip: float
    round_trip_exact: float
    first_failure: dict[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the figures by name, rounded to six digits."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def measure(tokenizer: PreTrainedTokenizerBase, lines: Sequence[str]) -> TokenizerMeasures:
    """Measure a fast tokenizer on some lines.

    Raises:
        ValueError: If it is not a fast tokenizer, or there are no lines.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not lines:
        raise ValueError("a fast tokenizer and at least one line are needed.")
    unknown = tokenizer.unk_token_id
    tokens = unknown_tokens = unknown_characters = same = exact = 0
    failure = None
    rest = iter(lines)
    while batch := list(islice(rest, BATCH)):
        for line, encoding in zip(batch, backend.encode_batch(batch, add_special_tokens=False), strict=True):
            tokens += len(encoding.ids)
            spans = [span for i, span in zip(encoding.ids, encoding.offsets, strict=True) if i == unknown]
            unknown_tokens += len(spans)
            unknown_characters += sum(_count(line[start:end]) for start, end in spans)
            expected = backend.normalizer.normalize_str(line) if backend.normalizer is not None else line
            came = backend.decode(encoding.ids, skip_special_tokens=False)
            exact += came.strip() == expected.strip()
            if _bare(came) == _bare(expected):
                same += 1
            elif failure is None:
                failure = _around_difference(_bare(expected), _bare(came))
    characters = max(sum(map(_count, lines)), 1)
    return TokenizerMeasures(
        vocab_size=len(tokenizer),
        lines=len(lines),
        tokens=tokens,
        coverage=1 - unknown_characters / characters,
        unknown_rate=unknown_tokens / max(tokens, 1),
        tokens_per_word=tokens / max(sum(len(WORD.findall(line)) for line in lines), 1),
        tokens_per_character=tokens / characters,
        bytes_per_token=sum(len(line.encode()) for line in lines) / max(tokens, 1),
        round_trip=same / len(lines),
        round_trip_exact=exact / len(lines),
        first_failure=failure,
    )


def _around_difference(expected: str, came: str) -> dict[str, str]:
    """Cut both texts down to where they first differ."""
    pairs = enumerate(zip(expected, came, strict=False))
    at = next((i for i, (one, other) in pairs if one != other), min(len(expected), len(came)))
    window = slice(max(at - SHOWN, 0), at + SHOWN)
    return {"text": expected[window], "came": came[window]}


def _bare(text: str) -> str:
    return "".join(text.replace("▁", " ").split())


def _count(text: str) -> int:
    return len("".join(text.split()))
