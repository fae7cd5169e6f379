"""The Chinese README says what the English one does: the same sections, tables, commands, links and figures."""

from __future__ import annotations

import re

import pytest
from docs.page_commands import ROOT, shell_lines

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FIGURE = re.compile(r"(?<![\w.])(?:\d[\d,]*)?\.?\d+(?:e-\d+)?")
HAN = re.compile(r"[\u4e00-\u9fff]")


def sections(text: str) -> list[str]:
    return text.split("\n## ")


def rows_of(text: str) -> list[list[str]]:
    """Give the cells of all rows of tables, their heads included."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


PAIRS = list(zip(sections(ENGLISH), sections(CHINESE), strict=False))


def title_of(value: object) -> str:
    return str(value).partition("\n")[0].lstrip("# ")


def test_both_have_the_same_number_of_sections():
    assert len(sections(ENGLISH)) == len(sections(CHINESE))


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=title_of)
def test_every_row_has_its_counterpart_with_the_same_commands_links_and_figures(english, chinese):
    """A row that is new in README.md needs its translation in README.zh-CN.md."""
    ours, theirs = rows_of(english), rows_of(chinese)
    assert len(ours) == len(theirs)
    for row, translated in zip(ours, theirs, strict=True):
        assert len(row) == len(translated)
        assert sorted(CODE.findall(" ".join(row))) == sorted(CODE.findall(" ".join(translated))), row
        assert LINK.findall(" ".join(row)) == LINK.findall(" ".join(translated)), row
        for cell, other in list(zip(row, translated, strict=True))[1:]:
            if not CODE.search(cell):
                assert FIGURE.findall(cell) == FIGURE.findall(other), row


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=title_of)
def test_the_same_code_is_copied_from_both(english, chinese):
    assert shell_lines(english) == shell_lines(chinese)
    blocks = [re.findall(r"```python\n(.*?)```", text, re.DOTALL) for text in (english, chinese)]
    assert [re.sub(r"#.*", "", block) for block in blocks[0]] == [re.sub(r"#.*", "", block) for block in blocks[1]]


def test_links_of_the_chinese_page_lead_somewhere():
    assert all((ROOT / target).exists() for target in LINK.findall(CHINESE))


def test_it_is_written_in_chinese():
    prose = re.sub(r"```.*?```|`[^`]*`|\([^)]*\)", "", CHINESE, flags=re.DOTALL)
    assert len(HAN.findall(prose)) > 2500
    for item in re.findall(r"^- (.*)$", CHINESE, re.MULTILINE):
        assert HAN.search(item)
    assert CHINESE.count("\n- **") == ENGLISH.count("\n- **")
