"""A hook of mkdocs: a link that leaves this folder (tests, examples, code) becomes the path of the file."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE_LINK = re.compile(r"\[([^\]]*)\]\(\.\./([^)\s]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Rewrite the links of one page; a file that its own name links to is not named twice."""
    return OUTSIDE_LINK.sub(_name_file, markdown)


def _name_file(link: re.Match[str]) -> str:
    shown, path = link[1], link[2]
    return f"`{path}`" if path.endswith(shown.strip("`")) else f"{shown} (`{path}`)"
