"""Put the tables of ``make bench`` into docs/benchmarks.md, each between the marks of its section.

    python benchmarks/render.py                        # outputs/bench/*.json -> docs/benchmarks.md

The prose of the page is written by hand. Where there is no file for a section, its last tables stay.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tables import Table

ROOT = Path(__file__).resolve().parents[1]
PAGE, FIGURES = ROOT / "docs" / "benchmarks.md", ROOT / "outputs" / "bench"
BLOCK = re.compile(r"(?<=<!-- figures: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def fill_page(page: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """Replace what stands between ``<!-- figures: NAME -->`` and the next ``<!-- end -->``.

    Args:
        page: Markdown.
        found: What ``write_json`` wrote, by the name of the benchmark; sections of other names stay as they are.

    Raises:
        ValueError: If the page has no place for a benchmark.
    """
    homeless = found.keys() - {match[1] for match in BLOCK.finditer(page)}
    if homeless:
        raise ValueError(f"the page has no line <!-- figures: {min(homeless)} -->.")

    def fill(block: re.Match[str]) -> str:
        return block[1] + block[2] + describe(found[block[1]]) if block[1] in found else block[0]

    return BLOCK.sub(fill, page)


def describe(content: Mapping[str, Any]) -> str:
    """Write the tables of one benchmark, and under which conditions they were measured."""
    machine, tables = content["machine"], [Table.from_json(table) for table in content["tables"]]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "transformers"))
    place = f"{machine['device']}, {machine['cores']} cores, load {machine['load']}; threads {machine['threads']}"
    head = f"Measured by `{content['command']}`: {place}; Python {machine['python']}, {versions}."
    return "\n".join(["", head, "", *(table.to_markdown() for table in tables), ""]).rstrip("\n") + "\n\n"


def render(page: Path, figures: Path) -> list[str]:
    """Render the files of a folder into a page.

    Returns:
        The names of the benchmarks that were found.
    """
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(figures.glob("*.json"))}
    page.write_text(fill_page(page.read_text(encoding="utf-8"), found), encoding="utf-8")
    return list(found)


def main() -> None:
    """Read the flags and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="folder of JSON files, one a benchmark")
    args = parser.parse_args()
    print(f"rendered: {', '.join(render(args.page, args.figures)) or 'nothing'}")


if __name__ == "__main__":
    main()
