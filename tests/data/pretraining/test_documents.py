from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_cases import documents, fails, write

from hf_ext.data.pretraining import documents as module
from hf_ext.data.pretraining.documents import Document, DocumentReader, guess_boundary
from hf_ext.data.pretraining.packing import pack_best_fit

BLOCKS = "a one\na two\n\n\nb one\nb two\nb three\n\nc one\n"
NOVEL = "Title\n\n    First paragraph.\n\n\t\n    Second paragraph.\n\nThird.\n"


def test_lines_are_documents(tmp_path):
    path = write(tmp_path / "a.txt", "one\n\n  two  \r\nthree")
    assert documents(path, boundary="line") == [("one", 1), ("two", 3), ("three", 4)]


def test_empty_lines_part_documents(tmp_path):
    expected = [("a one\na two", 1), ("b one\nb two\nb three", 5), ("c one", 9)]
    assert documents(write(tmp_path / "a.txt", BLOCKS), boundary="empty_line") == expected
    assert documents(write(tmp_path / "a.txt", BLOCKS)) == expected  # found by looking


@pytest.mark.parametrize("text", [NOVEL, NOVEL.replace("\n\n", "\n").replace("\t\n", "")])
def test_paragraphs_of_a_novel_share_a_document_with_and_without_empty_lines(tmp_path, text):
    reader = DocumentReader()
    found = list(reader.read(write(tmp_path / "a.txt", text)))
    assert [document.text for document in found] == ["Title\nFirst paragraph.\nSecond paragraph.\nThird."]
    assert "sections" in reader.notes[0]


def test_sections_end_at_a_line_end_and_lose_nothing(tmp_path):
    lines = [f"line {i} " + "x" * (i % 50) for i in range(2000)]
    found = documents(write(tmp_path / "a.txt", "\n".join(lines)), boundary="section")
    assert "\n".join(document.text for document in found).split("\n") == [line.strip() for line in lines]
    assert len(found) > 10
    size = sum(map(len, lines)) // module.SECTIONS
    assert all(0.75 * size <= len(document.text) < 1.25 * size + 200 for document in found[:-1])
    assert all(lines[document.line - 1].strip() == document.text.split("\n")[0] for document in found)


def test_sections_leave_rests_that_fill_rows_together(tmp_path):
    lines = ["x " * 35] * 4000  # reviews of nearly one length
    found = documents(write(tmp_path / "a.txt", "\n".join(lines)), boundary="section")
    lengths = np.array([len(document.text.split()) for document in found])
    for max_length in (128, 256, 512):
        plan = pack_best_fit(lengths, max_length, 2)
        assert (lengths.sum() + 2 * len(plan.document)) / (max_length * len(plan)) >= 0.985


def test_a_small_file_has_several_sections_so_that_some_can_be_held_out(tmp_path):
    assert len(documents(write(tmp_path / "a.txt", "forty characters of text on this line ..\n" * 40))) > 2


@pytest.mark.parametrize(
    ("lines", "expected"),
    [([], "section"), (["a", "b"], "section"), (["a", "", "b"], "section"), (["a", "b", "", "c"], "empty_line")],
)
def test_what_empty_lines_mean(lines, expected):
    assert guess_boundary(lines) == expected


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt", "a.jsonl.gz"])
def test_rows_of_json(tmp_path, name):
    rows = [{"id": i, "meta": {"nested": [1, {}]}, "text": f"text {i}\nsecond line"} for i in range(3)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path = write(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    assert documents(path) == [(f"text {i}\nsecond line", i + 1) for i in range(3)]


def test_an_array_of_json(tmp_path):
    path = write(tmp_path / "a.json", json.dumps([{"content": "x"}, {"content": "y"}]))
    assert [document.text for document in documents(path)] == ["x", "y"]


def test_rows_of_csv_tsv_and_parquet(tmp_path):
    assert documents(write(tmp_path / "a.csv", 'n,text\n1,"a, b"\n2,c\n')) == [("a, b", 2), ("c", 3)]
    assert documents(write(tmp_path / "a.tsv", "n\tbody\n1\ta\n"), text_column="body") == [("a", 2)]
    assert documents(write(tmp_path / "b.csv", "n;text\n1;a\n"), delimiter=";") == [("a", 2)]
    pq.write_table(pa.table({"text": ["a", None, " ", "b"], "n": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    reader = DocumentReader()
    assert list(reader.read(tmp_path / "a.parquet")) == [("a", 1), ("b", 4)]
    assert "2 rows without a text" in reader.notes[0]


def test_a_list_of_texts_is_one_document(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": ["a", "b"]}\n{"text": 3}\n')
    assert [document.text for document in documents(path)] == ["a\nb", "3"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_encodings(tmp_path, encoding):
    path = write(tmp_path / "a.txt", "第一回 宴桃园\r\n豪杰三结义\r\n".encode(encoding))
    assert [document.text for document in documents(path, boundary="line")] == ["第一回 宴桃园", "豪杰三结义"]


def test_a_document_of_extreme_length_is_cut_at_blanks(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_DOCUMENT", 20)
    path = write(tmp_path / "a.txt", "abcd " * 30)
    found = documents(path, boundary="line")
    assert " ".join(document.text for document in found).split() == ["abcd"] * 30
    assert all(len(document.text) <= 20 for document in found)
    assert {document.line for document in found} == {1}
    unbroken = documents(write(tmp_path / "b.txt", "天" * 45), boundary="line")
    assert [len(document.text) for document in unbroken] == [20, 20, 5]


def test_messages(tmp_path):
    fails(lambda: documents(write(tmp_path / "c.csv", "a,b\n1,2\n")), "which column is the text? There are: a, b")
    fails(
        lambda: documents(write(tmp_path / "d.csv", "txt,b\n1,2\n"), text_column="text"),
        "'text' among: txt, b",
        "'txt'",
    )
    fails(lambda: documents(write(tmp_path / "e.jsonl", '{"text": "a"}\n{"text"\n')), "e.jsonl:2", "broken JSON")
    fails(lambda: documents(write(tmp_path / "f.jsonl", '{"text": "a"}\n["b"]\n')), "f.jsonl:2", "not an object")
    fails(
        lambda: documents(write(tmp_path / "g.jsonl", '{"text": {"a": 1}}\n')),
        "g.jsonl:1",
        "'text' holds no text",
        "--text_column_name",
    )
    fails(lambda: documents(write(tmp_path / "g.json", '[{"text": [["a"]]}]')), "g.json:1", "'text' holds no text")
    fails(lambda: documents(write(tmp_path / "h.txt", b"\x89PNG\r\n\x1a\n\x00\xff\xfe\xff")), "h.txt:", "is not UTF-8")
    fails(lambda: documents(write(tmp_path / "i.parquet", "no")), "not a parquet file")
    fails(lambda: documents(write(tmp_path / "j.txt.gz", b"no gzip")), "j.txt.gz", "cannot be read")
    fails(lambda: documents(write(tmp_path / "l.doc", "x")), "unknown kind of file (.doc)")


@pytest.mark.parametrize("name", ["a.txt", "b.jsonl", "c.csv"])
def test_files_without_text_are_noted(tmp_path, name):
    content = {"a.txt": "\ufeff \n\t\n", "b.jsonl": '{"text": ""}\n', "c.csv": "text,n\n"}[name]
    reader = DocumentReader(boundary="line")
    assert list(reader.read(write(tmp_path / name, content))) == []
    assert f"{tmp_path / name}: no text" in reader.notes


def test_half_a_character_of_json_is_mended(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "\\ud800 a"}\n')
    assert [document.text for document in documents(path)] == ["\ufffd a"]


def test_documents_are_plain_pairs():
    assert Document("a", 3) == ("a", 3)
