"""Sentences in rows with named columns: JSON, parquet, data sets of the Hub; words with tags, or text with spans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets

from hf_ext.data.arguments import split_names
from hf_ext.data.files import no_parquet
from hf_ext.data.jsonrows import open_objects
from hf_ext.data.rows import to_cell
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.sentences import Sentence, SentenceFile
from hf_ext.data.tagging.spans import SCHEME, SpanTagger, parse_spans
from hf_ext.data.tagging.text_words import choose_level, cut_text
from hf_ext.errors import UserError, did_you_mean
from hf_ext.models.tagging_schema import TaggingSchema
from hf_ext.progress import with_bar

WORD_COLUMNS = ("tokens", "words", "token", "word", "chars", "text", "sentence", "content", "query")
TAG_COLUMNS = (
    "ner_tags",
    "tags",
    "labels",
    "label",
    "entities",
    "entity",
    "spans",
    "slots",
    "bio",
    "ner",
    "annotations",
)
NO_TAG = ("-1", "-100", "")  # how data sets say that a tag is not given
NO_COLUMN = "none"  # --sentence_label_column_name none

Record = tuple[int, Mapping[str, Any]]


def read_json(path: Path, arguments: TaggingDataArguments, **reading: Any) -> SentenceFile:
    """Read JSON lines, an array of objects, or an object with one such array in it.

    Raises:
        UserError: As ``RecordReader.read``, or if the JSON is broken.
    """
    extension = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    objects, notes = open_objects(path, extension if extension in (".json", ".jsonl") else ".jsonl")

    def records() -> Iterable[Record]:
        for line, value in objects():
            if not isinstance(value, dict):
                raise UserError("a row is not an object", where=f"{path}:{line}", fix='write rows as {"tokens": ...}')
            yield line, value

    file = RecordReader(str(path), arguments, **reading).read(records())
    file.notes += [note for note in notes if note not in file.notes]
    return file


def read_parquet(path: Path, arguments: TaggingDataArguments, **reading: Any) -> SentenceFile:
    """Read a parquet file; the class names that ``datasets`` has stored in it are used.

    Raises:
        UserError: As ``RecordReader.read``, or if it is no parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise no_parquet(path, error) from None
    names = class_names(datasets.Features.from_arrow_schema(table.schema))
    return RecordReader(str(path), arguments, names=names, **reading).read(enumerate(table.to_pylist(), 1))


def read_hub_rows(source: str, rows: datasets.Dataset, arguments: TaggingDataArguments, **reading: Any) -> SentenceFile:
    """Read a split of a data set of the Hub; the "line" of a row is its number from 1.

    Raises:
        UserError: As ``RecordReader.read``.
    """
    return RecordReader(source, arguments, names=class_names(rows.features), **reading).read(enumerate(rows, 1))


def class_names(features: datasets.Features) -> dict[str, list[str]]:
    """Give the class names of each column of class ids, or of lists of them."""
    inner = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
    return {name: list(feature.names) for name, feature in inner.items() if isinstance(feature, datasets.ClassLabel)}


@dataclass
class RecordReader:
    """Read rows with named columns.

    Args:
        source: The file, for messages.
        arguments: Columns and label file as asked for.
        names: Names of class ids, by column.
        unlabelled: Whether rows without tags will do.
        level: What a word is where the column of words holds text; None finds out.
        saved: The schema of the model, whose columns are looked for where no flag names others.
    """

    source: str
    arguments: TaggingDataArguments
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unlabelled: bool = False
    level: str | None = None
    saved: TaggingSchema | None = None

    def read(self, records: Iterable[Record]) -> SentenceFile:
        """Read all rows.

        A row without tags (an empty or missing cell, or class ids of -1) has none; whoever needs them leaves it out.

        Raises:
            UserError: Naming the line, if a row has more or fewer tags than words, a column is missing, or tags are
                numbers without names.
        """
        rows = list(with_bar(records, f"read {Path(self.source).name}", unit="rows"))
        if not rows:
            raise UserError("no rows", where=self.source, fix="check that this is the right file")
        removed = set(split_names(self.arguments.remove_columns))
        columns = [name for name in dict.fromkeys(name for _, row in rows for name in row) if name not in removed]
        saved, arguments = self.saved or TaggingSchema(("O",), "IO"), self.arguments
        words = self._choose(arguments.text_column_name, saved.tokens_column, WORD_COLUMNS, columns)
        if words is None:
            listed = ", ".join(columns)
            raise UserError(
                f"which column holds the words? There are: {listed}", where=self.source, fix="pass --text_column_name"
            )
        own = (f"{arguments.task_name}_tags", *TAG_COLUMNS)
        rest = [name for name in columns if name != words]
        tags = self._choose(arguments.label_column_name, saved.tags_column, own, rest, optional=self.unlabelled)
        if tags is None and not self.unlabelled:
            listed = ", ".join(columns)
            raise UserError(
                f"which column holds the tags? There are: {listed}", where=self.source, fix="pass --label_column_name"
            )
        label = None
        if arguments.sentence_label_column_name != NO_COLUMN:
            asked = arguments.sentence_label_column_name
            label = self._choose(asked, saved.sentence_label_column, (), rest, optional=self.unlabelled)
        if self.unlabelled and arguments.id_column_name:
            self._choose(arguments.id_column_name, None, (), rest)
        file = self._read_rows(rows, words, tags, label)
        file.notes += self._note_absences(rows, words, tags, label)
        return file

    def _note_absences(self, rows: Sequence[Record], words: str, tags: str | None, label: str | None) -> list[str]:
        """Say which columns asked for are not there, and that rows lack their words."""
        arguments, notes = self.arguments, []
        asked = ((arguments.label_column_name, tags), (arguments.sentence_label_column_name, label))
        for name, found in asked:
            if name not in (None, NO_COLUMN, found):
                notes.append(f"{self.source}: no column {name!r}, so nothing is compared with it")
        lacking = [line for line, row in rows if words not in row]
        if lacking:
            what = f"{len(lacking)} rows have no {words!r} (this is the first): sentences without words"
            notes.append(f"{self.source}:{lacking[0]}: {what}")
        return notes

    def _choose(
        self, asked: str | None, saved: str | None, usual: Sequence[str], columns: Sequence[str], optional: bool = False
    ) -> str | None:
        if asked and asked not in columns:
            if optional:
                return None
            raise UserError(f"no column {asked!r}", where=self.source, fix=did_you_mean(asked, columns))
        candidates = (asked, saved, *usual)
        return next((name for name in candidates if name and name in columns), None)

    def _read_rows(self, rows: Sequence[Record], words: str, tags: str | None, label: str | None) -> SentenceFile:
        tagger = SpanTagger(self.source)
        texts = [row[words] for _, row in rows if isinstance(row.get(words), str)]
        level = (self.level or choose_level(texts)) if texts else None
        ids = self.arguments.id_column_name
        sentences, spans = [], False
        for line, row in rows:
            where = f"{self.source}:{line}"
            sentence = self._read_words(row.get(words), words, level or "word", line)
            cell = row.get(tags) if tags else None
            if cell is not None and sentence.text is not None and _holds_spans(cell):
                spans = True
                found = parse_spans(cell, where)
                sentence.tags = tagger.tag(sentence.text, sentence.spans or [], found, line=line)
            elif cell is not None:
                self._read_tags(sentence, str(tags), cell, where)
            if label and row.get(label) is not None:
                value = self._name(str(to_cell(row[label], label, where)), label)
                sentence.label = None if value in NO_TAG else value
            if ids and row.get(ids) is not None:
                sentence.id = str(row[ids])
            sentences.append(sentence)
        scheme = SCHEME if spans else None
        return SentenceFile(sentences, self.source, level, words, tags, label, scheme, tagger.notes)

    def _read_words(self, cell: Any, column: str, level: str, line: int) -> Sentence:
        value = to_cell(cell, column, f"{self.source}:{line}")
        if isinstance(value, list):
            return Sentence(value, None, (line,))
        spans = cut_text(value, level)
        return Sentence([value[start:end] for start, end in spans], None, (line,), text=value, spans=spans)

    def _read_tags(self, sentence: Sentence, column: str, cell: Any, where: str) -> None:
        value = to_cell(cell, column, where)
        tags = value.split() if isinstance(value, str) else value
        if not tags or all(tag in NO_TAG for tag in tags):
            return
        if len(tags) != len(sentence.words) and sentence.text is not None:
            words = sentence.text.split()  # tags that belong to a text of words between blanks, or to all characters
            words = words if len(words) == len(tags) else list(sentence.text)
            sentence.words, sentence.text, sentence.spans = words, None, None
        if len(tags) != len(sentence.words):
            what = f"{len(sentence.words)} words but {len(tags)} tags"
            raise UserError(what, where=where, fix="give each word one tag")
        sentence.tags = [self._name(tag, column) for tag in tags]

    def _name(self, value: str, column: str) -> str:
        """Give the name of a class id; a name stays."""
        names = self.names.get(column, ())
        return names[int(value)] if value.isdecimal() and value not in names and int(value) < len(names) else value


def _holds_spans(cell: Any) -> bool:
    """Whether a cell beside a text holds spans: an object, a list of lists or objects, or a list of nothing."""
    return isinstance(cell, Mapping) or (isinstance(cell, Sequence) and all(not isinstance(x, str) for x in cell))
