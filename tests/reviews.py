"""Rows of a toy review table."""

from __future__ import annotations

GOOD = ["lovely", "great", "fine", "superb", "happy"]
BAD = ["awful", "poor", "broken", "sad", "ugly"]


def review_rows(count: int, *, offset: int = 0) -> list[dict[str, str]]:
    """Reviews whose label follows from one word, with a shop and a price beside them; every third is 'so so'."""
    rows = []
    for i in range(offset, offset + count):
        word = (GOOD if i % 2 else BAD)[i % 5]
        rows.append(
            {
                "id": f"r{i}",
                "text": f"this {['book', 'pen', 'lamp'][i % 3]} number {i % 7} is {word}",
                "label": "good" if i % 2 else "bad",
                "shop": ["north", "south", "west"][i % 3],
                "price": str(1 + i % 4) if i % 6 else "",
            }
        )
    return rows
