"""The documentation is built as a web site without a warning: links, headings, the order of pages."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_hook():
    spec = importlib.util.spec_from_file_location("outside_links", ROOT / "docs" / "outside_links.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        timeout=240,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= built
    assert not list((tmp_path / "site").rglob("*.py"))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("see [ddp.yaml](../examples/accelerate/ddp.yaml).", "see `examples/accelerate/ddp.yaml`."),
        ("[`gap.py`](../hf_ext/gap.py)", "`hf_ext/gap.py`"),
        ("[the cases](../tests/cases.py)", "the cases (`tests/cases.py`)"),
        (
            "[training](training.md#losses) and [x](https://x.org)",
            "[training](training.md#losses) and [x](https://x.org)",
        ),
    ],
)
def test_links_out_of_the_folder_become_paths(written, shown):
    assert load_hook().on_page_markdown(written) == shown
