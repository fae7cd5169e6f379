"""From flags to checked rows: read, resolve columns, split, read labels, fit schemas, check, cut."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets

from hf_ext.data.arguments import DataArguments, split_names
from hf_ext.data.checks import rows as checks
from hf_ext.data.columns import Columns, check_present, note_ignored_flags, resolve_columns
from hf_ext.data.features import join_texts
from hf_ext.data.folds import leave_out_fold
from hf_ext.data.labels import Label, LabelReader, choose_problem_type, fit_labels
from hf_ext.data.prepared import Prepared, RowSplit
from hf_ext.data.rows import LINE_COLUMN, Row, RowReader, Table
from hf_ext.data.sources import Sources, load_sources
from hf_ext.data.splits import SIDES, SplitRows, find_duplicates, read_split_indices, split_rows
from hf_ext.data.streaming import StreamedRows, survey_labels
from hf_ext.errors import UserError
from hf_ext.models.schema import REGRESSION, LabelSchema, TabularSchema, TaskSchema

logger = logging.getLogger(__name__)


def prepare(
    arguments: DataArguments,
    *,
    saved: TaskSchema | None,
    needs: Collection[str],
    cache_dir: str | None = None,
    token: str | None = None,
) -> Prepared:
    """Do all that ``ClassificationData.from_arguments`` promises.

    Raises:
        UserError: If a split is missing or anything in the rows cannot be used, with file and line.
    """
    if not needs:
        raise ValueError("needs must name at least one of train, validation, test")
    frozen = saved if "train" not in needs else None
    sources = load_sources(arguments, needs, has_schema=frozen is not None, cache_dir=cache_dir, token=token)
    return _Preparation(arguments, sources, saved, frozen).run(needs)


def prepare_training_rows(
    arguments: DataArguments, *, saved: TaskSchema, cache_dir: str | None = None, token: str | None = None
) -> Prepared:
    """Do all that ``ClassificationData.of_training_rows`` promises.

    Raises:
        UserError: If anything in the rows cannot be used, with file and line.
    """
    arguments = replace(arguments, num_folds=None, drop_duplicates=False, max_predict_samples=None)
    sources = load_sources(arguments, {"train"}, has_schema=True, cache_dir=cache_dir, token=token)
    sources.tables = {"test": sources.tables["train"]}
    return _Preparation(arguments, sources, saved, saved).run({"test"})


class _Preparation:
    """The steps of ``prepare``, which share the columns, the label reader and the notes."""

    def __init__(
        self, arguments: DataArguments, sources: Sources, saved: TaskSchema | None, frozen: TaskSchema | None
    ) -> None:
        self.arguments, self.sources, self.saved, self.frozen = arguments, sources, saved, frozen
        self.tables = dict(sources.tables)
        self.notes = list(sources.notes)
        self.indices: dict[str, Any] | None = None
        self.labels: dict[str, list[Label | None]] = {}
        self.positions: list[int] = []  # of the labelled rows within the file that is read last
        self.columns, self.reader = self._resolve()

    def run(self, needs: Collection[str]) -> Prepared:
        try:
            return self._run(needs)
        except UserError:
            for note in dict.fromkeys(self.notes):  # what has been noticed so far often says why
                logger.info(note)
            raise

    def _run(self, needs: Collection[str]) -> Prepared:
        self._cut_training_rows()
        splits = {name: self._read_labels(name, table) for name, table in self.tables.items()}
        schema = self._frozen_schema()
        if self.sources.stream is not None:
            splits["train"], schema = self._survey_stream(self.sources.stream)
        elif schema is None:
            schema = self._fit(splits["train"])
        for split in splits.values():
            if isinstance(split.rows, datasets.Dataset):
                self._check(split, schema)
        self._note_leaks(splits, schema)
        if "test" in needs:
            self._check_kept_columns(splits["test"])
            self._note_repeated_ids(splits["test"])
        wanted = {name: self._sample(splits[name]) for name in SIDES if name in needs}
        return Prepared(schema, wanted, list(dict.fromkeys(self.notes)), self.indices)

    def _resolve(self) -> tuple[Columns, LabelReader]:
        first = self.sources.stream or next(self.tables[name] for name in SIDES if name in self.tables)
        resolved = resolve_columns(self.arguments, first.columns, source=first.source, saved=self.frozen)
        self.notes += resolved.notes
        if self.frozen is not None:
            self.notes += note_ignored_flags(self.arguments, self.frozen)
        columns, arguments = resolved.columns, self.arguments
        if self.frozen is not None:
            delimiter = arguments.label_delimiter or self.frozen.label_delimiter
            return columns, LabelReader(self.frozen.labels.problem_type, delimiter, columns.label_list)
        if columns.label is None:
            listed = ", ".join(first.columns)
            raise UserError(
                f"which column is the label? There are: {listed}", where=first.source, fix="pass --label_column_name"
            )
        features = first.features if isinstance(first, RowReader) else first.rows.features
        lists = isinstance(features[columns.label], datasets.List)
        problem_type = choose_problem_type(arguments, cells_are_lists=lists, source=first.source)
        return columns, LabelReader(problem_type, arguments.label_delimiter, columns.label_list)

    def _frozen_schema(self) -> TaskSchema | None:
        """Give the saved schema with the columns as this run's files call them, or None when training fits one."""
        if self.frozen is None:
            return None
        text, columns = self.frozen.text, self.columns
        if text.columns:
            text = replace(text, columns=columns.text, pair_column=columns.pair)
        else:  # a model that was not saved by hf_ext brings labels only
            text = columns.text_schema(self.arguments)
        return replace(self.frozen, text=text, label_column=columns.label, id_column=columns.id)

    def _new_schema(self, labels: LabelSchema, table: TabularSchema) -> TaskSchema:
        columns = self.columns
        return TaskSchema(
            labels=labels,
            text=columns.text_schema(self.arguments),
            columns=table,
            label_column=columns.label,
            id_column=columns.id,
            label_delimiter=self.reader.delimiter,
            label_list=columns.label_list,
        )

    def _cut_training_rows(self) -> None:
        """Leave out repeats if asked, and hold out validation and test rows if asked."""
        table, arguments, cuts = self.tables.get("train"), self.arguments, self.sources.cuts
        if table is None or not (cuts or arguments.drop_duplicates or arguments.fold):
            return
        if cuts and arguments.split_indices:
            sides = read_split_indices(Path(arguments.split_indices), rows=len(table.rows), source=table.source)
            if arguments.drop_duplicates or arguments.validation_split or arguments.test_split:
                self.notes.append(f"{arguments.split_indices} decides the split; flags that say otherwise are ignored")
        else:
            sides = self._choose_sides(table)
        if cuts or arguments.fold:
            self.indices = sides.to_json(Path(table.source).name, len(table.rows))
        for side in ("train", *cuts):
            self.tables[side] = Table(table.rows.select(getattr(sides, side)), table.source)

    def _choose_sides(self, table: Table) -> SplitRows:
        arguments = self.arguments
        split = self._read_labels("train", table)
        labels, rows = self.labels["train"], split.rows[:]
        names = [name for name in (*self.columns.text, self.columns.pair) if name]
        texts = list(zip(*(rows[name] for name in names), strict=True))
        kept = list(range(len(labels)))
        if arguments.drop_duplicates:
            kept, notes = find_duplicates(texts, labels)
            self.notes += [f"{table.source}: {note}" for note in notes]
        positions, labels = [self.positions[i] for i in kept], [labels[i] for i in kept]
        if not (self.sources.cuts or arguments.fold):
            return SplitRows(train=positions)
        groups = None
        if arguments.split_by:
            check_present([arguments.split_by], table.columns, table.source)
            groups = [str(rows[arguments.split_by][i]) for i in kept]
        numbers = self.reader.problem_type == REGRESSION
        if arguments.fold:
            held_out = "validation" if "validation" in self.sources.cuts else "test"
            texts = [texts[i] for i in kept]
            sides = leave_out_fold(arguments, labels, texts, held_out=held_out, groups=groups, numbers=numbers)
        else:
            sides = split_rows(
                len(kept) if numbers else [_stratum(label) for label in labels],
                validation=arguments.validation_split or 0.0,
                test=arguments.test_split or 0.0,
                seed=arguments.split_seed,
                groups=groups,
            )
        self.notes += [f"{table.source}: {note}" for note in sides.notes]
        return sides.select(positions)

    def _read_labels(self, name: str, table: Table) -> RowSplit:
        """Read the label cells of a split; unlabelled rows leave it, except from the test split."""
        rows, source, column = table.rows, table.source, self.columns.label
        check_present(self.columns.inputs, table.columns, source)
        checks.check_plain_text(self.columns.inputs, rows.features, source)
        if column not in table.columns:
            if name == "test":
                self.labels[name] = [None] * len(rows)
                self.notes.append(f"{source}: no label column, so its predictions are not scored")
                return RowSplit(name, rows, source)
            named = f"column {column!r}" if column else "label column"
            raise self._unlabelled(name, table, f"no {named} among: {', '.join(table.columns)}")
        cells, lines = rows[column][:], rows[LINE_COLUMN][:]
        reader = self.reader.for_cells(cells, source, strict=name == "train" and self.frozen is None)
        checks.check_single_labels(cells, lines, source, problem_type=reader.problem_type)
        labels = [reader.read(cell) for cell in cells]
        if name == "train":
            self.notes += checks.note_unused_delimiter(cells, reader.delimiter, source)
        if reader.problem_type == REGRESSION:
            checks.check_targets(labels, lines, source, column)
        if name != "test":
            kept, notes = checks.find_labelled(labels, lines, source)
            if not kept:
                raise self._unlabelled(name, table, f"no row has a label (column {column!r})")
            self.notes += notes
            self.positions = kept
            if notes:
                rows, labels = rows.select(kept), [labels[i] for i in kept]
        if name == "validation" and self.sources.borrowed:
            self.notes.append(f"{source}: no validation rows are given, so the test rows are used")
        self.labels[name] = labels
        return RowSplit(name, rows, source, reader)

    def _unlabelled(self, name: str, table: Table, what: str) -> UserError:
        if name == "validation" and self.sources.borrowed:
            return UserError(
                "--do_eval requires validation rows; the test rows have no labels",
                where=table.source,
                fix="pass --validation_file, or hold rows out with --validation_split 0.1",
            )
        return UserError(what, where=table.source, fix="check --label_column_name")

    def _fit(self, split: RowSplit) -> TaskSchema:
        saved, source = (self.saved.labels if self.saved else None), split.source
        known = [label for label in self.labels["train"] if label is not None]
        labels = fit_labels(known, self.reader.problem_type, source=source, saved=saved)
        self.notes += checks.note_odd_labels(known, labels, source)
        return self._new_schema(labels, self._fit_table(split.rows, source))

    def _fit_table(self, rows: Iterable[Row], source: str) -> TabularSchema:
        columns, arguments = self.columns, self.arguments
        if arguments.columns_as_text or not columns.table:
            return TabularSchema()
        if self.saved is not None and _column_names(self.saved.columns) == (columns.categorical, columns.numeric):
            return self.saved.columns  # a model trained further keeps its categories and its scale
        try:
            return TabularSchema.fit(
                checks.checked_numbers(rows, columns.numeric, source),
                categorical=columns.categorical,
                numeric=columns.numeric,
                min_category_count=arguments.min_category_count,
            )
        except UserError:
            raise
        except ValueError as error:
            raise UserError(str(error), where=source, fix="leave the column out of --numeric_columns") from None

    def _check(self, split: RowSplit, schema: TaskSchema) -> None:
        """Check one split against the schema; validation rows with an ignored label leave it."""
        rows, source, lines = split.rows[:], split.source, split.rows[LINE_COLUMN][:]
        ignore = self.arguments.unknown_labels == "ignore"
        unknown, notes = checks.find_unknown_labels(
            self.labels[split.name], schema.labels, lines, source, ignore=ignore
        )
        checks.check_numbers(rows, [column.name for column in schema.columns.numeric], lines, source)
        self.notes += notes + checks.note_empty_texts(join_texts(rows, schema)[0], lines, source)
        if split.name != "train" or self.saved is not None:
            self.notes += checks.note_unseen_categories(rows, schema.columns, source)
        if unknown and split.name == "validation":
            split.rows = split.rows.select([i for i in range(len(lines)) if i not in unknown])

    def _note_leaks(self, splits: dict[str, RowSplit], schema: TaskSchema) -> None:
        train = splits.get("train")
        if train is None or isinstance(train.rows, datasets.IterableDataset):
            return
        seen = set(_text_pairs(train, schema))
        for name, split in splits.items():
            if name != "train":
                where = f"{split.source} ({name} rows)" if split.source == train.source else split.source
                self.notes += checks.note_leaks(seen, _text_pairs(split, schema), where)

    def _survey_stream(self, reader: RowReader) -> tuple[RowSplit, TaskSchema]:
        """Fit the schema by passes over a file that stays on disk."""
        source, label_column, saved = reader.source, str(self.columns.label), self.saved
        check_present(self.columns.inputs, reader.columns, source)
        checks.check_plain_text(self.columns.inputs, reader.features, source)
        label_reader = self.reader.for_cells((row[label_column] for row in reader), source, strict=True)
        rows = StreamedRows(source, self.arguments, label_column, label_reader)
        self.notes += survey_labels(reader, label_reader, label_column)
        labels = fit_labels(
            rows.labels(), self.reader.problem_type, source=source, saved=saved.labels if saved else None
        )
        schema = self._new_schema(labels, self._fit_table(rows(), source))
        stream = datasets.IterableDataset.from_generator(rows)
        self.notes += [note for note in reader.notes if note not in self.notes]
        return RowSplit("train", stream, source, label_reader), schema

    def _check_kept_columns(self, split: RowSplit) -> None:
        kept = split_names(self.arguments.keep_columns)
        if kept != ["all"]:
            check_present(kept, [name for name in split.rows.column_names if name != LINE_COLUMN], split.source)

    def _note_repeated_ids(self, split: RowSplit) -> None:
        if self.columns.id in split.rows.column_names:
            self.notes += checks.note_repeated_ids(split.rows[str(self.columns.id)][:], split.source)

    def _sample(self, split: RowSplit) -> RowSplit:
        """Shuffle the training rows if asked, then keep the first n of the split if asked."""
        arguments, rows = self.arguments, split.rows
        limits = (arguments.max_train_samples, arguments.max_eval_samples, arguments.max_predict_samples)
        limit = dict(zip(SIDES, limits, strict=True))[split.name]
        if isinstance(rows, datasets.IterableDataset):
            return replace(split, rows=rows.take(limit) if limit else rows)
        if split.name == "train" and arguments.shuffle_train_dataset:
            rows = rows.shuffle(seed=arguments.shuffle_seed)
        if limit and limit < len(rows):
            rows = rows.select(range(limit))
            if split.name == "train" and split.reader and split.reader.problem_type != REGRESSION:
                kept = map(split.reader.read, rows[str(self.columns.label)][:])
                self.notes += checks.note_lost_labels(kept, self.labels["train"], split.source)
        if not len(rows):
            raise UserError(f"no {split.name} rows are left", where=split.source, fix="check the notes above")
        return replace(split, rows=rows)


def _column_names(table: TabularSchema) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(c.name for c in table.categorical), tuple(c.name for c in table.numeric)


def _stratum(label: Label | None) -> str:
    return label if isinstance(label, str) else next(iter(label or []), "")


def _text_pairs(split: RowSplit, schema: TaskSchema) -> list[object]:
    """Give what makes two rows the same; blank texts, which say nothing, are left out."""
    texts, pairs = join_texts(split.rows[:], schema)
    return list(zip(texts, pairs, strict=True)) if pairs else [text for text in texts if text.strip()]
