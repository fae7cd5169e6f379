"""Entities as character offsets in a text: the forms of CLUENER and of doccano, and their tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hf_ext.data.tagging.sentences import Span
from hf_ext.errors import UserError
from hf_ext.models.tag_schemes import OUTSIDE

SCHEME = "BIO"  # in which the tags of spans are written
OFFSET_KEYS = (("start_offset", "end_offset"), ("start", "end"), ("begin", "end"))
TYPE_KEYS = ("label", "type", "entity_type", "entity_group", "entity", "tag", "category")
FAULTS = {
    "range": "do not lie within their text and are left out",
    "blank": "cover no word and are left out",
    "overlap": "overlap an earlier one and are left out (tags cannot say it)",
    "inside": "begin or end inside of a word and are widened to whole words",
    "surface": "stand at offsets where the text reads otherwise; the offsets are believed",
}


class NamedSpan(NamedTuple):
    """An entity: half-open character offsets, its type, and its wording where the file repeats it."""

    start: int
    end: int
    type: str
    surface: str | None = None


@dataclass
class SpanTagger:
    """Turn the spans of texts into tags, and count what cannot be said in tags.

    Args:
        source: The file, for messages.
    """

    source: str
    _faults: dict[str, tuple[int, str]] = field(default_factory=dict)  # kind -> count, where the first is

    def tag(self, text: str, words: Sequence[Span], spans: Sequence[NamedSpan], *, line: int) -> list[str]:
        """Write the spans of one text as BIO tags.

        Of spans that overlap, the one that begins first stays, of those the longer one. A span that begins or ends
        inside of a word takes the whole word.

        Args:
            text: The text.
            words: Where its words stand.
            spans: Its entities.
            line: Where it stands in the file.
        """
        tags = [OUTSIDE] * len(words)
        taken = 0  # words up to here are decided
        for span in sorted(set(spans), key=lambda one: (one.start, -one.end, one.type)):
            if not 0 <= span.start < span.end <= len(text):
                self._count("range", span, line)
                continue
            if span.surface is not None and text[span.start : span.end] != span.surface:
                self._count("surface", span, line)
            covered = [i for i, (start, end) in enumerate(words) if start < span.end and end > span.start]
            if not covered:
                self._count("blank", span, line)
            elif covered[0] < taken:
                self._count("overlap", span, line)
            else:
                first, last = covered[0], covered[-1]
                if words[first][0] < span.start or words[last][1] > span.end:
                    self._count("inside", span, line)
                tags[first : last + 1] = [f"B-{span.type}"] + [f"I-{span.type}"] * (last - first)
                taken = last + 1
        return tags

    @property
    def notes(self) -> list[str]:
        """One sentence for each kind of fault, with the count and the first place."""
        return [f"{where}: {count} spans {FAULTS[kind]}" for kind, (count, where) in self._faults.items()]

    def _count(self, kind: str, span: NamedSpan, line: int) -> None:
        count, where = self._faults.get(kind, (0, ""))
        first = f"{self.source}:{line} ({span.type} {span.start}-{span.end})"
        self._faults[kind] = (count + 1, where or first)


def parse_spans(cell: Any, where: str) -> list[NamedSpan]:
    """Read the entities of one text.

    - CLUENER: ``{type: {surface: [[start, end], ...]}}``, the end included;
    - doccano: ``[[start, end, type], ...]``, or objects with ``start_offset``, ``end_offset`` and ``label`` (also
      ``start``, ``end``, ``type``), the end excluded.

    Args:
        cell: The value, as JSON or parquet gives it.
        where: ``file:line``, for messages.

    Raises:
        UserError: If it has another form.
    """
    if isinstance(cell, Mapping):
        return [
            NamedSpan(_offset(start, where), _offset(end, where) + 1, str(kind), str(surface))
            for kind, surfaces in cell.items()
            for surface, places in _surfaces(surfaces, where)
            for start, end in _pairs(places, where)
        ]
    if not isinstance(cell, Sequence) or isinstance(cell, str):
        raise _malformed(cell, where)
    return [_parse_span(item, where) for item in cell]


def _parse_span(item: Any, where: str) -> NamedSpan:
    if isinstance(item, Mapping):
        keys = next((pair for pair in OFFSET_KEYS if pair[0] in item and pair[1] in item), None)
        name = next((key for key in TYPE_KEYS if isinstance(item.get(key), str)), None)
        if keys is None or name is None:
            raise _malformed(item, where)
        return NamedSpan(_offset(item[keys[0]], where), _offset(item[keys[1]], where), _type(item[name], where))
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 3:
        return NamedSpan(_offset(item[0], where), _offset(item[1], where), _type(item[2], where))
    raise _malformed(item, where)


def _surfaces(surfaces: Any, where: str) -> list[tuple[str, Any]]:
    if surfaces is None:  # parquet writes every type into every row
        return []
    if not isinstance(surfaces, Mapping):
        raise _malformed(surfaces, where)
    return [(surface, places) for surface, places in surfaces.items() if places is not None]


def _pairs(places: Any, where: str) -> list[tuple[Any, Any]]:
    fine = isinstance(places, Sequence) and not isinstance(places, str)
    if not fine or any(not isinstance(p, Sequence) or isinstance(p, str) or len(p) != 2 for p in places):
        raise _malformed(places, where)
    return [(start, end) for start, end in places]


def _offset(value: Any, where: str) -> int:
    try:
        number = float(value)  # tables write whole numbers as 3.0 where a cell of their column is empty
        if number.is_integer():
            return int(value) if isinstance(value, int) else int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise _malformed(value, where)


def _type(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _malformed(value, where)
    return value.strip()


def _malformed(value: Any, where: str) -> UserError:
    return UserError(
        f"not a span: {str(value)[:60]!r}",
        where=where,
        fix='write {"type": {"surface": [[start, last]]}} or [[start, end, "type"], ...]',
    )
