"""Which fonts can write the names in a picture; matplotlib's own one has no Chinese."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

# part of a file's name in lower case; what common systems bring, the plainest faces first
PREFERRED = (
    *("notosanscjk", "notosanssc", "sourcehansans", "wqy-microhei", "wqy-zenhei", "pingfang", "hiragino", "stheiti"),
    *("msyh", "simhei", "malgun", "yugoth", "droidsansfallback", "arialuni", "arial unicode", "unifont"),
)
PACKAGE = "fonts-noto-cjk"  # of Debian and Ubuntu
LONGEST_NAME = 32  # places; a wide character takes two


class Lettering(NamedTuple):
    """How names are written in a picture.

    Args:
        names: What stands there: the names, shortened, or ``L0``, ``L1``, … where no font has their letters.
        families: The fonts that write them, for ``house_style``.
        missing: Letters that no font has; empty where all of them can be written.
    """

    names: list[str]
    families: list[str]
    missing: str


def choose_lettering(names: Sequence[str], *, longest: int = LONGEST_NAME) -> Lettering:
    """Find fonts for all letters of some names; where there are none, number the names instead.

    Args:
        names: Names of labels, in the order of the labels.
        longest: Places that a name may take.
    """
    shortened = [_shorten(" ".join(name.split()) or "(blank)", longest) for name in names]
    families, missing = find_fonts("".join(shortened))
    if missing:
        return Lettering([f"L{number}" for number in range(len(names))], families, missing)
    return Lettering([name.replace("$", r"\$") for name in shortened], families, "")


def find_fonts(text: str) -> tuple[list[str], str]:
    """Choose matplotlib's own font and, for what it lacks, installed ones.

    Returns:
        Names of fonts, and the letters that none of the installed ones has, each once.
    """
    from matplotlib import font_manager, rcParamsDefault

    families = list(rcParamsDefault["font.sans-serif"][:1])
    own = font_manager.findfont(families[0])
    missing = _lacks(own, {letter for letter in text if not letter.isspace()})
    for path in _installed_fonts() if missing else ():
        left = _lacks(path, missing)
        if left < missing:
            font_manager.fontManager.addfont(path)
            families.append(font_manager.FontProperties(fname=path).get_name())
            missing = left
        if not missing:
            break
    return families, "".join(sorted(missing))


def places(name: str) -> int:
    """Count how wide a name is: a wide character takes two places."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in name)


@lru_cache(maxsize=1)
def _installed_fonts() -> tuple[str, ...]:
    from matplotlib import font_manager

    def rank(path: str) -> tuple[int, bool, str]:
        name = path.lower()
        known = [place for place, part in enumerate(PREFERRED) if part in name]
        return (min(known, default=len(PREFERRED)), "regular" not in name, path)

    return tuple(sorted(font_manager.findSystemFonts(), key=rank))


@lru_cache(maxsize=64)
def _letters_of(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (RuntimeError, OSError, ValueError):  # a bitmap font, or a damaged file
        return frozenset()


def _lacks(path: str, letters: Iterable[str]) -> set[str]:
    known = _letters_of(path)
    return {letter for letter in letters if ord(letter) not in known}


def _shorten(name: str, longest: int) -> str:
    if places(name) <= longest:
        return name
    kept, width = "", 1  # of the dots
    for letter in name:
        width += places(letter)
        if width > longest:
            break
        kept += letter
    return f"{kept}…"
