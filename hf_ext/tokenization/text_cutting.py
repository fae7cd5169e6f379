"""How text becomes words before a vocabulary is learned: normalisation, cuts, and the parts of words without blanks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

Segmenter = Callable[[str], Sequence[str]]

NORMALIZATIONS = ("none", "nfc", "nfkc")
LONGEST_PART = 8  # characters of a run without blanks that are counted as one word where no segmenter cuts it
RUN = re.compile(f"[\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]{{2,}}|\\S{{{4 * LONGEST_PART},}}")


def build_normalizer(
    *, normalization: str = "nfkc", lower_case: bool = False, strip_accents: bool = False
) -> normalizers.Normalizer:
    """Unify how characters are written; control characters are dropped, white space of any kind becomes a blank.

    Args:
        normalization: ``nfkc`` also makes one of full-width and half-width forms, ``nfc`` only composes accents.
        lower_case: Fold case.
        strip_accents: ``é`` becomes ``e``.
    """
    steps: list[normalizers.Normalizer] = []
    if normalization != "none":
        steps.append({"nfc": normalizers.NFC, "nfkc": normalizers.NFKC}[normalization]())
    clean = {"clean_text": True, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    steps.append(normalizers.BertNormalizer(**clean))
    if lower_case:
        steps.append(normalizers.Lowercase())
    if strip_accents:
        steps += [normalizers.NFD(), normalizers.StripAccents()]
    return normalizers.Sequence(steps)


def build_pre_tokenizer(
    build_base: Callable[[bool], pre_tokenizers.PreTokenizer],
    *,
    chinese_apart: bool = False,
    digits_apart: bool = False,
) -> pre_tokenizers.PreTokenizer:
    """Cut Chinese characters or digits off before the base cuts what is left.

    Args:
        build_base: Gives the cuts of the kind of tokenizer, told whether nothing cuts before it.
        chinese_apart: Every Chinese character is a word.
        digits_apart: Every digit is a word.
    """
    steps: list[pre_tokenizers.PreTokenizer] = []
    if chinese_apart:
        steps.append(pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"))
    if digits_apart:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    base = build_base(not steps)
    return pre_tokenizers.Sequence([*steps, base]) if steps else base


class WordCutter:
    """Give the words of texts as a tokenizer cuts them, runs without blanks cut further.

    Chinese text has no blanks, and nearly all of its clauses are different: counted whole they would fill any memory.
    A segmenter cuts them into words; without one they are cut every eight characters. This serves learning only, the
    tokenizer itself reads runs whole.

    Args:
        backend: A tokenizer of the library tokenizers with normalizer and pre-tokenizer; its model is not used.
        segmenter: Gives the words of a Chinese text, which put together are the text.
    """

    def __init__(self, backend: Tokenizer, segmenter: Segmenter | None = None) -> None:
        self.normalizer = backend.normalizer
        self.pre_tokenizer = backend.pre_tokenizer
        self.segmenter = segmenter

    def __call__(self, text: str) -> list[str]:
        """Give the words of one text."""
        if self.normalizer is not None:
            text = self.normalizer.normalize_str(text)
        if self.pre_tokenizer is None:
            pieces = [(text, (0, len(text)))]
        else:
            pieces = self.pre_tokenizer.pre_tokenize_str(text)
        if RUN.search(text) is None:
            return [word for word, _ in pieces]
        words: list[str] = []
        for word, (start, end) in pieces:
            if end - start > 1 and RUN.search(text, start, end):
                words += self._part(word, text[start:end])
            else:
                words.append(word)
        return words

    def _part(self, word: str, text: str) -> Iterator[str]:
        """Cut a word where its text is cut; the word may be bytes written as characters, or have a mark in front."""
        size = len if abs(len(word) - len(text)) <= 1 else _count_bytes
        lead = len(word) - size(text)
        begin = at = 0
        for part in self._segments(text):
            at += size(part)
            yield word[begin : lead + at]
            begin = lead + at

    def _segments(self, text: str) -> Iterator[str]:
        start = 0
        for run in RUN.finditer(text):
            before, found = text[start : run.start()], run.group()
            parts = self._cut_run(found)
            if before.isspace():  # the blank before a word belongs to it
                parts = [before + parts[0], *parts[1:]]
            elif before:
                yield before
            yield from parts
            start = run.end()
        if start < len(text):
            yield text[start:]

    def _cut_run(self, run: str) -> list[str]:
        if self.segmenter is not None and not run.isascii():
            return list(self.segmenter(run))
        return [run[i : i + LONGEST_PART] for i in range(0, len(run), LONGEST_PART)]


def _count_bytes(text: str) -> int:
    return len(text.encode())
