"""Sentences a line each: plain text to predict, and folders of seq.in, seq.out and label."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from pathlib import Path

from hf_ext.data.encodings import TextFile
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.conll import SAMPLE_LINES, TAG_SHAPE, TAGGED_LINE, split_blanks
from hf_ext.data.tagging.sentences import Sentence, SentenceFile
from hf_ext.data.tagging.tables import NO_COLUMN
from hf_ext.data.tagging.text_words import choose_level, cut_text
from hf_ext.errors import UserError

WORDS_FILE, TAGS_FILE, LABEL_FILE = "seq.in", "seq.out", "label"


def read_text(path: Path, *, unlabelled: bool, level: str | None) -> SentenceFile:
    """Read plain text, a sentence a line; a blank line is a sentence without words, so that lines can be compared.

    Raises:
        UserError: If there is no word, or tags are needed.
    """
    file = TextFile(path)
    lines = [line.rstrip("\n") for line in file]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise UserError("no sentences (the file is empty)", where=str(path), fix="check that this is the right file")
    if not unlabelled:
        raise UserError(
            "plain text has no tags to train or evaluate on", where=str(path), fix="pass it as --test_file only"
        )
    level = level or choose_level(lines)
    sentences = []
    for number, line in enumerate(lines, 1):
        spans = cut_text(line, level)
        sentences.append(Sentence([line[start:end] for start, end in spans], None, (number,), text=line, spans=spans))
    note = f"{path}: read as text, a sentence a line (--file_format conll reads a word a line)"
    return SentenceFile(sentences, str(path), level, notes=[*file.notes, note])


def looks_like_text(path: Path, tags: Collection[str] = ()) -> bool:
    """Whether a .txt file to predict holds a sentence a line, and not a word a line.

    It holds words if most lines end in a tag or in something that looks like one, or if all lines have as many cells
    and blank lines divide them into groups of more than one.

    Args:
        path: The file.
        tags: Those of the model, where they are known.
    """
    raw = [line.rstrip() for _, line in zip(range(SAMPLE_LINES), TextFile(path), strict=False)]
    filled = [line for line in raw if line and not line.startswith("#")]
    if sum(_ends_in_tag(line, tags) for line in filled) * 2 > len(filled):
        return False
    lines = [line.strip() for line in raw]
    cells = [split_blanks(line.strip()) for line in filled]
    groups = [len(list(group)) for filled, group in groupby(lines, key=bool) if filled]
    return not (len(groups) > 1 and max(groups) > 1 and len({len(row) for row in cells}) == 1)


def _ends_in_tag(line: str, tags: Collection[str]) -> bool:
    cells = split_blanks(line)
    known = len(cells) > 1 and cells[-1] in tags
    behind_tab = "\t" in line and TAG_SHAPE.fullmatch(line.rpartition("\t")[2])  # there a type may hold blanks
    return bool(known or behind_tab or TAGGED_LINE.fullmatch(line))


def read_line_folder(folder: Path, arguments: TaggingDataArguments, *, unlabelled: bool = False) -> SentenceFile:
    """Read ``seq.in`` (words between blanks), ``seq.out`` (their tags) and ``label`` (one label a sentence).

    The label file may be absent, and in folders to predict the tags as well.

    Raises:
        UserError: If the files have different numbers of lines, or a line different numbers of words and tags.
    """
    words = _read_lines(folder / WORDS_FILE)
    tags = _read_lines(folder / TAGS_FILE) if (folder / TAGS_FILE).is_file() else None
    if tags is None and not unlabelled:
        raise UserError(f"no {TAGS_FILE} beside {WORDS_FILE}", where=str(folder), fix="add the tags, a line a sentence")
    with_labels = (folder / LABEL_FILE).is_file() and arguments.sentence_label_column_name != NO_COLUMN
    labels = _read_lines(folder / LABEL_FILE) if with_labels else None
    for name, lines in ((TAGS_FILE, tags), (LABEL_FILE, labels)):
        if lines is not None and len(lines) != len(words):
            raise UserError(
                f"{len(lines)} lines, but {WORDS_FILE} has {len(words)}",
                where=str(folder / name),
                fix="align the files",
            )
    sentences = []
    for i, line in enumerate(words):
        sentence = Sentence(line.split(), tags[i].split() if tags else None, (i + 1,))
        if sentence.tags is not None and len(sentence.tags) != len(sentence.words):
            what = f"{len(sentence.tags)} tags for {len(sentence.words)} words"
            raise UserError(what, where=f"{folder / TAGS_FILE}:{i + 1}", fix="give each word one tag")
        sentence.label = (labels[i].strip() or None) if labels else None
        sentences.append(sentence)
    if not sentences:
        raise UserError("no sentences", where=str(folder / WORDS_FILE), fix="check that this is the right folder")
    label_column = LABEL_FILE if labels else None
    return SentenceFile(sentences, str(folder / WORDS_FILE), None, WORDS_FILE, TAGS_FILE, label_column)


def _read_lines(path: Path) -> list[str]:
    return [line.rstrip("\n") for line in TextFile(path)]
