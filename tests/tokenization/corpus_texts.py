"""Lines with words that can be learned: English, Chinese, digits."""

from __future__ import annotations

import random

ENGLISH_WORDS = ["the", "a", "of", "block", "chain", "blocks", "chains", "start", "smart", "art", "party", "part", "is"]
ENGLISH_WORDS += ["and", "new", "virus", "covid", "12", "345", "don't"]
CHINESE_WORDS = ["我们", "的", "贷款", "病毒", "冠状", "很", "新", "房子", "买", "，", "。", "存款", "不", "要", "东西"]


def english_lines(count: int = 300, *, seed: int = 0) -> list[str]:
    drawn = random.Random(seed)
    return [" ".join(drawn.choices(ENGLISH_WORDS, k=drawn.randint(4, 12))).capitalize() + "." for _ in range(count)]


def chinese_lines(count: int = 300, *, seed: int = 0) -> list[str]:
    drawn = random.Random(seed)
    return ["".join(drawn.choices(CHINESE_WORDS, k=drawn.randint(4, 16))) for _ in range(count)]
