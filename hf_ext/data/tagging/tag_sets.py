"""The tags of a data set: their scheme, their order, and what breaks them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hf_ext.data.checks.findings import Finding
from hf_ext.data.encodings import TextFile
from hf_ext.data.tagging.sentences import SentenceFile
from hf_ext.errors import UserError
from hf_ext.models.tag_schemes import OUTSIDE, SchemeError, convert_tags, find_scheme, illegal_places, split_tag
from hf_ext.models.tagging_schema import TaggingSchema


def name_numbers(file: SentenceFile, label_file: str | None) -> None:
    """Replace tags that are numbers by the names in ``--label_file``, in place.

    Raises:
        UserError: If a tag is neither a name nor the number of one, or if all tags are numbers and nothing names them.
    """
    names = read_label_file(Path(label_file)) if label_file else []
    rows = [(i, sentence.tags) for i, sentence in enumerate(file.sentences) if sentence.tags]
    seen = {tag for _, tags in rows for tag in tags}
    if not seen or not (names or all(tag.isdigit() for tag in seen)) or file.scheme:
        return
    if not names:
        raise UserError("the tags are numbers without names", where=file.source, fix="pass --label_file")
    meanings = {tag: tag if tag in names else _named(tag, names) for tag in seen}
    for i, tags in rows:
        for j, tag in enumerate(tags):
            if meanings[tag] is None:
                what = f"the tag {tag!r} is neither in the label file nor a number from 0 to {len(names) - 1}"
                raise UserError(what, where=file.place(i, j), fix="check --label_file")
        file.sentences[i].tags = [str(meanings[tag]) for tag in tags]


def read_label_file(path: Path) -> list[str]:
    """Read the names of numbered tags, one a line.

    Raises:
        UserError: If the file is missing or a name occurs twice.
    """
    if not path.is_file():
        raise UserError("no such file", where=str(path), fix="check --label_file")
    names = [line.strip() for line in TextFile(path)]
    while names and not names[-1]:
        names.pop()
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UserError(f"the tag {name!r} stands there twice", where=f"{path}:{i + 1}", fix="leave one out")
    return names


def choose_scheme(file: SentenceFile, named: str | None, *, saved: TaggingSchema | None = None) -> str:
    """Give the scheme of a file: the one its reader wrote, the named one, the saved one where it fits, or one found.

    Args:
        file: Its sentences.
        named: ``--scheme``.
        saved: The schema of the model that reads the file; its scheme is believed if it has every tag of the file
            and no sentence breaks it.

    Raises:
        UserError: If the tags mix schemes, naming the line.
    """
    if file.scheme or named:
        return str(file.scheme or named)
    tags = [sentence.tags for sentence in file.sentences if sentence.tags]
    fits = saved is not None and {tag for row in tags for tag in row} <= set(saved.tags)
    if saved is not None and fits and not any(illegal_places(row, saved.scheme) for row in tags):
        return saved.scheme
    try:
        return find_scheme(tags)
    except SchemeError as error:
        where = _place_of(file, error.tag)
        raise UserError(str(error), where=where, fix="correct the tags, or name their --scheme") from None


def convert_file(file: SentenceFile, source: str, target: str) -> list[str]:
    """Write the tags of a file in another scheme, in place, and count what broke its own.

    Returns:
        A note with the count and the first place if sentences break ``source``; their entities are then read
        leniently where they are converted.

    Raises:
        UserError: If a tag does not belong to ``source``, or cannot be written in ``target``, naming the line.
    """
    _check_tags(file, source)
    broken: list[tuple[int, int]] = []
    words = 0
    for i, row in enumerate(file.sentences):
        if row.tags:
            places = illegal_places(row.tags, source)
            words += len(places)
            broken += [(i, places[0])] if places else []
            if target != source:
                row.tags = _convert(file, i, source, target)
    if not broken:
        return []
    sentence, word = broken[0]
    read = "read leniently" if target != source else "kept as they are"
    first = f"the first at {file.sentences[sentence].words[word]!r}"
    what = f"tags in {len(broken)} sentences break the scheme {source}, {first}; they are {read}"
    return [Finding("illegal_tags", file.source, words, what, line=file.sentences[sentence].line(word))]


def spell_alike(file: SentenceFile, scheme: str, known: Sequence[str] = ()) -> None:
    """Write tags that mean the same alike, in place: ``B_PER`` as ``B-PER`` if that stands first, or is known.

    Args:
        file: Sentences with tags of ``scheme``.
        scheme: One of ``tag_schemes.SCHEMES``.
        known: Tags that stay as they are, and whose spelling is taken over.
    """
    ends: dict[str, str] = {}  # of each type, what stands behind the letter

    def spell(tag: str) -> str:
        letter, kind = split_tag(tag, scheme)
        if tag == OUTSIDE:
            return tag
        if scheme == "IO":
            return ends.setdefault(kind, tag)
        return letter + ends.setdefault(kind, tag[1:])

    for tag in known:
        spell(tag)
    spelled = dict(zip(known, known, strict=True))
    for sentence in file.sentences:
        for tag in sentence.tags or ():
            if tag not in spelled:
                spelled[tag] = spell(tag)
        sentence.tags = sentence.tags and [spelled[tag] for tag in sentence.tags]


def fit_tags(rows: Iterable[Sequence[str]], scheme: str, *, saved: TaggingSchema | None = None) -> tuple[str, ...]:
    """Collect the tags of the training sentences: ``O`` first, then type by type, each with every letter of the scheme.

    A type gets all its letters even where training lacks one (a type of single words has no I), so that none of them
    is unknown later. IOB1 gets its rare B, and IO and word segmentation their O, only where they occur.

    Args:
        rows: The tags of each sentence, in ``scheme``.
        scheme: One of ``tag_schemes.SCHEMES``.
        saved: A model trained further keeps its own tags, in its own order, if it has all of these.
    """
    seen = {tag for row in rows for tag in row}
    letters = {"IO": "", "IOB1": "I"}.get(scheme, scheme.replace("O", ""))
    wanted = set(seen)
    for tag in seen - {OUTSIDE}:
        _, kind = split_tag(tag, scheme)
        wanted |= {letter + tag[1:] for letter in letters}
        if kind and scheme != "IO":
            wanted.add(OUTSIDE)
    if saved is not None and saved.scheme == scheme and wanted <= set(saved.tags):
        return saved.tags
    order = "BIMELSU"

    def key(tag: str) -> tuple[str, int, str]:
        letter, kind = split_tag(tag, scheme)
        return kind, order.find(letter), tag

    return tuple(sorted(wanted, key=key))  # O has the empty type and no place in the order: it comes first


def find_unknown_tags(file: SentenceFile, schema: TaggingSchema, *, ignore: bool) -> list[str]:
    """Find sentences with tags that the model has no output for; with ``ignore`` they are marked as not scored.

    Returns:
        A note if there are some.

    Raises:
        UserError: With the count, the first place and its tag, unless ``ignore``.
    """
    known = set(schema.tags)
    found = [
        (i, next(j for j, tag in enumerate(sentence.tags) if tag not in known))
        for i, sentence in enumerate(file.sentences)
        if sentence.tags and not known.issuperset(sentence.tags)
    ]
    if not found:
        return []
    first, word = found[0]
    tag = (file.sentences[first].tags or [])[word]
    what = f"sentences have tags that training has not seen, the first {tag!r}"
    if not ignore:
        fix = "correct them, or pass --unknown_labels ignore"
        raise UserError(f"{len(found)} {what}", where=file.place(first, word), fix=fix)
    for i, _ in found:
        file.sentences[i].scored = False
    line = file.sentences[first].line(word)
    return [Finding("unknown_tags", file.source, len(found), f"{what}; they are not scored", line=line)]


def _place_of(file: SentenceFile, tag: str) -> str:
    """Give the first place of a tag that occurs."""
    return next(file.place(i, s.tags.index(tag)) for i, s in enumerate(file.sentences) if s.tags and tag in s.tags)


def _convert(file: SentenceFile, number: int, source: str, target: str) -> list[str]:
    try:
        return convert_tags(file.sentences[number].tags or (), source, target)
    except ValueError as error:
        raise UserError(
            str(error), where=file.place(number), fix="rename the type, or choose another --convert_scheme"
        ) from None


def _check_tags(file: SentenceFile, scheme: str) -> None:
    fine: set[str] = set()
    for i, sentence in enumerate(file.sentences):
        for j, tag in enumerate(sentence.tags or ()):
            if tag not in fine:
                try:
                    split_tag(tag, scheme)
                except ValueError as error:
                    raise UserError(
                        str(error), where=file.place(i, j), fix="correct it, or name another --scheme"
                    ) from None
                fine.add(tag)


def _named(tag: str, names: Sequence[str]) -> str | None:
    return names[int(tag)] if tag.isascii() and tag.isdigit() and int(tag) < len(names) else None
