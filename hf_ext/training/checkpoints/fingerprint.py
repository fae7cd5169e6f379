"""What a run is made of, kept with its checkpoints: a resumed run must be made of the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from transformers import Trainer
from transformers.trainer_utils import has_length

PACKAGES = ("torch", "transformers", "accelerate")
# the flags that decide which rows come when
ORDER = (
    *("seed", "data_seed", "train_sampling_strategy", "weighted_sampling", "dataloader_drop_last"),
    *("length_strategy", "tokens_per_batch"),
)
ROWS_AT_A_TIME = 10_000


def take_fingerprint(trainer: Trainer) -> dict[str, Any]:
    """Describe the data, the effective batch, the order of the rows and the versions of a run, as plain JSON.

    The rows of a stream, and of a data set whose rows are made when they are asked for, are not described.
    """
    args, rows = trainer.args, trainer.train_dataset
    return {
        "rows": len(rows) if has_length(rows) else None,
        "data": hash_rows(rows),
        "batch": [args.world_size, args.train_batch_size, args.gradient_accumulation_steps],
        "order": {name: _plain(getattr(args, name, None)) for name in ORDER},
        "versions": {name: _version(name) for name in PACKAGES},
    }


def find_changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what differs between two fingerprints, the gravest first; what only one of them knows is not compared.

    The effective batch is the product of processes, rows in each and accumulation. Of a stream all three count, since
    each process reads a part of its own.
    """
    changes = []
    if saved.get("rows") and now.get("rows") and saved["rows"] != now["rows"]:
        changes.append(f"there were {saved['rows']:,} training rows and are now {now['rows']:,}")
    elif saved.get("data") and now.get("data") and saved["data"] != now["data"]:
        changes.append("the training rows are other ones")
    before, after = saved.get("batch"), now.get("batch")
    if before and after and before != after:
        streams = not now.get("rows")
        if streams or np.prod(before) != np.prod(after):
            changes.append(f"the effective batch was {_batch(before)} and is now {_batch(after)}")
    for kind in ("order", "versions"):
        there, here = saved.get(kind) or {}, now.get(kind) or {}
        for name in (name for name in here if name in there and there[name] != here[name]):
            words = f"--{name}" if kind == "order" else name
            changes.append(f"{words} was {there[name]} and is now {here[name]}")
    return changes


def hash_rows(rows: Any) -> str | None:
    """Give a checksum of the content of a ``datasets.Dataset`` or a list of rows; None for anything else."""
    from datasets import Dataset

    digest = hashlib.sha256()
    if isinstance(rows, Dataset):
        for table in rows.with_format("arrow").iter(ROWS_AT_A_TIME):
            for name in sorted(table.column_names):
                digest.update(name.encode())
                _add(digest, table[name].combine_chunks())
    elif isinstance(rows, list):
        for row in rows:
            digest.update(json.dumps(row, sort_keys=True, default=repr).encode())
    else:
        return None
    return digest.hexdigest()


def _add(digest: Any, column: Any) -> None:
    """Take in an Arrow array: lengths and values of lists, bytes of numbers, the text of anything else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        digest.update(pc.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False).tobytes())
        _add(digest, column.flatten())
    elif (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and not column.null_count:
        digest.update(column.to_numpy(zero_copy_only=False).tobytes())
    else:
        digest.update(json.dumps(column.to_pylist(), default=repr).encode())


def _batch(parts: list[int]) -> str:
    processes, rows, accumulation = parts
    return f"{np.prod(parts)} rows ({processes} process(es) x {rows} x {accumulation} accumulated)"


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(getattr(value, "value", value))


def _version(package: str) -> str | None:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None
