"""A tokenizer counted from the training text: characters for Chinese, words otherwise.

It serves the models that start from scratch, which need no subword pieces, only stable ids.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_ext.han import SAMPLE_SIZE, han_prevails

logger = logging.getLogger(__name__)

PAD, UNKNOWN, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_TOKENS = (PAD, UNKNOWN, CLS, SEP, MASK)
LEVELS = ("auto", "character", "word", "whole")


def build_tokenizer(
    texts: Iterable[str],
    *,
    level: str = "auto",
    vocab_size: int = 30000,
    min_count: int = 2,
    lower_case: bool = False,
    model_max_length: int = 512,
    known_tokens: Iterable[str] = (),
) -> PreTrainedTokenizerFast:
    """Count the tokens of ``texts`` and make a tokenizer that ``AutoTokenizer`` loads.

    A single text becomes ``[CLS] text``, so that even an empty one has a token; a pair becomes
    ``[CLS] first [SEP] second`` with segment ids 0 and 1.

    Args:
        texts: The training texts; read once.
        level: ``character`` (every character but white space is a token), ``word`` (runs of letters or digits,
            and single marks), ``whole`` (runs between white space, for words that are already apart), or ``auto``:
            characters where Han script prevails.
        vocab_size: Largest number of tokens, special tokens included; the most frequent stay.
        min_count: Rarer tokens are unknown.
        lower_case: Fold case before splitting.
        model_max_length: Longest sequence in tokens that callers should ask for.
        known_tokens: Tokens that something is known of, such as a given vector, the most useful first. They are
            taken in after the frequent ones as far as ``vocab_size`` allows, whether or not the texts hold them.

    Raises:
        ValueError: If ``level`` is unknown or the texts hold no token at all.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {LEVELS}, got {level!r}.")
    texts = iter(texts)
    sample = list(islice(texts, SAMPLE_SIZE))
    if level == "auto":
        level = "character" if han_prevails(sample) else "word"
    normalizer = _normalizer(lower_case)
    splitter = _splitter(level)
    counts: Counter[str] = Counter()
    for part in (sample, texts):
        for text in part:
            counts.update(token for token, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    if not counts:
        raise ValueError("the training texts hold no token; a vocabulary cannot be built from them.")
    known = (token for token in known_tokens if _stays_whole(token, normalizer, splitter))
    vocabulary = _vocabulary(counts, vocab_size, min_count, known)
    logger.info("Built a vocabulary of %d tokens (%s level) from the training text.", len(vocabulary), level)
    return _wrap(vocabulary, normalizer, splitter, model_max_length)


def _normalizer(lower_case: bool) -> normalizers.Normalizer:
    """Unify full-width and half-width forms, so that Ａ and A are one token."""
    steps = [normalizers.NFKC()] + ([normalizers.Lowercase()] if lower_case else [])
    return normalizers.Sequence(steps)


def _splitter(level: str) -> pre_tokenizers.PreTokenizer:
    if level == "word":
        return pre_tokenizers.Split(Regex(r"[\p{L}\p{M}\p{N}_]+|[^\s\p{L}\p{M}\p{N}_]"), "removed", invert=True)
    return pre_tokenizers.Split(Regex(r"\S+" if level == "whole" else r"\S"), "removed", invert=True)


def _stays_whole(token: str, normalizer: normalizers.Normalizer, splitter: pre_tokenizers.PreTokenizer) -> bool:
    """Tell whether a text can hold this token; of ``New York`` or, lower-cased, ``Rome`` it cannot."""
    pieces = splitter.pre_tokenize_str(normalizer.normalize_str(token))
    return [piece for piece, _ in pieces] == [token]


def _vocabulary(counts: Counter[str], vocab_size: int, min_count: int, known: Iterable[str]) -> dict[str, int]:
    """Give ids by falling count, ties in code-point order, so that the same text gives the same ids."""
    frequent = sorted((token for token, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
    tokens = dict.fromkeys([*SPECIAL_TOKENS, *frequent])
    tokens.update(dict.fromkeys(known))
    return {token: i for i, token in enumerate(islice(tokens, max(vocab_size, len(SPECIAL_TOKENS))))}


def _wrap(
    vocabulary: dict[str, int],
    normalizer: normalizers.Normalizer,
    splitter: pre_tokenizers.PreTokenizer,
    model_max_length: int,
) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.normalizer = normalizer
    backend.pre_tokenizer = splitter
    backend.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A",
        pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1",
        special_tokens=[(token, vocabulary[token]) for token in (CLS, SEP)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNKNOWN,
        cls_token=CLS,
        sep_token=SEP,
        mask_token=MASK,
        model_max_length=model_max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
