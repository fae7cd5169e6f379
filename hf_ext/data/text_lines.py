"""The lines of a corpus one after another, for what only counts: some held out, at will a sample of the rest."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hf_ext.data.arguments import split_names
from hf_ext.data.pretraining.corpus_files import find_sources, list_files
from hf_ext.data.pretraining.documents import DocumentReader
from hf_ext.data.text_lines_arguments import TextLinesArguments
from hf_ext.errors import UserError, did_you_mean

HASH_BYTES = 8


@dataclass
class TextLines:
    """Lines to learn from, and lines to measure on, which the first never contain.

    Whether a line is held out is decided by a hash of its text and the seed: repeats of a line are on one side,
    and nothing has to be known of the rest of the corpus.

    Args:
        arguments: Where the lines come from.
        cache_dir: Where the Hub's files are kept.
        token: Hub token.
        held_out: Lines to measure on; complete when all lines have been read.
        notes: What a reader of the log should know, one sentence each.
    """

    arguments: TextLinesArguments
    cache_dir: str | None = None
    token: str | None = None
    held_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        """Read the corpus and give the lines to learn from; with ``max_lines`` a random sample at the end.

        Raises:
            UserError: If a file cannot be read, a column is missing, or there is no text.
        """
        asked = self.arguments
        if asked.validation_file:
            self._hold_out_validation_text()
        lines = self._split(self._read("train_file"))
        if asked.max_lines is not None:
            lines = iter(draw_lines(lines, asked.max_lines, seed=asked.seed))
        first = next(lines, None)
        if first is None:
            if not self.held_out or asked.validation_file:
                raise UserError("no text", where=asked.train_file or asked.dataset_name, fix="check the source")
            self.notes.append("the text is one line: the tokenizer is measured on what it has learned from")
            first = self.held_out[0]
        yield first
        yield from lines
        if not self.held_out:
            self.held_out = [first]
            self.notes.append("too few lines to hold some out: the tokenizer is measured on one that it has seen")

    def _hold_out_validation_text(self) -> None:
        """Read it first: it is small, and a mistake in it is better said before the corpus is read."""
        asked = self.arguments
        self.held_out = draw_lines(self._read("validation_file"), asked.max_eval_lines, seed=asked.seed)
        if not self.held_out:
            raise UserError("no text", where=asked.validation_file, fix="check --validation_file")

    def _split(self, lines: Iterable[str]) -> Iterator[str]:
        """Pass on the lines to learn from and keep a random sample of the others."""
        asked = self.arguments
        if asked.validation_file:
            yield from self._watch(lines, set(self.held_out))
            return
        share = asked.validation_split_percentage / 100
        sample = _Reservoir(asked.max_eval_lines, asked.seed)
        for line in lines:
            if _draw(line, asked.seed) < share:
                sample.offer(line)
            else:
                yield line
        self.held_out = sample.held

    def _watch(self, lines: Iterable[str], measured: set[str]) -> Iterator[str]:
        """Pass on all lines; note how many of those to measure on are among them."""
        seen = set()
        for line in lines:
            if line in measured:
                seen.add(line)
            yield line
        if seen:
            self.notes.append(f"{len(seen)} of {len(measured)} lines to measure on occur in the training text too")

    def _read(self, flag: str) -> Iterator[str]:
        asked, entries = self.arguments, getattr(self.arguments, flag)
        if asked.dataset_name and entries is None:
            yield from self._read_hub()
            return
        sources = find_sources(entries, flag=flag, without=self._validation_files() if flag == "train_file" else ())
        for column in self._columns:
            reader = DocumentReader("line", column, asked.delimiter, asked.quoting)
            for source in sources:
                for path in source.files:
                    for document in reader.read(path):
                        yield from _lines(document.text)
            self.notes += [note for note in reader.notes if note not in self.notes]

    def _validation_files(self) -> list[Path]:
        entries = self.arguments.validation_file
        return list_files(find_sources(entries, flag="validation_file")) if entries else []

    @property
    def _columns(self) -> Sequence[str | None]:
        return split_names(self.arguments.text_column_name) or (None,)

    def _read_hub(self) -> Iterator[str]:
        import datasets

        asked, name = self.arguments, str(self.arguments.dataset_name)
        try:
            loaded = datasets.load_dataset(
                name, asked.dataset_config_name, cache_dir=self.cache_dir, token=self.token, streaming=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(
                f"the data set {name!r} cannot be loaded ({reason})",
                fix="check the name, the configuration and the network",
            ) from None
        if asked.train_split_name not in loaded:
            fix = did_you_mean(asked.train_split_name, map(str, loaded))
            raise UserError(f"{name!r} has no split {asked.train_split_name!r}", fix=fix)
        source = f"{name}[{asked.train_split_name}]"
        for column in self._columns:
            rows = enumerate(loaded[asked.train_split_name], 1)
            for document in DocumentReader("line", column).read_rows(rows, source):
                yield from _lines(document.text)


def draw_lines(lines: Iterable[str], count: int, *, seed: int) -> list[str]:
    """Draw some lines at random in one pass, each with the same chance, in the order of the text."""
    sample = _Reservoir(count, seed)
    for line in lines:
        sample.offer(line)
    return sample.held


class _Reservoir:
    """Vitter's algorithm R (1985): the n-th line replaces a held one with probability size / n."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seen = size, 0
        self._random = random.Random(seed)
        self._held: list[tuple[int, str]] = []

    def offer(self, line: str) -> None:
        self.seen += 1
        if len(self._held) < self.size:
            self._held.append((self.seen, line))
        elif (place := self._random.randrange(self.seen)) < self.size:
            self._held[place] = (self.seen, line)

    @property
    def held(self) -> list[str]:
        return [line for _, line in sorted(self._held)]


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())


def _draw(line: str, seed: int) -> float:
    """Give a number from 0 to 1 that only text and seed decide."""
    digest = hashlib.blake2b(line.encode(), digest_size=HASH_BYTES, key=seed.to_bytes(8, "little", signed=True))
    return int.from_bytes(digest.digest(), "little") / 2 ** (8 * HASH_BYTES)
