from __future__ import annotations

import pytest

from hf_ext.han import han_prevails, han_share


@pytest.mark.parametrize(
    ("texts", "share"), [(["全是汉字"], 1.0), (["ab汉字"], 0.5), (["none"], 0.0), (["123 !"], 0.0), ([], 0.0)]
)
def test_han_share_counts_letters_only(texts, share):
    assert han_share(texts) == share


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["今天 iPhone 发布会"], True),
        (["这是一部 very good 的电影"], True),
        (["plain English with 汉字"], False),
        (["今天天气 ok"], True),
        (["hello"], False),
        (["123 !!"], False),
        ([], False),
    ],
)
def test_the_script_is_decided_by_the_letters(texts, expected):
    assert han_prevails(texts) is expected


def test_only_the_first_texts_are_looked_at():
    assert han_prevails(["汉字"] * 2000 + ["latin letters"] * 100000)
