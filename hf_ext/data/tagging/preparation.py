"""From flags to checked sentences: read, settle the scheme, cut, fit the tags, check, sample."""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hf_ext.data.checks import rows as checks
from hf_ext.data.checks.findings import Finding
from hf_ext.data.checks.whole_texts import refuse_whole_texts
from hf_ext.data.folds import leave_out_fold
from hf_ext.data.sources import plan_sources
from hf_ext.data.splits import SIDES, SplitRows, find_duplicates, read_split_indices, split_rows
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.sentences import Sentence, SentenceFile
from hf_ext.data.tagging.sources import offer_sources
from hf_ext.data.tagging.tag_sets import (
    choose_scheme,
    convert_file,
    find_unknown_tags,
    fit_tags,
    name_numbers,
    spell_alike,
)
from hf_ext.errors import UserError
from hf_ext.han import han_prevails
from hf_ext.models.tag_schemes import split_tag
from hf_ext.models.tagging_schema import LONGEST_WINDOW, TaggingSchema

logger = logging.getLogger(__name__)

SHORTEST_LEAK = 5  # words; shorter sentences repeat by chance


@dataclass
class Prepared:
    """What ``prepare`` has made; the fields of ``TaggingData``."""

    schema: TaggingSchema
    splits: dict[str, SentenceFile]
    notes: list[str]
    split_indices: dict[str, Any] | None


def prepare(
    arguments: TaggingDataArguments,
    *,
    saved: TaggingSchema | None,
    needs: Collection[str],
    cache_dir: str | None = None,
    token: str | None = None,
) -> Prepared:
    """Do all that ``TaggingData.from_arguments`` promises.

    Raises:
        UserError: If a split is missing or anything in the files cannot be used, with file and line.
    """
    if not needs:
        raise ValueError("needs must name at least one of train, validation, test")
    offered = offer_sources(arguments, cache_dir=cache_dir, token=token)
    frozen = saved if "train" not in needs else None
    plan = plan_sources(arguments, needs, offered, has_schema=frozen is not None)
    preparation = _Preparation(arguments, saved, frozen)
    with preparation.telling():
        for split in sorted(plan.read, key=SIDES.index):
            preparation.read(split, offered[split])
        if plan.borrowed:
            preparation.borrow()
        return preparation.run(needs, plan.cuts)


def prepare_training_sentences(
    arguments: TaggingDataArguments, *, saved: TaggingSchema, cache_dir: str | None = None, token: str | None = None
) -> Prepared:
    """Do all that ``TaggingData.of_training_sentences`` promises.

    Raises:
        UserError: If anything in the sentences cannot be used, with file and line.
    """
    arguments = replace(arguments, num_folds=None, drop_duplicates=False, max_predict_samples=None)
    offered = offer_sources(arguments, cache_dir=cache_dir, token=token)
    preparation = _Preparation(arguments, saved, saved)
    with preparation.telling():
        preparation.read("train", offered["train"])
        return preparation.run({"test"}, (), renamed={"train": "test"})


class _Preparation:
    """The steps of ``prepare``, which share the files, the scheme and the notes."""

    def __init__(
        self, arguments: TaggingDataArguments, saved: TaggingSchema | None, frozen: TaggingSchema | None
    ) -> None:
        self.arguments, self.saved, self.frozen = arguments, saved, frozen
        self.files: dict[str, SentenceFile] = {}
        self.notes: list[str] = []
        self.indices: dict[str, Any] | None = None
        asked = None if arguments.level == "auto" else arguments.level
        ours = frozen is not None and frozen.tokens_column is not None  # a head saved elsewhere says nothing of text
        self.level = asked or (frozen.level if frozen and ours else None)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell what has been noticed so far where an error ends the work: it often says why."""
        try:
            yield
        except UserError:
            for note in dict.fromkeys(self.notes):
                logger.info(note)
            raise

    def read(self, split: str, reader: Any) -> None:
        file: SentenceFile = reader(unlabelled=split == "test", level=self.level, saved=self.frozen or self.saved)
        self.notes += file.notes
        name_numbers(file, self.arguments.label_file)
        self.level = self.level or file.level
        self.files[split] = file

    def borrow(self) -> None:
        test = self.files["test"]
        if not any(sentence.tags for sentence in test.sentences):
            raise UserError(
                "--do_eval requires validation sentences; the test sentences have no tags",
                where=test.source,
                fix="pass --validation_file, or hold sentences out with --validation_split 0.1",
            )
        self.notes.append(f"{test.source}: no validation sentences are given, so the test sentences are used")
        self.files["validation"] = replace(test, sentences=[replace(sentence) for sentence in test.sentences])

    def run(self, needs: Collection[str], cuts: Collection[str], renamed: Mapping[str, str] | None = None) -> Prepared:
        joint = self._settle_sentence_labels()
        for split in SIDES[:2]:
            if split in self.files:
                self._drop_unlabelled(self.files[split], joint)
        self.files = {(renamed or {}).get(split, split): file for split, file in self.files.items()}
        target = self._settle_scheme()
        self._cut(cuts, target)
        schema = self.frozen or self._fit(self.files["train"], target)
        if self.arguments.max_seq_length is not None:
            schema = replace(schema, max_length=self.arguments.max_seq_length)
        for split, file in self.files.items():
            self._check(split, file, schema)
        self._note_leaks()
        splits = {split: self._sample(split, self.files[split]) for split in SIDES if split in needs}
        return Prepared(schema, splits, list(dict.fromkeys(self.notes)), self.indices)

    def _settle_sentence_labels(self) -> bool:
        """Tell whether sentences have labels in this run; where they have none, those of the files are forgotten."""
        labelled = {split: file.sentence_label_column is not None for split, file in self.files.items()}
        joint = bool(self.frozen.sentence_labels) if self.frozen else labelled.get("train", False)
        for split, file in self.files.items():
            if joint and not labelled[split] and split != "test":
                raise UserError(
                    "no sentence labels, which this model needs",
                    where=file.source,
                    fix="name their column by --sentence_label_column_name",
                )
            if not joint:
                file.sentence_label_column = None
                for sentence in file.sentences:
                    sentence.label = None
        return joint

    def _drop_unlabelled(self, file: SentenceFile, joint: bool) -> None:
        """Leave out training and validation sentences that teach and test nothing."""
        useless = [s for s in file.sentences if not s.words or s.tags is None or (joint and s.label is None)]
        if len(useless) == len(file.sentences):
            raise UserError("no sentence has tags", where=file.source, fix="check --label_column_name")
        if useless:
            what, line = "sentences without words, tags or label left out (this is the first)", useless[0].line()
            self.notes.append(Finding("unlabelled_sentences", file.source, len(useless), what, line=line))
            left_out = {id(sentence) for sentence in useless}
            file.sentences = [sentence for sentence in file.sentences if id(sentence) not in left_out]

    def _settle_scheme(self) -> str:
        """Choose the scheme of the files and of the model, convert the tags, and note what was found and broken."""
        arguments = self.arguments
        if self.frozen is not None:
            if arguments.convert_scheme not in (None, self.frozen.scheme):
                self.notes.append(f"--convert_scheme is for training: the saved tagger has {self.frozen.scheme}")
            for file in self.files.values():
                self._convert(file, choose_scheme(file, arguments.scheme, saved=self.frozen), self.frozen.scheme)
            return self.frozen.scheme
        train = self.files["train"]
        source = choose_scheme(train, arguments.scheme)
        target = arguments.convert_scheme or self._scheme_to_keep(train, source)
        if not arguments.scheme and not train.scheme:
            self.notes.append(f"{train.source}: the tags are read as {source}")
        for file in self.files.values():
            self._convert(file, file.scheme or source, target)
        return target

    def _scheme_to_keep(self, train: SentenceFile, source: str) -> str:
        """Give the scheme of the saved model if the training tags, converted, are tags that it has; else their own."""
        saved = self.saved
        if saved is None or saved.scheme == source:
            return source
        copy = replace(train, sentences=[replace(sentence) for sentence in train.sentences])
        convert_file(copy, source, saved.scheme)
        seen = {tag for sentence in copy.sentences for tag in sentence.tags or ()}
        return saved.scheme if seen <= set(saved.tags) else source

    def _convert(self, file: SentenceFile, source: str, target: str) -> None:
        self.notes += convert_file(file, source, target)
        if source != target and any(sentence.tags for sentence in file.sentences):
            self.notes.append(f"{file.source}: tags converted from {source} to {target}")

    def _cut(self, cuts: Collection[str], scheme: str) -> None:
        """Leave out repeats if asked, and hold out validation and test sentences if asked."""
        file, arguments = self.files.get("train"), self.arguments
        if file is None or not (cuts or arguments.drop_duplicates or arguments.fold):
            return
        count = len(file.sentences)
        if cuts and arguments.split_indices:
            sides = read_split_indices(Path(arguments.split_indices), rows=count, source=file.source)
            if arguments.drop_duplicates or arguments.validation_split or arguments.test_split:
                self.notes.append(f"{arguments.split_indices} decides the split; flags that say otherwise are ignored")
        else:
            sides = self._choose_sides(file, cuts, scheme)
        if cuts or arguments.fold:
            self.indices = sides.to_json(Path(file.source).name, count)
        for side in ("train", *cuts):
            self.files[side] = replace(file, sentences=[file.sentences[i] for i in getattr(sides, side)])

    def _choose_sides(self, file: SentenceFile, cuts: Collection[str], scheme: str) -> SplitRows:
        arguments = self.arguments
        kept = list(range(len(file.sentences)))
        if arguments.drop_duplicates:
            kept, notes = find_duplicates([tuple(s.words) for s in file.sentences], [s.tags for s in file.sentences])
            self.notes += [f"{file.source}: {note}" for note in notes]
        if not (cuts or arguments.fold):
            return SplitRows(train=kept)
        sentences = [file.sentences[i] for i in kept]
        if arguments.fold:
            names = [names_to_spread(sentence, scheme) for sentence in sentences]
            held_out = "validation" if "validation" in cuts else "test"
            sides = leave_out_fold(arguments, names, [sentence.words for sentence in sentences], held_out=held_out)
        else:
            labels = [sentence.label for sentence in sentences]
            sides = split_rows(
                [str(label) for label in labels] if labels[0] is not None else len(kept),
                validation=arguments.validation_split or 0.0,
                test=arguments.test_split or 0.0,
                seed=arguments.split_seed,
            )
        self.notes += [f"{file.source}: {note}" for note in sides.notes]
        return sides.select(kept)

    def _fit(self, file: SentenceFile, scheme: str) -> TaggingSchema:
        spell_alike(file, scheme, self.saved.tags if self.saved and self.saved.scheme == scheme else ())
        rows = [sentence.tags or [] for sentence in file.sentences]
        tags = fit_tags(rows, scheme, saved=self.saved)
        refuse_whole_texts((word for sentence in file.sentences for word in sentence.words), tags, file.source)
        if len(tags) < 2:
            raise UserError(f"every word has the tag {tags[0]!r}", where=file.source, fix="check --label_column_name")
        labels = tuple(sorted({str(sentence.label) for sentence in file.sentences if sentence.label is not None}))
        if self.saved is not None and sorted(self.saved.sentence_labels) == list(labels):
            labels = self.saved.sentence_labels
        if len(labels) == 1:
            raise UserError(
                f"every sentence has the label {labels[0]!r}",
                where=file.source,
                fix="check --sentence_label_column_name; training needs at least two labels",
            )
        return TaggingSchema(
            tags,
            scheme,
            level=self.level or self._guess_level(file),
            tokens_column=file.tokens_column,
            tags_column=file.tags_column,
            sentence_labels=labels,
            sentence_label_column=file.sentence_label_column,
            max_length=LONGEST_WINDOW,
            characters=self.saved.characters if self.saved else "",
        )

    def _guess_level(self, file: SentenceFile) -> str:
        """Tell how plain text would have to be cut to look like these words."""
        words = [word for sentence in file.sentences[:1000] for word in sentence.words]
        single = sum(len(word) == 1 for word in words) > len(words) / 2
        return "character" if single and han_prevails(words) else "word"

    def _check(self, split: str, file: SentenceFile, schema: TaggingSchema) -> None:
        """Check one split against the schema; validation sentences that cannot be scored leave it."""
        ignore = self.arguments.unknown_labels == "ignore"
        spell_alike(file, schema.scheme, schema.tags)
        self.notes += find_unknown_tags(file, schema, ignore=ignore)
        if schema.sentence_labels:
            lines = [sentence.line() for sentence in file.sentences]
            labels = [sentence.label for sentence in file.sentences]
            unknown = [i for i, label in enumerate(labels) if label is not None and label not in schema.sentence_labels]
            if unknown:
                line, count = lines[unknown[0]], len(unknown)
                what = f"sentences have a label that training has not seen, the first {labels[unknown[0]]!r}"
                if not ignore:
                    fix = "correct them, or pass --unknown_labels ignore"
                    raise UserError(f"{count} {what}", where=f"{file.source}:{line}", fix=fix)
                what += "; they are not scored"
                self.notes.append(Finding("unknown_labels", file.source, count, what, line=line))
                for i in unknown:
                    file.sentences[i].scored = False
        if split == "validation":
            file.sentences = [sentence for sentence in file.sentences if sentence.scored]

    def _note_leaks(self) -> None:
        train = self.files.get("train")
        if train is None:
            return

        seen = {tuple(s.words) for s in train.sentences if len(s.words) >= SHORTEST_LEAK}
        for split, file in self.files.items():
            if split != "train":
                where = f"{file.source} ({split} sentences)" if file.source == train.source else file.source
                self.notes += checks.note_leaks(seen, [tuple(s.words) for s in file.sentences], where)

    def _sample(self, split: str, file: SentenceFile) -> SentenceFile:
        """Shuffle the training sentences if asked, then keep the first n of the split if asked."""
        arguments = self.arguments
        limits = (arguments.max_train_samples, arguments.max_eval_samples, arguments.max_predict_samples)
        limit = dict(zip(SIDES, limits, strict=True))[split]
        sentences = list(file.sentences)
        if split == "train" and arguments.shuffle_train_dataset:
            random.Random(arguments.shuffle_seed).shuffle(sentences)
        if not any(sentence.words for sentence in sentences[:limit]):
            raise UserError(f"no {split} sentences are left", where=file.source, fix="check the notes above")
        return replace(file, sentences=sentences[:limit])


def names_to_spread(sentence: Sentence, scheme: str) -> list[str]:
    """Name what each fold should have its share of: the types of the entities of a sentence, and its label.

    Where tags are no entities (parts of speech), it is the tags. IOB1 and IO tags that look rare, such as a ``B-``
    beside an entity of its kind, count as themselves, since a model knows the tags of its training sentences only.
    """
    kinds = {split_tag(tag, scheme)[1] or tag for tag in sentence.tags or ()}
    rare = {tag for tag in sentence.tags or () if scheme == "IOB1" and tag.startswith("B")}
    return sorted(kinds | rare | ({f"label {sentence.label}"} if sentence.label is not None else set()))
