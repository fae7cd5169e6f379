"""Rows of a classification that were taken for tagged words: what should be words are whole texts, or the tags are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from hf_ext.errors import UserError
from hf_ext.han import han_prevails
from hf_ext.models.tag_schemes import OUTSIDE

SAMPLE = 1000  # words
LONGEST_WORD = 5  # Han characters that half of all words reach; words of segmented Chinese have two
PREFIXES = ("B-", "I-", "E-", "S-", "M-")


def refuse_whole_texts(words: Iterable[str], tags: Sequence[str], source: str) -> None:
    """Refuse a file in which nothing is outside of an entity, and whose words (or tags) are sentences.

    Args:
        words: Those of the training sentences.
        tags: All tags that occur.
        source: The file.

    Raises:
        UserError: Naming the script for such rows.
    """
    if any(tag == OUTSIDE or tag.startswith(PREFIXES) for tag in tags):
        return
    for kind, found in (("words", words), ("tags", tags)):
        sample = [text for text, _ in zip(found, range(SAMPLE), strict=False)]
        if is_text(sample):
            raise UserError(
                f"the {kind} are whole texts, such as {sample[0][:40]!r}",
                where=source,
                fix="run_classification.py learns one label for each text; for tags write one word a line",
            )


def is_text(sample: Sequence[str]) -> bool:
    """Tell whether most of some texts are longer than words are."""
    if not sample:
        return False
    if median(len(text.split()) for text in sample) > 1:
        return True
    return han_prevails(sample) and median(map(len, sample)) >= LONGEST_WORD
