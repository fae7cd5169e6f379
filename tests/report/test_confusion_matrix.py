"""The picture of a confusion matrix fits its labels, whatever they are and however many."""

from __future__ import annotations

import numpy as np
import pytest
from report.picture_checks import has_blank_edge, inches, share_of

pytest.importorskip("matplotlib")

from hf_ext.report import fonts
from hf_ext.report.confusion_matrix import MOST_LABELS, draw_confusion_matrix

ENGLISH = ["anger", "joy", "none of these, or several of them at once"]


def counts_of(labels: int, *, wrong: int = 2) -> np.ndarray:
    table = np.diag(np.arange(5, 5 + labels))
    table[0, labels - 1] = wrong
    return table


def test_right_is_blue_and_wrong_is_orange():
    picture, missing = draw_confusion_matrix(counts_of(3), ENGLISH)
    assert missing == ""
    assert share_of(picture, "blue") > 2 * share_of(picture, "orange") > 0
    perfect, _ = draw_confusion_matrix(counts_of(3, wrong=0), ENGLISH)
    assert share_of(perfect, "orange") == 0


@pytest.mark.parametrize("labels", [1, 2, 7, 31])
def test_nothing_runs_out_of_the_picture(labels):
    names = [f"a rather long name of a label, number {number}"[: 8 + 3 * number] for number in range(labels)]
    assert has_blank_edge(draw_confusion_matrix(counts_of(labels), names)[0])


@pytest.mark.slow
def test_of_77_labels_each_has_room_for_its_name_and_number():
    picture, _ = draw_confusion_matrix(counts_of(77), [f"card_payment_{number}" for number in range(77)])
    width, height = inches(picture)
    assert 77 * 0.2 < width < 24
    assert 77 * 0.2 < height < 24
    assert has_blank_edge(picture)


def test_of_more_labels_those_with_mistakes_are_drawn(monkeypatch):
    monkeypatch.setattr("hf_ext.report.confusion_matrix.MOST_LABELS", 4)
    table = np.diag(np.full(9, 50))
    table[2, 5] = table[5, 7] = table[7, 8] = 3
    names = [f"label {number}" for number in range(9)]
    few, _ = draw_confusion_matrix(table[np.ix_([2, 5, 7, 8], [2, 5, 7, 8])], [names[i] for i in (2, 5, 7, 8)])
    many, _ = draw_confusion_matrix(table, names)
    assert share_of(many, "orange") == pytest.approx(share_of(few, "orange"), rel=0.1)
    assert inches(many)[0] == inches(few)[0]
    assert MOST_LABELS >= 77


def test_letters_that_no_font_has_become_numbers(monkeypatch):
    monkeypatch.setattr(fonts, "_installed_fonts", lambda: ())
    numbered, missing = draw_confusion_matrix(counts_of(2), ["好评", "差评"])
    assert missing == "好差评"
    plain, _ = draw_confusion_matrix(counts_of(2), ["L0", "L1"])
    assert inches(numbered)[0] == inches(plain)[0]
    assert inches(numbered)[1] > inches(plain)[1]  # a line more says where the names are


def test_names_are_text_and_not_formulas():
    draw_confusion_matrix(counts_of(2), ["$x_{$", r"\frac"])


def test_counts_must_fit_the_names():
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        draw_confusion_matrix(counts_of(2), ENGLISH)


def test_a_label_without_any_row_is_drawn_all_the_same():
    assert has_blank_edge(draw_confusion_matrix(np.zeros((2, 2), dtype=int), ["a", "b"])[0])
