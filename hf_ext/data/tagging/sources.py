"""Which file, folder or Hub split gives the sentences of which split."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hf_ext.data.hub import load_hub_rows
from hf_ext.data.split_paths import SPLIT_STEMS, find_split_paths
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.lines import WORDS_FILE
from hf_ext.data.tagging.reading import read_sentences
from hf_ext.data.tagging.sentences import SentenceFile
from hf_ext.data.tagging.tables import read_hub_rows

# what stands beside data and is none
OTHER_SUFFIXES = (".md", ".py", ".sh", ".yaml", ".yml", ".log", ".pdf", ".zip", ".tar", ".ann", ".pkl", ".npz")

Reader = Callable[..., SentenceFile]


def offer_sources(
    arguments: TaggingDataArguments, *, cache_dir: str | None = None, token: str | None = None
) -> dict[str, Reader]:
    """List what there is: files named by flags, then files of the folder, or splits of the Hub.

    Returns:
        By split, a reader that takes ``unlabelled``, ``level`` and ``saved`` as ``read_sentences`` does.

    Raises:
        UserError: If the folder or the data set cannot be used.
    """
    offered: dict[str, Reader] = {}
    if arguments.dataset_name:
        loaded = load_hub_rows(arguments, cache_dir=cache_dir, token=token)
        offered |= {split: partial(read_hub_rows, source, rows, arguments) for split, (source, rows) in loaded.items()}
    paths = find_sentence_paths(arguments.data_dir) if arguments.data_dir else {}
    flags = {"train": arguments.train_file, "validation": arguments.validation_file, "test": arguments.test_file}
    paths |= {split: Path(path) for split, path in flags.items() if path}
    return offered | {split: partial(read_sentences, path, arguments) for split, path in paths.items()}


def find_sentence_paths(folder: str | Path) -> dict[str, Path]:
    """Find the train, validation and test files of a folder by any part of their names: ``train.char.bmes``,
    ``emerging.dev.conll``, or the folder ``test`` with a ``seq.in``.

    Raises:
        UserError: As ``find_split_paths``.
    """
    return find_split_paths(folder, _split_of, items="sentences")


def _split_of(path: Path) -> str | None:
    if path.name.startswith(".") or path.suffix.lower() in OTHER_SUFFIXES:
        return None
    if path.is_dir() and not (path / WORDS_FILE).is_file():
        return None
    parts = path.name.lower().split(".")
    return next((split for split, stems in SPLIT_STEMS.items() if any(stem in parts for stem in stems)), None)
