"""From flags to streamed documents, and to validation documents that are read beforehand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hf_ext.data.arguments import SourceArguments
from hf_ext.data.hub import load_hub_rows
from hf_ext.data.pretraining.arguments import PretrainingDataArguments
from hf_ext.data.pretraining.corpus import Corpus, keep_documents, read_corpus
from hf_ext.data.pretraining.corpus_files import TextSource, describe_files, find_named_sources, list_files
from hf_ext.data.pretraining.document_splits import DocumentSplit, FileTexts, HubTexts, StreamedSplit
from hf_ext.data.pretraining.documents import DocumentReader
from hf_ext.data.pretraining.segmenters import choose_segmenter
from hf_ext.data.pretraining.text_hashes import HeldOut
from hf_ext.errors import UserError

SAMPLED = 200  # documents at the head of each source looked at for Chinese

Made = tuple[dict[str, DocumentSplit | StreamedSplit], list[str], dict[str, Any] | None]


def prepare_stream(
    arguments: PretrainingDataArguments, *, needs: Collection[str], cache_dir: Path, token: str | None = None
) -> Made:
    """Open the training text as a stream, and read the validation text.

    Without a validation text those documents of the training text are held out whose text hashes into the percentage;
    to find them, a run that evaluates reads all of it once (the next run finds them in the cache).

    Args:
        arguments: Where the text is.
        needs: Among ``train`` and ``validation``.
        cache_dir: Where validation documents are kept.
        token: Hub token for private data sets.

    Returns:
        The splits, notes, and what ``split_indices.json`` should hold.

    Raises:
        UserError: If a split is missing or a file cannot be used.
    """
    sources, validation_sources = find_named_sources(arguments)
    reader = DocumentReader.from_arguments(arguments)
    own: HubTexts | None = None
    if sources:
        texts: list[FileTexts | HubTexts] = [*_file_texts(sources, reader, apart=bool(arguments.weights))]
        name = describe_files([str(path) for path in list_files(sources)])
    elif arguments.dataset_name:
        hub, own = _open_hub(arguments, reader, token)
        texts, name = [hub], hub.source
    else:
        raise UserError("--streaming needs training text", fix="pass --train_file or --dataset_name, or leave it out")
    percentage = 0.0 if validation_sources or own is not None else arguments.validation_split_percentage
    held_out = HeldOut(percentage, arguments.split_seed)
    splits: dict[str, DocumentSplit | StreamedSplit] = {}
    indices = None
    if "train" in needs:
        splits["train"] = StreamedSplit(name, texts, held_out, arguments.weights)
    if "validation" in needs:
        if validation_sources or own is not None:
            corpus = _read_validation_text(validation_sources, own, arguments, cache_dir)
        else:
            corpus = _read_held_out(name, texts, held_out, arguments, cache_dir)
            indices = _to_json(corpus, held_out)
        numbers = np.arange(len(corpus.documents))
        splits["validation"] = DocumentSplit("validation", describe_files(corpus.files), corpus, [numbers])
        reader.notes += corpus.notes
    segmenter = choose_segmenter(arguments.segmenter, arguments.masking, _sample(texts))
    for split in splits.values():
        split.segmenter = segmenter
    return splits, list(dict.fromkeys(reader.notes)), indices


def _read_validation_text(
    sources: Sequence[TextSource], own: HubTexts | None, arguments: PretrainingDataArguments, cache_dir: Path
) -> Corpus:
    """Read the files of validation text, or the validation split of the data set."""
    if own is not None:
        return keep_documents(own.source, own.read(), cache_dir=cache_dir)
    reader = DocumentReader.from_arguments(arguments)
    return read_corpus(list_files(sources), reader, cache_dir=cache_dir, overwrite=arguments.overwrite_cache)


def _read_held_out(
    source: str,
    texts: Sequence[FileTexts | HubTexts],
    held_out: HeldOut,
    arguments: PretrainingDataArguments,
    cache_dir: Path,
) -> Corpus:
    """Read those training documents that are held out."""
    if not held_out.percentage:
        fix = "pass --validation_file, or a --validation_split_percentage above 0"
        raise UserError("--do_eval requires validation text", fix=fix)
    hub = next((part for part in texts if isinstance(part, HubTexts)), None)
    if hub is not None:
        documents = (document for document in hub.read() if held_out.holds(document.text))
        return keep_documents(source, documents, cache_dir=cache_dir)
    files = list(dict.fromkeys(path for part in texts if isinstance(part, FileTexts) for path in part.paths))
    reader = DocumentReader.from_arguments(arguments)
    return read_corpus(files, reader, cache_dir=cache_dir, overwrite=arguments.overwrite_cache, keep=held_out)


def _sample(texts: Sequence[FileTexts | HubTexts]) -> list[str]:
    """Read the head of each source, which also finds those without text before training does."""
    heads = [[document.text for document in islice(source.read(), SAMPLED)] for source in texts]
    for source, head in zip(texts, heads, strict=True):
        if not head:
            where = source.source if isinstance(source, HubTexts) else describe_files([str(p) for p in source.paths])
            raise UserError("no text", where=where, fix="check that this is the right text")
    return [text for head in heads for text in head]


def _file_texts(sources: Sequence[TextSource], reader: DocumentReader, *, apart: bool) -> Iterator[FileTexts]:
    if apart:
        for source in sources:
            yield FileTexts(source.files, reader)
    else:
        yield FileTexts(tuple(list_files(sources)), reader)


def _open_hub(
    arguments: PretrainingDataArguments, reader: DocumentReader, token: str | None
) -> tuple[HubTexts, HubTexts | None]:
    """Open the training split of a data set, and its validation split if it has one."""
    named = SourceArguments(dataset_name=arguments.dataset_name, dataset_config_name=arguments.dataset_config_name)
    found = load_hub_rows(named, token=token, streaming=True)
    if "train" not in found:
        raise UserError(f"the data set {arguments.dataset_name!r} has no training split", fix="choose another one")
    texts = {role: HubTexts(*found[role], reader) for role in ("train", "validation") if role in found}
    return texts["train"], texts.get("validation")


def _to_json(corpus: Corpus, held_out: HeldOut) -> dict[str, Any]:
    """Give what ``split_indices.json`` holds for a stream: where the documents begin that are held out."""
    return {
        "source": [Path(file).name for file in corpus.files],
        "validation_split_percentage": held_out.percentage,
        "split_seed": held_out.seed,
        "validation": {
            "file": corpus.column("file").tolist(),
            "line": corpus.column("line").tolist(),
        },
    }
