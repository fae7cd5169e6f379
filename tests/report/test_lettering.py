"""Names in pictures: fonts that have their letters, or numbers; never boxes."""

from __future__ import annotations

import pytest

pytest.importorskip("matplotlib")

from matplotlib import font_manager

from hf_ext.report import fonts
from hf_ext.report.fonts import LONGEST_NAME, choose_lettering, find_fonts, places


def test_plain_names_need_no_other_font(monkeypatch):
    monkeypatch.setattr(fonts, "_installed_fonts", lambda: pytest.fail("no font is looked for"))
    assert choose_lettering(["good", "bad"]) == (["good", "bad"], ["DejaVu Sans"], "")


def test_a_font_that_is_installed_fills_the_gap(monkeypatch):
    own = font_manager.findfont("DejaVu Sans")
    serif = font_manager.findfont("DejaVu Serif")
    known = {own: frozenset(map(ord, "ab…")), serif: frozenset(map(ord, "好评"))}
    monkeypatch.setattr(fonts, "_letters_of", lambda path: known[path])
    monkeypatch.setattr(fonts, "_installed_fonts", lambda: (own, serif))
    assert choose_lettering(["好评", "ab"]) == (["好评", "ab"], ["DejaVu Sans", "DejaVu Serif"], "")
    assert find_fonts("好坏") == (["DejaVu Sans", "DejaVu Serif"], "坏")


def test_one_letter_without_a_font_numbers_all_names(monkeypatch):
    monkeypatch.setattr(fonts, "_installed_fonts", lambda: ())
    assert choose_lettering(["good", "好"])[::2] == (["L0", "L1"], "好")


@pytest.mark.parametrize(("name", "shown"), [("", "(blank)"), ("a\n b", "a b"), ("$5", r"\$5")])
def test_names_stand_on_one_line_and_are_no_formulas(name, shown):
    assert choose_lettering([name]).names == [shown]


def test_long_names_are_cut_by_the_room_they_take():
    latin = choose_lettering(["x" * 100]).names[0]
    assert latin == "x" * (LONGEST_NAME - 1) + "…"
    assert places(fonts._shorten("长" * 50, LONGEST_NAME)) <= LONGEST_NAME


def test_a_damaged_font_is_passed_over(tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert fonts._letters_of(str(tmp_path / "broken.ttf")) == frozenset()
