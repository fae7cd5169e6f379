"""docs/outputs.md lists the files that run.json explains, in the same words."""

from __future__ import annotations

import re
from pathlib import Path

from hf_ext.report.folder_files import FILES, describe_file

PAGE = Path(__file__).parents[2] / "docs" / "outputs.md"
ROW = re.compile(r"^\| `([^`]+)` \| (.*) \|$", re.MULTILINE)


def test_the_table_is_the_one_that_runs_write():
    assert dict(ROW.findall(PAGE.read_text(encoding="utf-8"))) == FILES


def test_patterns_find_their_files():
    assert describe_file("checkpoint-500") == FILES["checkpoint-*"]
    assert describe_file("model-00001-of-00002.safetensors") == FILES["model-*.safetensors"]
    assert describe_file("model.safetensors") == FILES["model.safetensors"]
    assert describe_file("notes.txt") is None
