"""Flags that name data: one that is given and empty is a slip, such as a shell variable that is not set."""

from __future__ import annotations

from typing import Any

NAMES = ("dataset_name", "data_dir", "train_file", "validation_file", "test_file")


def refuse_empty_names(arguments: Any) -> None:
    """Refuse an empty name where a data set, folder or file should stand.

    Args:
        arguments: Any dataclass with some of these flags.

    Raises:
        ValueError: Naming the flag.
    """
    for name in NAMES:
        value = getattr(arguments, name, None)
        if value is not None and not value.strip():
            raise ValueError(f"--{name} is empty: name something, or leave the flag out.")
