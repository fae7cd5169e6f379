"""The page of benchmarks: its tables come from JSON files, and every benchmark is run and has its place."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
NO_BENCHMARKS = {"interleave", "run_all", "seed_study"}  # they name --output, too
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if '"--output"' in path.read_text(encoding="utf-8"))
NAMES = [name for name in SCRIPTS if name not in NO_BENCHMARKS]
MACHINE = {
    **{"device": "CPU (x86_64)", "cores": 2, "load": 1.4, "threads": 1},
    **{"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0"},
}
FOUND = {
    "command": "benchmarks/one.py --small",
    "machine": MACHINE,
    "tables": [
        {
            "title": "Two arms",
            "columns": ["arm", "ms", "rows", "asked"],
            "rows": [["ours", 0.123456, 16384, None], ["theirs", 1234.5, 2, "2 or 3"]],
        }
    ],
}
RENDERED = """
Measured by `benchmarks/one.py --small`: CPU (x86_64), 2 cores, load 1.4; threads 1; Python 3.11.7, torch 2.13.0, \
transformers 5.23.0.

Two arms:

| arm | ms | rows | asked |
|---|---|---|---|
| ours | 0.123 | 16,384 | – |
| theirs | 1,234 | 2 | 2 or 3 |

"""
PAGE = """# Page

Prose.

<!-- figures: one -->
old
<!-- end -->

More.

<!-- figures: two -->
kept
<!-- end -->
"""


@pytest.fixture
def benchmarks(monkeypatch):
    """Give the modules of the folder that need no model."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = ("tables", "render", "run_all")
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    for name in names:
        sys.modules.pop(name, None)


def test_tables_stand_between_the_marks_and_prose_stays(benchmarks):
    page = benchmarks.render.fill_page(PAGE, {"one": FOUND})
    assert page == PAGE.replace("old\n", RENDERED)
    assert benchmarks.render.fill_page(page, {"one": FOUND}) == page  # once more changes nothing


def test_a_benchmark_without_a_place_is_said(benchmarks):
    with pytest.raises(ValueError, match="no line <!-- figures: three -->"):
        benchmarks.render.fill_page(PAGE, {"one": FOUND, "three": FOUND})


@pytest.mark.parametrize(
    ("cell", "shown"),
    [(None, "–"), ("1.50", "1.50"), (7, "7"), (12345, "12,345"), (99.96, "100"), (1.0, "1.00"), (0.02834, "0.0283")],
)
def test_numbers_have_three_digits_and_text_stays(benchmarks, cell, shown):
    table = benchmarks.tables.Table("t", ["x"], [[cell]])
    assert table.to_markdown().splitlines()[-1] == f"| {shown} |"


def test_a_row_of_another_width_is_refused(benchmarks):
    with pytest.raises(ValueError, match="t: 2 columns, but a row of 1"):
        benchmarks.tables.Table("t", ["a", "b"], [["x"]]).to_markdown()


# --- make bench ------------------------------------------------------------------------------------------------------


def test_every_benchmark_is_run_and_has_its_section_with_its_command(benchmarks):
    listed = sorted(benchmarks.run_all.BENCHMARKS)
    assert listed == NAMES
    page = benchmarks.run_all.PAGE.read_text(encoding="utf-8")
    assert listed == sorted(re.findall(r"^<!-- figures: (\w+) -->$", page, re.MULTILINE))
    assert page.count("<!-- end -->") == len(listed)
    for name in (*listed, *benchmarks.run_all.STUDIES):
        assert re.search(rf"^(OMP_NUM_THREADS=1 )?python benchmarks/{name}\.py", page, re.MULTILINE), name


def test_every_benchmark_has_a_small_size():
    for name in NAMES:
        assert '"--small"' in (FOLDER / f"{name}.py").read_text(encoding="utf-8"), name


@pytest.mark.stress
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_in_its_small_size_and_leaves_tables(name, tmp_path):
    command = [sys.executable, str(FOLDER / "run_all.py"), name, "--small", "--folder", str(tmp_path)]
    assert subprocess.run(command, timeout=1500, check=False).returncode == 0
    tables = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))["tables"]
    assert tables
    assert all(table["rows"] for table in tables)


@pytest.fixture
def bench(benchmarks, monkeypatch, tmp_path):
    """Run three benchmarks of which the middle one fails, as if each were a process."""
    (tmp_path / "page.md").write_text(PAGE.replace("two", "last"), encoding="utf-8")
    monkeypatch.setattr(benchmarks.run_all, "BENCHMARKS", {"one": ("--few",), "broken": (), "last": ()})
    seen = []

    def run(name, flags, folder):
        seen.append((name, *flags))
        if name != "broken":
            (folder / f"{name}.json").write_text(json.dumps(FOUND), encoding="utf-8")
        return name != "broken"

    monkeypatch.setattr(benchmarks.run_all, "run", run)

    def start(*words):
        code = benchmarks.run_all.main([*words, "--folder", str(tmp_path), "--page", str(tmp_path / "page.md")])
        return code, seen, (tmp_path / "page.md").read_text(encoding="utf-8")

    return start


def test_one_that_fails_is_named_and_the_others_are_rendered(bench, capsys):
    code, seen, page = bench()
    assert code == 1
    assert seen == [("one", "--few"), ("broken",), ("last",)]
    assert page.count("| ours | 0.123 | 16,384 | – |") == 2
    assert "failed: broken" in capsys.readouterr().err


def test_what_is_done_stays_where_it_is_broken_off(benchmarks, bench, monkeypatch, tmp_path):
    run = benchmarks.run_all.run
    monkeypatch.setattr(benchmarks.run_all, "run", lambda name, *rest: run(name, *rest) if name == "one" else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench()
    assert json.loads((tmp_path / "one.json").read_text(encoding="utf-8")) == FOUND
    assert "Two arms:" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_names_choose_and_the_small_size_leaves_the_page(bench):
    code, seen, page = bench("last", "--small")
    assert (code, seen) == (0, [("last", "--small")])
    assert "Two arms" not in page


def test_a_name_that_is_none_is_refused(bench, capsys):
    with pytest.raises(SystemExit):
        bench("tow")
    assert "tow is none of one, broken, last" in capsys.readouterr().err


# --- the JSON files --------------------------------------------------------------------------------------------------


@pytest.fixture
def write_json(monkeypatch, benchmarks):
    monkeypatch.setattr(sys, "argv", ["some/where/one.py", "--small", "--output", "x.json"])
    yield importlib.import_module("interleave").write_json
    sys.modules.pop("interleave", None)


def test_a_file_says_what_it_was_measured_with_and_no_date_or_path(write_json, benchmarks, tmp_path):
    table = benchmarks.tables.Table("t", ["a"], [[1]])
    write_json(tmp_path / "new" / "one.json", {"figure": 2}, tables=[table])
    content = json.loads((tmp_path / "new" / "one.json").read_text(encoding="utf-8"))
    assert list(content) == ["command", "machine", "tables", "figure"]
    assert content["command"] == "benchmarks/one.py --small"
    assert content["machine"].keys() == MACHINE.keys()
    assert content["tables"] == [{"title": "t", "columns": ["a"], "rows": [[1]]}]
    assert "/" not in json.dumps(content["machine"])
    assert "| a |" in benchmarks.render.fill_page(PAGE, {"one": content})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.json"]


def test_without_a_path_nothing_is_written(write_json, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_json(None, {})
    assert not list(tmp_path.iterdir())
