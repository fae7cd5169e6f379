"""Words of Chinese text, which has no blanks between them."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable

from hf_ext.errors import UserError, did_you_mean
from hf_ext.han import han_prevails

Segmenter = Callable[[str], list[str]]

HEAD = 200  # characters by which the script of a document is told
EXTRA = "hf_ext[zh]"
DEFAULT_SEGMENTER = "rjieba"


def load_segmenter(name: str) -> Segmenter:
    """Give a function that cuts a text into words which, put together, are the text.

    Args:
        name: One of ``SEGMENTERS``.

    Raises:
        UserError: If there is no such segmenter, or its package is not installed.
    """
    if name not in SEGMENTERS:
        fix = did_you_mean(name, [*SEGMENTERS, "auto", "none"])
        raise UserError(f"--segmenter {name}: there is no such segmenter", fix=fix)
    try:
        return SEGMENTERS[name]()
    except ImportError:
        package = EXTRA if name == DEFAULT_SEGMENTER else name
        raise UserError(
            f"words of Chinese text are found by the package {name}, which is not installed",
            fix=f"run `pip install '{package}'`, or pass --segmenter none or --masking token",
        ) from None


def choose_segmenter(name: str, masking: str, texts: Iterable[str]) -> str | None:
    """Choose what finds the words of Chinese documents, and see that it is installed.

    Args:
        name: ``--segmenter``.
        masking: ``--masking``; nothing is needed where tokens are masked one by one.
        texts: Some documents, among which Chinese is looked for.

    Returns:
        A name of ``SEGMENTERS``, or None where the tokenizer's words will do.

    Raises:
        UserError: As ``load_segmenter``.
    """
    if masking == "token" or name == "none":
        return None
    if name == "auto":
        if not any(is_chinese(text) for text in texts):
            return None
        name = DEFAULT_SEGMENTER
    load_segmenter(name)
    return name


def is_chinese(text: str) -> bool:
    """Whether the beginning of a document is mostly Han script."""
    return han_prevails([text[:HEAD]])


def _load_rjieba() -> Segmenter:
    """The Rust edition of jieba: the same words, 24 times as fast."""
    return importlib.import_module("rjieba").cut


def _load_jieba() -> Segmenter:
    """The original in Python, for those who have taught it words of their own."""
    jieba = importlib.import_module("jieba")
    jieba.setLogLevel(logging.WARNING)
    return jieba.lcut


SEGMENTERS: dict[str, Callable[[], Segmenter]] = {DEFAULT_SEGMENTER: _load_rjieba, "jieba": _load_jieba}
