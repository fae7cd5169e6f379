"""The documentation is built as a web site without a warning: links, headings, the order of pages."""

from __future__ import annotations

import configparser
import importlib.util
import re
import shutil
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


def build(folder: Path, site: Path) -> subprocess.CompletedProcess:
    """Build the site, and not with ``--quiet``: that would hide warnings from ``--strict`` too."""
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=folder,
        timeout=240,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    built = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= built
    assert not list((tmp_path / "site").rglob("*.py"))


@pytest.mark.slow
def test_a_link_to_no_heading_breaks_the_build(tmp_path):
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "choosing.md").open("a", encoding="utf-8") as page:
        page.write("\n[here](training.md#no-such-heading)\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "no-such-heading" in done.stdout + done.stderr


def test_what_ci_installs_builds_the_site_and_runs_all_of_this():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = settings["options.extras_require"]
    assert {line for line in extras["docs"].split("\n") if line} <= set(extras["dev"].split("\n"))
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = re.search(r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert "pytest" in commands[1]
    assert "not slow" not in commands[1]


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
