"""Unigram vocabularies trained by sentencepiece, many times faster than by the library tokenizers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from hf_ext.errors import UserError
from hf_ext.tokenization.word_counts import WordCounts

LONGEST_PIECE = 16  # characters
SEEDS_A_PIECE, LEAST_SEEDS = 10, 100_000  # candidates to begin with; sentencepiece's own million takes memory only


def train_unigram(counts: WordCounts, *, vocab_size: int, characters: str, unknown: str) -> list[tuple[str, float]]:
    """Learn pieces and their log-probabilities (Kudo, 2018, arXiv:1804.10959, section 3.2) from counted words.

    Args:
        counts: Words as the pre-tokenizer gives them.
        vocab_size: Pieces wanted, the unknown one included; fewer if the words do not give so many.
        characters: All characters that shall be pieces; others are unknown.
        unknown: The unknown piece.

    Returns:
        Piece and log-probability (nats), the unknown piece first.

    Raises:
        UserError: If the package sentencepiece is not installed.
    """
    sentencepiece = _import_sentencepiece()
    proto = train_model(counts, vocab_size=vocab_size, characters=characters, unknown=unknown)
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    return [(processor.id_to_piece(i), processor.get_score(i)) for i in range(processor.get_piece_size())][:vocab_size]


def train_model(counts: WordCounts, *, vocab_size: int, characters: str, unknown: str) -> bytes:
    """Train sentencepiece's own model, with the arguments of ``train_unigram``, and give the bytes of its file.

    sentencepiece gets words with counts, not lines, and changes nothing about them: normalisation and cuts are those
    of the tokenizer that will use the pieces, so both cut words alike.
    """
    written = io.BytesIO()
    _import_sentencepiece().SentencePieceTrainer.train(
        sentence_iterator=_tab_separated(counts, set(characters)),
        model_writer=written,
        input_format="tsv",
        model_type="unigram",
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        max_sentencepiece_length=LONGEST_PIECE,
        seed_sentencepiece_size=max(SEEDS_A_PIECE * vocab_size, LEAST_SEEDS),
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_whitespace=False,
        split_by_unicode_script=False,
        split_by_number=False,
        unk_id=0,
        unk_piece=unknown,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return written.getvalue()


def _import_sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError:
        fix = "run `pip install sentencepiece`, or choose another --kind"
        raise UserError("--kind unigram needs the package sentencepiece, which is not installed", fix=fix) from None
    return sentencepiece


def _tab_separated(counts: WordCounts, known: set[str]) -> Iterator[str]:
    """Write words and counts as sentencepiece reads them; characters that shall be unknown part a word."""
    for word in sorted(counts.words):
        number = counts.words[word]
        if known.issuperset(word):
            yield f"{word}\t{number}"
        else:
            parts = "".join(character if character in known else " " for character in word).split()
            yield from (f"{part}\t{number}" for part in parts)
