"""Code that comes with a checkpoint runs only if it cannot be other code tomorrow."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

COMMIT = re.compile(r"[0-9a-f]{40}")
SETTINGS = ("config.json", "tokenizer_config.json")  # where a folder says which code belongs to it


def require_pinned_code(names: Iterable[str | None], revision: str | None) -> None:
    """Refuse to run code of the Hub whose revision is not a commit.

    A folder here is free, as far as its code lies in it: what its files name as ``repository--module.Class`` comes from
    the Hub all the same.

    Args:
        names: Folders, or names on the Hub, that code is loaded with; None is none.
        revision: The branch, tag or commit; None where there is no flag for it.

    Raises:
        ValueError: Naming the repository and the remedy.
    """
    if revision is not None and COMMIT.fullmatch(revision):
        return
    for name in names:
        for repository in find_repositories(name) if name else ():
            fix = f"pin it by --model_revision and a commit (40 digits from 0 to f), which {revision!r} is not"
            if revision is None:
                fix = "fetch it once with `hf download NAME --revision COMMIT --local-dir FOLDER` and name the folder"
            raise ValueError(f"--trust_remote_code would run whatever {repository!r} on the Hub holds that day: {fix}.")


def find_repositories(name: str) -> Iterator[str]:
    """Give the repositories on the Hub whose code is run for a model or a tokenizer.

    Args:
        name: A folder, or a name on the Hub.
    """
    if not os.path.isdir(name):
        yield name
        return
    for file in SETTINGS:
        for reference in _references(_read(Path(name) / file).get("auto_map")):
            repository, dashes, _ = reference.partition("--")
            if dashes:
                yield repository


def _references(entry: Any) -> Iterator[str]:
    """Give the texts in what stands under ``auto_map``: references by kind, for tokenizers several of them."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict | list):
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from _references(part)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # whoever loads it says what is wrong
    return content if isinstance(content, dict) else {}
