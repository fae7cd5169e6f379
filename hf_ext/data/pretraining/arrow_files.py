"""Tables that are written once, batch by batch, and then read from disk as if they were in memory."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from hf_ext.errors import UserError


def write_table(path: Path, features: datasets.Features, batches: Iterable[dict[str, Any]], notes: list[str]) -> None:
    """Write batches of columns to an Arrow file, whole or not at all; several processes may do so at once.

    Args:
        path: The file; its folder is made if absent.
        features: The columns.
        batches: Columns as lists or Arrow arrays.
        notes: Written beside it once all batches are, so that whoever loads the table can repeat them.

    Raises:
        UserError: If it cannot be kept there.
    """
    schema = features.arrow_schema
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary_notes = temporary.with_suffix(".json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pa.ipc.new_stream(str(temporary), schema) as writer:
            for batch in batches:
                writer.write_batch(pa.record_batch([pa.array(batch[f.name], f.type) for f in schema], schema))
        temporary_notes.write_text(json.dumps(notes), encoding="utf-8")
        os.replace(temporary_notes, _notes_path(path))
        os.replace(temporary, path)
    except OSError as error:
        what = f"the cache of documents and rows cannot be kept here ({error.strerror})"
        raise UserError(what, where=str(path.parent), fix="name another --cache_dir") from None
    finally:
        for left in (temporary, temporary_notes):
            with contextlib.suppress(OSError):  # nothing is left if all went well
                left.unlink()


def load_table(path: Path, fingerprint: str) -> tuple[datasets.Dataset, list[str]] | None:
    """Load what ``write_table`` has written, memory-mapped, with its notes; None if it is not there.

    Args:
        path: The file.
        fingerprint: What the table was made from, as a hash; ``datasets`` names what it makes of the table by it.
    """
    notes = _notes_path(path)
    if not path.is_file() or not notes.is_file():
        return None
    table = datasets.table.MemoryMappedTable.from_file(str(path))
    info = datasets.DatasetInfo(features=datasets.Features.from_arrow_schema(table.schema))
    return datasets.Dataset(table, info, fingerprint=fingerprint), json.loads(notes.read_text(encoding="utf-8"))


def _notes_path(path: Path) -> Path:
    return path.with_suffix(".notes.json")
