from __future__ import annotations

import codecs
import gzip

import pytest
from table_files import cells, fails, write

from hf_ext.data.encodings import CHUNK, TextFile, detect_encoding
from hf_ext.errors import UserError

TABLE = "text,label\n今天天气很好,正面\ncafé,负面\n"
ROWS = [("今天天气很好", "正面"), ("café", "负面")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_the_same_cells_come_out_of_every_encoding(tmp_path, encoding):
    assert cells(write(tmp_path / "a.csv", TABLE.encode(encoding))) == ROWS


@pytest.mark.parametrize(("bom", "codec"), [(codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")])
def test_utf16_is_read_in_both_byte_orders(tmp_path, bom, codec):
    assert cells(write(tmp_path / "a.csv", bom + TABLE.encode(codec))) == ROWS


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_not_taken_for_gb18030(tmp_path, codec):
    path = write(tmp_path / "a.txt", ("我们喜欢在北京附近散步。\n" * 20).encode(codec))
    path.read_bytes().decode("gb18030")  # it would decode
    fails(path, "", "control characters", "UTF-16 without a byte order mark")


def test_a_stray_control_character_leaves_gb18030_a_text(tmp_path):
    assert detect_encoding(write(tmp_path / "a.txt", (TABLE * 10 + "\x1a").encode("gb18030"))) == "gb18030"


def test_gb18030_is_said_and_utf8_is_not(tmp_path):
    assert TextFile(write(tmp_path / "a.csv", TABLE.encode("gb18030"))).notes == [
        f"{tmp_path / 'a.csv'}: read as gb18030"
    ]
    assert TextFile(write(tmp_path / "b.csv", TABLE)).notes == []


def test_byte_order_mark_does_not_stick_to_the_first_column(tmp_path):
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbftext,label\na,b\n")
    assert TextFile(path).first_line() == "text,label"


def test_gzip_is_unpacked(tmp_path):
    assert cells(write(tmp_path / "a.csv.gz", gzip.compress(TABLE.encode()))) == ROWS


@pytest.mark.parametrize(
    "content", [b"not gzip at all", gzip.compress(TABLE.encode() * 50, mtime=0)[:-20]], ids=["text", "cut off"]
)
def test_broken_gzip_is_one_line(tmp_path, content):
    fails(write(tmp_path / "a.csv.gz", content), "", "cannot be read")


def test_mixed_encodings_name_line_and_byte(tmp_path):
    first = "text,label\n好,a\n".encode()
    path = write(tmp_path / "a.csv", first + b"\xff\xff,b\n")
    fails(path, 3, f"byte {len(first)} ", "UTF-8", "save the file")


def test_byte_order_mark_does_not_shift_the_byte_that_is_named(tmp_path):
    first = b"\xef\xbb\xbftext,label\n"
    fails(write(tmp_path / "a.csv", first + b"\xff\xff,b\n"), 2, f"byte {len(first)} ")


def test_fault_behind_the_first_chunk_is_placed_rightly(tmp_path):
    line = b"x" * 99 + b"\n"
    count = CHUNK // len(line) + 50
    path = write(tmp_path / "a.txt", line * count + b"\xff\xff\n")
    with pytest.raises(UserError, match=f":{count + 1}: byte {count * len(line)} "):
        detect_encoding(path)


def test_character_cut_by_a_chunk_border_is_no_fault(tmp_path):
    path = write(tmp_path / "a.txt", b"x" * (CHUNK - 1) + "好\n".encode())
    assert detect_encoding(path) == "utf-8-sig"


def test_truncated_last_character_is_a_fault(tmp_path):
    path = write(tmp_path / "a.txt", b"abc\nxyz" + "好".encode()[:1])
    with pytest.raises(UserError, match=":2: byte 7 "):
        detect_encoding(path)


def test_nul_characters_are_left_out_and_counted(tmp_path):
    file = TextFile(write(tmp_path / "a.csv", b"te\0xt,label\na\0\0,b\n"))
    assert list(file) == ["text,label\n", "a,b\n"]
    assert file.notes == [f"{tmp_path / 'a.csv'}: 3 NUL characters left out"]
    list(file)
    assert len(file.notes) == 1, "a second reading repeats the note"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_are_the_same(tmp_path, end):
    path = write(tmp_path / "a.csv", TABLE.replace("\n", end).encode())
    assert cells(path) == ROWS


def test_unicode_line_separators_do_not_end_a_row(tmp_path):
    path = write(tmp_path / "a.tsv", "text\tlabel\na\u2028b\x85c\td\n")
    assert cells(path) == [("a\u2028b\x85c", "d")]
