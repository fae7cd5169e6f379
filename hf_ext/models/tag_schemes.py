"""Tag schemes: how the tags of single words spell entities, and which sequences of tags spell nothing.

BIO (IOB2), IOB1, BIOES (IOBES), BILOU and BMES write a prefix, a separator (``-`` or ``_``) and a type; IO writes the
type alone. BIOES, BILOU and BMES differ in letters only. The outside of all entities is ``O`` everywhere.

Sources: Ramshaw and Marcus (1995, cmp-lg/9505040) for IOB1; Tjong Kim Sang and Veenstra (1999, cs/9907006) for the
variants; Ratinov and Roth (2009, W09-1119) for BILOU; the strict reading is the one of seqeval 1.2 (``mode="strict"``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

SCHEMES = ("BIO", "IOB1", "BIOES", "BILOU", "BMES", "IO")
OUTSIDE = "O"

# The letters of each scheme, and what they say in the language of BIOES, in which this file thinks.
_LETTERS = {
    "BIO": {"B": "B", "I": "I"},
    "IOB1": {"B": "B", "I": "I"},
    "BIOES": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S"},
    "IO": {"I": "I"},
}
_CLOSED = ("BIOES", "BILOU", "BMES")  # schemes that mark the last word of an entity
_PREFIXED = re.compile(r"([BIELSUM])(?:[-_](.+))?", re.DOTALL)
_MISWRITTEN = (
    re.compile(r"(?P<letter>[bim])[-_](?P<type>.+)", re.DOTALL),
    re.compile(r"(?P<type>.+)[-_](?P<letter>[BIM])", re.DOTALL),
)


class SchemeError(ValueError):
    """Tags that no scheme explains; ``tag`` is one that does not fit."""

    def __init__(self, message: str, tag: str) -> None:
        super().__init__(message)
        self.tag = tag


class Entity(NamedTuple):
    """A typed span of words: ``start`` is its first word, ``end`` the word after its last one."""

    type: str
    start: int
    end: int


class LegalTransitions(NamedTuple):
    """Which tags may begin a sentence, follow one another and end a sentence; K is the number of tags.

    ``start`` and ``end`` have length K; ``transitions[i][j]`` says whether tag j may follow tag i.
    """

    start: tuple[bool, ...]
    transitions: tuple[tuple[bool, ...], ...]
    end: tuple[bool, ...]


def split_tag(tag: str, scheme: str | None = None) -> tuple[str, str]:
    """Take a tag apart: ``B-PER`` and ``B_PER`` give ``("B", "PER")``, ``O`` gives ``("O", "")``.

    Only the first separator counts: ``B-creative-work`` is of type ``creative-work``. A letter alone has the empty
    type (``B``, ``M``, ``E``, ``S`` of word segmentation). Under IO the whole tag is the type (``PER``, and ``B-cell``
    too) and its prefix is ``I``; only ``I-PER`` and ``I`` are read as prefixed there.

    Args:
        tag: The tag.
        scheme: One of ``SCHEMES``; its letters are then the only ones allowed. None: the letters of all but IO.

    Raises:
        ValueError: If the tag has no such form.
    """
    letters = None if scheme is None else _letters(scheme)
    if tag == OUTSIDE:
        return OUTSIDE, ""
    found = _PREFIXED.fullmatch(tag)
    if scheme == "IO" and tag and not (found and found[1] == "I"):
        return "I", tag
    if found is None or (letters is not None and found[1] not in letters):
        wanted = "/".join("BIELSUM" if letters is None else letters)
        raise ValueError(f"tag {tag!r} is not one of {scheme or 'a tag scheme'}: expected {wanted}-TYPE or O.")
    return found[1], found[2] or ""


@lru_cache(maxsize=65536)
def read_tag(tag: str, scheme: str) -> tuple[str, str]:
    """Take a tag apart and translate its letter into BIOES: ``L-PER`` of BILOU gives ``("E", "PER")``.

    Raises:
        ValueError: If the tag or the scheme is not known.
    """
    prefix, type_ = split_tag(tag, scheme)
    return (prefix if prefix == OUTSIDE else _LETTERS[scheme][prefix]), type_


def find_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """Tell in which scheme sentences are tagged; they are read once and not kept.

    The rule, first match wins:

    1. a tag without a prefix (``PER``): IO; an error if typed prefixes (``B-LOC``) stand beside it, or if the tags look
       like prefixed ones written otherwise (``b-PER`` and ``i-PER``, ``PER-B`` and ``PER-I``);
    2. the letter M: BMES; L or U: BILOU; E or S: BIOES (also where only B, E, S and O occur, which BMES would share);
    3. B and I only: IOB1 if more words break BIO (an I that continues nothing) than break IOB1 (a B that separates
       nothing), else BIO. So tags without any B are IOB1, and a set that fits both (or has nothing but O) is BIO.

    Raises:
        SchemeError: If it is none of them, letters of several schemes are mixed, or E or L occurs without any B (IOE is
            not read).
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for tags in sentences:
        pairs.update(zip(chain((OUTSIDE,), tags), tags, strict=False))
    prefixed: dict[str, str] = {}
    plain: list[str] = []
    for tag in sorted({tag for _, tag in pairs} - {OUTSIDE}):
        found = _PREFIXED.fullmatch(tag)
        if found:
            prefixed.setdefault(found[1], tag)
        else:
            plain.append(tag)
    if plain:
        typed = [tag for tag in prefixed.values() if len(tag) > 1]
        if typed:
            raise SchemeError(f"tags with and without a prefix are mixed: {typed[0]!r} and {plain[0]!r}.", plain[0])
        _refuse_miswritten(plain)
        return "IO"
    letters = set(prefixed)
    for marks, scheme in (({"M"}, "BMES"), ({"L", "U"}, "BILOU"), ({"E", "S"}, "BIOES")):
        if letters & marks:
            return _checked(prefixed, scheme, marks)
    broken = {scheme: sum(n for (a, b), n in pairs.items() if not _may_follow(a, b, scheme)) for scheme in SCHEMES[:2]}
    return "IOB1" if broken["BIO"] > broken["IOB1"] else "BIO"


def entities(tags: Sequence[str], scheme: str) -> list[Entity]:
    """Read the well-formed entities of a sentence, in order; whatever breaks the scheme is no entity (strict).

    - BIO: a B and the I of its type behind it. An I that continues nothing belongs to nothing.
    - BIOES, BILOU, BMES: one S, or B, any number of I and an E, all of one type. An entity that is not closed, or not
      opened, is none.
    - IOB1: words of one type in a row; a B behind a word of its type begins the next entity. A B elsewhere separates
      nothing: it belongs to no entity, and an I behind it begins one.
    - IO: words of one type in a row; two entities of one type that touch are one.

    Equal to seqeval's strict mode (classes IOB2, IOBES, BILOU, IOB1) except where IOB1 has B-X before B-Y: seqeval then
    loses the entity of the first.

    Args:
        tags: The tags of the words of one sentence.
        scheme: One of ``SCHEMES``.

    Raises:
        ValueError: If a tag or the scheme is not known.
    """
    parts = [read_tag(tag, scheme) for tag in tags]
    found: list[Entity] = []
    start: int | None = None  # first word of the entity that is open
    before, kind = OUTSIDE, ""
    for i, (letter, type_) in enumerate(parts):
        goes_on = start is not None and letter in "IE" and type_ == kind
        if start is not None and not goes_on:
            if scheme not in _CLOSED:
                found.append(Entity(kind, start, i))
            start = None
        if letter == "S" or (goes_on and letter == "E"):
            found.append(Entity(type_, i if start is None else start, i + 1))
            start = None
        elif not goes_on and _opens(letter, scheme, before != OUTSIDE and type_ == kind):
            start = i
        before, kind = letter, type_
    if start is not None and scheme not in _CLOSED:
        found.append(Entity(kind, start, len(parts)))
    return found


def illegal_places(tags: Sequence[str], scheme: str) -> list[int]:
    """Find the words whose tag may not stand behind the tag before it, in order.

    The first word is judged as if O stood before it. A sentence that ends inside of an entity of BIOES, BILOU or BMES
    breaks the scheme at its last word.

    Raises:
        ValueError: If a tag or the scheme is not known.
    """
    places = [
        i
        for i, (before, tag) in enumerate(zip(chain((OUTSIDE,), tags), tags, strict=False))
        if not _may_follow(before, tag, scheme)
    ]
    if len(tags) and not _may_follow(tags[-1], OUTSIDE, scheme) and places[-1:] != [len(tags) - 1]:
        places.append(len(tags) - 1)
    return places


def convert_tags(tags: Sequence[str], source: str, target: str) -> list[str]:
    """Write the tags of a sentence in another scheme; with the same scheme twice, repair them.

    Exact for legal tags, with one exception: IO cannot keep apart two entities of one type that touch. Illegal tags
    are read leniently, so that each word keeps its type: an entity begins at every B and S, and at an I or E that
    continues nothing; it ends at E and S and before whatever does not continue it. The result is always legal, and is
    written with ``-`` whatever separator the tags had.

    Args:
        tags: The tags of the words of one sentence.
        source: The scheme of ``tags``, one of ``SCHEMES``.
        target: The scheme wanted.

    Raises:
        ValueError: If a tag or a scheme is not known, or if a type called O is to be written in IO.
    """
    written = [OUTSIDE] * len(tags)
    before: Entity | None = None
    for entity in _lenient_entities(tags, source):
        touches = before is not None and before.end == entity.start and before.type == entity.type
        for i, letter in enumerate(_letters_of_entity(entity.end - entity.start, target, touches), entity.start):
            written[i] = _write(letter, entity.type, target)
        before = entity
    return written


def legal_transitions(names: Sequence[str], scheme: str) -> LegalTransitions:
    """Say for a set of tags which sequences are legal: those in which ``illegal_places`` finds nothing.

    A set that lacks tags (B-X without any E-X) may leave a tag that leads nowhere; that is the caller's to handle.

    Args:
        names: The K tags, in the order of their ids.
        scheme: One of ``SCHEMES``.

    Raises:
        ValueError: If a tag or the scheme is not known.
    """
    return LegalTransitions(
        start=tuple(_may_follow(OUTSIDE, tag, scheme) for tag in names),
        transitions=tuple(tuple(_may_follow(before, tag, scheme) for tag in names) for before in names),
        end=tuple(_may_follow(tag, OUTSIDE, scheme) for tag in names),
    )


def _letters(scheme: str) -> dict[str, str]:
    if scheme not in _LETTERS:
        raise ValueError(f"tag scheme {scheme!r} is not known; there are {', '.join(SCHEMES)}.")
    return _LETTERS[scheme]


@lru_cache(maxsize=65536)
def _may_follow(before: str, tag: str, scheme: str) -> bool:
    (last, last_type), (letter, type_) = read_tag(before, scheme), read_tag(tag, scheme)
    same = last != OUTSIDE and letter != OUTSIDE and last_type == type_
    if scheme == "BIO":
        return letter != "I" or same
    if scheme == "IOB1":
        return letter != "B" or same
    if scheme in _CLOSED:
        return same and letter in "IE" if last in "BI" else letter in "OBS"
    return True


def _opens(letter: str, scheme: str, behind_its_type: bool) -> bool:
    """Tell whether a word that continues nothing begins an entity of several words (strict reading)."""
    if scheme == "IOB1":
        return letter == "I" or (letter == "B" and behind_its_type)
    return letter == ("I" if scheme == "IO" else "B")


def _lenient_entities(tags: Sequence[str], scheme: str) -> list[Entity]:
    found: list[Entity] = []
    last, last_type = OUTSIDE, ""
    for i, (letter, type_) in enumerate(read_tag(tag, scheme) for tag in tags):
        if letter in "IE" and last in "BI" and type_ == last_type:
            found[-1] = found[-1]._replace(end=i + 1)
        elif letter != OUTSIDE:
            found.append(Entity(type_, i, i + 1))
        last, last_type = letter, type_
    return found


def _letters_of_entity(length: int, scheme: str, touches: bool) -> str:
    """Spell an entity in the language of BIOES; ``touches``: one of the same type ends right before it."""
    if scheme in _CLOSED:
        return "S" if length == 1 else "B" + "I" * (length - 2) + "E"
    return ("B" if scheme == "BIO" or (scheme == "IOB1" and touches) else "I") + "I" * (length - 1)


def _write(letter: str, type_: str, scheme: str) -> str:
    if scheme == "IO":
        if type_ == OUTSIDE:
            raise ValueError(f"the type {type_!r} cannot be written in IO, where it means outside.")
        return type_ or "I"
    prefix = next(own for own, meaning in _letters(scheme).items() if meaning == letter)
    return f"{prefix}-{type_}" if type_ else prefix


def _checked(prefixed: dict[str, str], scheme: str, marks: set[str]) -> str:
    foreign = [tag for letter, tag in prefixed.items() if letter not in _LETTERS[scheme]]
    if foreign:
        own = next(tag for letter, tag in prefixed.items() if letter in marks)
        message = f"letters of several tag schemes are mixed: {own!r} is {scheme}, {foreign[0]!r} is not."
        raise SchemeError(message, foreign[0])
    ends = [tag for letter, tag in prefixed.items() if _LETTERS[scheme][letter] == "E"]
    if ends and "B" not in prefixed:
        message = f"the tag {ends[0]!r} ends entities that no B begins; the IOE schemes are not read."
        raise SchemeError(message, ends[0])
    return scheme


def _refuse_miswritten(plain: Sequence[str]) -> None:
    """Refuse tags that IO would take for types although they begin and continue one."""
    for form in _MISWRITTEN:
        first: dict[str, tuple[str, str]] = {}  # by type: the letter and the whole tag
        for found in filter(None, map(form.fullmatch, plain)):
            letter = found["letter"].upper()
            before = first.setdefault(found["type"], (letter, found[0]))
            if "B" in (before[0], letter) and before[0] != letter:
                what = f"the tags {before[1]!r} and {found[0]!r} look like B- and I- written otherwise"
                raise SchemeError(f"{what}; a prefix is a capital letter in front.", found[0])
