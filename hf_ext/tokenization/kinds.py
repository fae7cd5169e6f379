"""Kinds of tokenizers: how each cuts text, and how it learns its vocabulary from counted words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from hf_ext.errors import UserError
from hf_ext.tokenization.unigram import train_unigram
from hf_ext.tokenization.word_counts import WordCounts

MARK = "▁"  # stands for a blank in pieces (U+2581)
PREFIX = "##"  # of pieces inside of a word
WORDS = r"[\p{L}\p{M}\p{N}_]+|[^\s\p{L}\p{M}\p{N}_]"  # runs of letters and digits, and single marks


class VocabularyRequest(NamedTuple):
    """What is asked of a vocabulary.

    Args:
        size: Tokens wanted, special ones included.
        special_tokens: The first tokens, in this order.
        unknown: The one of them that stands for unknown characters or words.
        min_frequency: Pairs (of words and characters: tokens) that occur less often in the text are not learned.
        coverage: Share of the characters of the text that must be in the vocabulary; the rarest of the rest are not.
        progress: Whether the library tokenizers shows its bars.
    """

    size: int
    special_tokens: tuple[str, ...]
    unknown: str
    min_frequency: int = 2
    coverage: float = 0.9999
    progress: bool = False


class TokenizerKind:
    """One kind of tokenizer. A subclass says how text is cut and decoded and how a model is learned.

    ``model_type`` is what ``tokenizer.json`` calls the model.
    """

    model_type: ClassVar[str] = ""
    chinese_apart: ClassVar[bool] = False  # the kind's habit, unless the user says otherwise
    budget_share: ClassVar[float] = 1.0  # of the budget for counting: what keeps the memory of all kinds alike

    def pre_tokenizer(self, *, first: bool = True) -> pre_tokenizers.PreTokenizer:
        """Give the cuts of this kind; ``first`` says that nothing cuts before it."""
        raise NotImplementedError

    def decoder(self) -> decoders.Decoder | None:
        """Give what puts tokens together again; None puts blanks between them."""
        return None

    def post_processors(self) -> list[Any]:
        """Give what happens beside the template of special tokens."""
        return []

    def learn(self, counts: WordCounts, request: VocabularyRequest) -> models.Model:
        """Learn a vocabulary.

        Args:
            counts: Words as ``pre_tokenizer`` cuts them.
            request: What is asked of it.

        Raises:
            UserError: If the vocabulary is too small for the characters of the text.
        """
        raise NotImplementedError


class WordPieceKind(TokenizerKind):
    """WordPiece with ``##`` inside of words, as in BERT (Wu et al., 2016, arXiv:1609.08144).

    The pieces are learned as merges of frequent pairs, as the library tokenizers does for want of Google's trainer.

    When: a BERT from scratch, above all for Chinese by characters.
    """

    model_type = "WordPiece"
    chinese_apart = True

    def pre_tokenizer(self, *, first: bool = True) -> pre_tokenizers.PreTokenizer:
        """Cut at blanks and around marks."""
        return pre_tokenizers.BertPreTokenizer()

    def decoder(self) -> decoders.Decoder:
        """Join continuations."""
        return decoders.WordPiece(prefix=PREFIX, cleanup=False)

    def learn(self, counts: WordCounts, request: VocabularyRequest) -> models.Model:
        """Learn pieces; those of one character are given ids first, so that ties are broken the same way each time."""
        characters = cover(counts, request)
        inside = [character for character in characters if character in counts.inner_characters]
        alphabet = [*characters, *(PREFIX + character for character in inside)]
        _check_room(request, len(alphabet))
        trainer = trainers.WordPieceTrainer(
            vocab_size=request.size,
            min_frequency=_in_sample(request, counts),
            special_tokens=[*request.special_tokens, *alphabet],
            initial_alphabet=characters,
            limit_alphabet=len(characters),
            continuing_subword_prefix=PREFIX,
            show_progress=request.progress,
        )
        learned = _train(models.WordPiece(unk_token=request.unknown), trainer, counts)
        vocabulary = _renumber(learned.get_vocab(with_added_tokens=False), request)
        return models.WordPiece(vocabulary, unk_token=request.unknown, continuing_subword_prefix=PREFIX)


class BPEKind(TokenizerKind):
    """Byte-pair encoding of characters (Sennrich et al., 2016, arXiv:1508.07909), blanks kept as ``▁``.

    When: text of many scripts without an unknown token too many; for no unknown token at all take ``byte_bpe``.
    """

    model_type = "BPE"

    def pre_tokenizer(self, *, first: bool = True) -> pre_tokenizers.PreTokenizer:
        """Cut before blanks."""
        return pre_tokenizers.Metaspace(prepend_scheme="first")

    def decoder(self) -> decoders.Decoder:
        """Turn marks back into blanks."""
        return decoders.Metaspace(prepend_scheme="first")

    def learn(self, counts: WordCounts, request: VocabularyRequest) -> models.Model:
        """Learn merges, with ids in their order."""
        characters = cover(counts, request)
        _check_room(request, len(characters))
        trainer = trainers.BpeTrainer(
            vocab_size=request.size,
            min_frequency=_in_sample(request, counts),
            special_tokens=list(request.special_tokens),
            initial_alphabet=characters,
            limit_alphabet=len(characters),
            show_progress=request.progress,
        )
        return _train(models.BPE(unk_token=request.unknown, fuse_unk=True), trainer, counts).model


class ByteBPEKind(TokenizerKind):
    """Byte-pair encoding of bytes, as in GPT-2 and RoBERTa (Radford et al., 2019): nothing is unknown.

    When: text of all sorts, code, emoji; the 256 bytes are always in the vocabulary.
    """

    model_type = "BPE"

    def pre_tokenizer(self, *, first: bool = True) -> pre_tokenizers.PreTokenizer:
        """Cut into words with the blank before them, numbers and marks; write bytes as characters.

        The first word gets a blank, too, unless there are cuts before: each piece would get one.
        """
        return pre_tokenizers.ByteLevel(add_prefix_space=first)

    def decoder(self) -> decoders.Decoder:
        """Turn characters back into bytes."""
        return decoders.ByteLevel()

    def post_processors(self) -> list[Any]:
        """Leave the blank before a word out of its offsets."""
        return [processors.ByteLevel(trim_offsets=True)]

    def learn(self, counts: WordCounts, request: VocabularyRequest) -> models.Model:
        """Learn merges of bytes."""
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        _check_room(request, len(alphabet))
        trainer = trainers.BpeTrainer(
            vocab_size=request.size,
            min_frequency=_in_sample(request, counts),
            special_tokens=list(request.special_tokens),
            initial_alphabet=alphabet,
            show_progress=request.progress,
        )
        return _train(models.BPE(), trainer, counts).model


class UnigramKind(TokenizerKind):
    """The most likely pieces (Kudo, 2018, arXiv:1804.10959), trained by sentencepiece, blanks kept as ``▁``.

    When: Chinese with tokens of several characters, languages with long words; as in XLM-R, ALBERT and DeBERTa.
    """

    model_type = "Unigram"
    budget_share = 0.5

    def pre_tokenizer(self, *, first: bool = True) -> pre_tokenizers.PreTokenizer:
        """Cut before blanks."""
        return pre_tokenizers.Metaspace(prepend_scheme="first")

    def decoder(self) -> decoders.Decoder:
        """Turn marks back into blanks."""
        return decoders.Metaspace(prepend_scheme="first")

    def learn(self, counts: WordCounts, request: VocabularyRequest) -> models.Model:
        """Learn pieces and put the special tokens before them."""
        characters = cover(counts, request)
        _check_room(request, len(characters))
        size = request.size - len(request.special_tokens) + 1  # the unknown piece is among both
        pieces = train_unigram(counts, vocab_size=size, characters="".join(characters), unknown=request.unknown)
        learned = {piece: score for piece, score in pieces if piece not in request.special_tokens}
        least = min(learned.values(), default=0.0)  # for characters of words that the sample has lost
        single = {character: learned.pop(character, least) for character in characters}
        longer = list(learned.items())[: request.size - len(request.special_tokens) - len(single)]
        found = sorted([*longer, *single.items()], key=lambda piece: (-piece[1], piece[0]))
        special = [(token, 0.0) for token in request.special_tokens]
        return models.Unigram([*special, *found], unk_id=request.special_tokens.index(request.unknown))


class WordKind(TokenizerKind):
    """Whole words, and single marks.

    When: models from scratch that read words, as taggers do; long texts of a closed vocabulary.
    """

    model_type = "WordLevel"
    chinese_apart = True

    def pre_tokenizer(self, *, first: bool = True) -> pre_tokenizers.PreTokenizer:
        """Cut into runs of letters and digits, and single marks."""
        return pre_tokenizers.Split(Regex(WORDS), "removed", invert=True)

    def learn(self, counts: WordCounts, request: VocabularyRequest) -> models.Model:
        """Take the most frequent words, ties in code-point order."""
        frequent = sorted(counts.words.items(), key=lambda item: (-item[1], item[0]))
        return _table([word for word, number in frequent if number >= _in_sample(request, counts)], request)


class CharacterKind(TokenizerKind):
    """Single characters, a blank being ``▁``.

    When: Chinese without anything to learn, noisy spelling; sequences become long for spaced languages.
    """

    model_type = "WordLevel"

    def pre_tokenizer(self, *, first: bool = True) -> pre_tokenizers.PreTokenizer:
        """Cut everywhere."""
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Metaspace(prepend_scheme="never", split=False),
                pre_tokenizers.Split(Regex("."), "isolated"),
            ]
        )

    def decoder(self) -> decoders.Decoder:
        """Put characters together."""
        return decoders.Sequence([decoders.Replace(MARK, " "), decoders.Fuse()])

    def learn(self, counts: WordCounts, request: VocabularyRequest) -> models.Model:
        """Take the most frequent characters."""
        _check_room(request, len(cover(counts, request)))
        frequent = sorted(counts.characters.items(), key=lambda item: (-item[1], item[0]))
        return _table([character for character, number in frequent if number >= request.min_frequency], request)


def cover(counts: WordCounts, request: VocabularyRequest) -> list[str]:
    """Give the most frequent characters that make up the asked share of the text, in code-point order."""
    total = sum(counts.characters.values())
    wanted, seen, found = math.ceil(total * request.coverage), 0, []
    for character, number in sorted(counts.characters.items(), key=lambda item: (-item[1], item[0])):
        if seen >= wanted:
            break
        seen += number
        found.append(character)
    return sorted(found)


def _in_sample(request: VocabularyRequest, counts: WordCounts) -> int:
    """Give what the least frequency in the whole text comes to where a sample was counted."""
    return max(math.ceil(request.min_frequency * counts.rate), 1)


def _check_room(request: VocabularyRequest, alphabet: int) -> None:
    least = alphabet + len(request.special_tokens)
    if request.size < least:
        raise UserError(
            f"--vocab_size {request.size} is smaller than the alphabet: {alphabet} pieces of one character and "
            f"{len(request.special_tokens)} special tokens",
            fix=f"take at least {least}, or lower --character_coverage",
        )


def _train(model: models.Model, trainer: Any, counts: WordCounts) -> Tokenizer:
    """Hand counted words to a trainer of the library tokenizers, which counts them once more."""
    carrier = Tokenizer(model)
    carrier.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
    carrier.train_from_iterator(counts.lines(), trainer)
    return carrier


def _renumber(vocabulary: dict[str, int], request: VocabularyRequest) -> dict[str, int]:
    return {token: i for i, token in enumerate(sorted(vocabulary, key=vocabulary.__getitem__)[: request.size])}


def _table(tokens: Sequence[str], request: VocabularyRequest) -> models.Model:
    room = max(request.size - len(request.special_tokens), 0)
    kept = [token for token in tokens if token not in request.special_tokens][:room]
    if not kept:
        raise UserError(
            f"no token beside the {len(request.special_tokens)} special ones",
            fix="raise --vocab_size, or lower --min_frequency",
        )
    return models.WordLevel(
        {token: i for i, token in enumerate([*request.special_tokens, *kept])}, unk_token=request.unknown
    )


KINDS: dict[str, type[TokenizerKind]] = {
    "wordpiece": WordPieceKind,
    "bpe": BPEKind,
    "byte_bpe": ByteBPEKind,
    "unigram": UnigramKind,
    "word": WordKind,
    "character": CharacterKind,
}
