from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_ext.data.pretraining.sentences import find_sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in find_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天下雨。我在家！你呢？好", ["今天下雨。", "我在家！", "你呢？", "好"]),
        ("他说：“走吧。”我们走了。", ["他说：“走吧。”", "我们走了。"]),
        ("真的？！……是的。", ["真的？！……", "是的。"]),
        ("It is 3.14 here. Yes! No? (Ok.) Done", ["It is 3.14 here.", " Yes!", " No?", " (Ok.)", " Done"]),
        ("J. R. Smith came. He left.", ["J. R. Smith came.", " He left."]),
        ("Wait... what? www.a.com is down.", ["Wait...", " what?", " www.a.com is down."]),
        ("one line\n\n  two lines\nthree", ["one line\n\n  ", "two lines\n", "three"]),
        ("no mark", ["no mark"]),
        ("", []),
        ("...", ["..."]),
    ],
)
def test_sentences(text, expected):
    assert cut(text) == expected


@given(st.text(alphabet="ab .。!？”\n\"'；J…", max_size=40))
def test_sentences_are_the_whole_text_in_order(text):
    spans = find_sentences(text)
    assert "".join(cut(text)) == text
    assert all(start < end for start, end in spans)
