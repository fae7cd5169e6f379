"""Lists of tokens in every form, and what is wrong with them in one line."""

from __future__ import annotations

import pytest

from hf_ext.errors import UserError
from hf_ext.tokenization.token_list import AddedEntry, read_token_list, write_token_list

EXPECTED = [AddedEntry("covid", "a virus"), AddedEntry("贷款"), AddedEntry("New York")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.txt", "covid\ta virus\n贷款\n\nNew York\n"),
        ("bom.txt", "\ufeffcovid\ta virus\r\n贷款\r\nNew York"),
        ("t.tsv", "token\tdescription\ncovid\ta virus\n贷款\t\nNew York\n"),
        ("t.csv", 'token,description\ncovid,"a virus"\n贷款,\nNew York\n'),
        ("bare.csv", "covid,a virus\n贷款\nNew York\n"),
        ("map.json", '{"covid": "a virus", "贷款": null, "New York": ""}'),
        ("rows.json", '[{"token": "covid", "description": "a virus"}, "贷款", {"token": " New York "}]'),
        ("t.jsonl", '{"token": "covid", "description": "a virus"}\n"贷款"\n{"token": "New York"}\n'),
    ],
)
def test_every_form_gives_the_same_tokens(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    assert read_token_list(path) == EXPECTED


def test_repeats_are_read_once_and_the_first_stays(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("b\tfirst\na\nb\tsecond\n", encoding="utf-8")
    assert read_token_list(path) == [AddedEntry("b", "first"), AddedEntry("a")]


def test_what_is_written_is_read_back(tmp_path):
    entries = [*EXPECTED, AddedEntry("##ing", as_written=True), AddedEntry(" x", as_written=True)]
    write_token_list(tmp_path / "t.json", entries)
    assert read_token_list(tmp_path / "t.json") == entries


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", "", "no tokens"),
        ("t.txt", "a\tb\tc\n", r"t\.txt:1: 3 cells"),
        ("t.json", "[1]", "item 1: '1' names no token"),
        ("t.json", '"a"', "neither a list nor an object"),
        ("t.json", '["a"', r"t\.json:1: broken JSON"),
        ("t.json", '{"a": ["b"]}', "description .* is not text"),
        ("t.xlsx", "a", "unknown kind of token list"),
    ],
)
def test_a_broken_list_is_answered_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        read_token_list(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text_or_not_there_are_named(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"abc\n\xff\xfe\x00\x80")
    with pytest.raises(UserError, match=r"t\.txt:2: byte 4 is not UTF-8"):
        read_token_list(tmp_path / "t.txt")
    with pytest.raises(UserError, match="no such file"):
        read_token_list(tmp_path / "u.txt")
