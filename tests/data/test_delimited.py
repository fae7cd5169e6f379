from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_files import cells, fails, lines, write

from hf_ext.data.arguments import DataArguments
from hf_ext.data.files import read_rows

CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\x1f"), max_size=12)


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_csv_module_writes_comes_back(tmp_path, rows):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("text", "label"), *rows])
    path = write(tmp_path / "a.csv", text.getvalue())
    assert cells(path) == rows


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_line_numbers_point_at_the_first_line_of_each_record(tmp_path, rows):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("text", "label"), *rows])
    path = write(tmp_path / "a.csv", text.getvalue())
    expected = [2 + sum(a.count("\n") + b.count("\n") + 1 for a, b in rows[:i]) for i in range(len(rows))]
    assert lines(path) == expected


@pytest.mark.parametrize(
    "cell", ["NA", "None", "null", "nan", "001", "1", "1.0", "True", "-1", " x ", "2020-01-01", "1e5"]
)
def test_every_cell_stays_the_text_it_was(tmp_path, cell):
    assert cells(write(tmp_path / "a.csv", f"text,label\n{cell},{cell}\n")) == [(cell, cell)]


def test_empty_cells_are_empty_texts(tmp_path):
    assert cells(write(tmp_path / "a.csv", 'a,b,c\n,,\n"",x,\n')) == [("", "", ""), ("", "x", "")]


def test_quoted_cells_may_hold_separators_marks_and_line_ends(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\r\n"a, ""b""\r\nc",x\r\nd,y\r\n')
    assert cells(path) == [('a, "b"\nc', "x"), ("d", "y")]
    assert lines(path) == [2, 4]


def test_blank_lines_are_passed_over_and_counted_in_line_numbers(tmp_path):
    path = write(tmp_path / "a.csv", "\n\ntext,label\n\na,x\n  \nb,y\n\n")
    assert cells(path) == [("a", "x"), ("b", "y")]
    assert lines(path) == [5, 7]


def test_cell_longer_than_the_csv_module_allows_by_default(tmp_path):
    long = "x" * 200_000
    assert cells(write(tmp_path / "a.csv", f"text,label\n{long},y\n")) == [(long, "y")]


# Header


def test_column_names_replace_a_header_that_is_not_there(tmp_path):
    assert cells(write(tmp_path / "a.tsv", "a\tx\nb\ty\n"), column_names="text,label") == [("a", "x"), ("b", "y")]


def test_header_equal_to_column_names_is_a_header(tmp_path):
    assert cells(write(tmp_path / "a.csv", "text,label\na,x\n"), column_names="text, label") == [("a", "x")]


def test_unnamed_header_cells_are_named_by_position(tmp_path):
    table = read_rows(write(tmp_path / "a.csv", ",text,\n1,a,x\n"), DataArguments())
    assert table.columns == ["unnamed_0", "text", "unnamed_2"]


def test_header_cells_are_stripped(tmp_path):
    assert read_rows(write(tmp_path / "a.csv", " text , label\na,x\n"), DataArguments()).columns == ["text", "label"]


def test_duplicate_columns_are_refused(tmp_path):
    fails(write(tmp_path / "a.csv", "text,label,text\na,x,b\n"), 1, "'text'", "rename")


def test_the_line_column_is_reserved(tmp_path):
    fails(write(tmp_path / "a.csv", "text,_line\na,x\n"), 1, "reserved")


@pytest.mark.parametrize(("separator", "flag"), [(";", "';'"), ("\t", "tab"), ("|", "'|'")])
def test_wrong_delimiter_is_named(tmp_path, separator, flag):
    fails(write(tmp_path / "a.csv", f"sentence{separator}label\na{separator}x\n"), 1, f"--delimiter {flag}")


def test_comma_separated_file_with_the_name_of_a_tsv_is_noticed(tmp_path):
    fails(write(tmp_path / "a.tsv", "sentence,label\na,x\n"), 1, "'sentence,label'", "--delimiter")


@pytest.mark.parametrize("delimiter", [";", "|", "||", "<sep>", "::"])
def test_delimiter_flag_takes_any_text(tmp_path, delimiter):
    path = write(tmp_path / "a.csv", f"text{delimiter}label\na{delimiter}x\n")
    assert cells(path, delimiter=delimiter) == [("a", "x")]


@pytest.mark.parametrize("written", ["\t", "\\t", "tab"])
def test_tab_can_be_written_in_a_shell(tmp_path, written):
    assert cells(write(tmp_path / "a.csv", "text\tlabel\na\tx\n"), delimiter=written) == [("a", "x")]


def test_long_delimiter_inside_quotation_marks_is_text(tmp_path):
    path = write(tmp_path / "a.csv", 'text||label\n"a||b"||x\n')
    assert cells(path, delimiter="||") == [("a||b", "x")]


# Quoting


def test_tsv_with_stray_quotation_marks_is_not_quoted(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"Great" he said\tx\n"open\ty\n5" disk\tz\n')
    assert cells(path) == [('"Great" he said', "x"), ('"open', "y"), ('5" disk', "z")]


def test_tsv_whose_marked_cells_are_all_well_formed_is_quoted(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"a ""b"""\tx\nplain\ty\n')
    assert cells(path) == [('a "b"', "x"), ("plain", "y")]


def test_tsv_with_line_ends_inside_cells_is_quoted(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"two\nlines"\tx\nplain\ty\n')
    assert cells(path) == [("two\nlines", "x"), ("plain", "y")]
    assert lines(path) == [2, 4]


def test_quoting_flag_decides(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"a"\tx\n')
    assert cells(path, quoting="none") == [('"a"', "x")]
    assert cells(path, quoting="minimal") == [("a", "x")]
    plain = write(tmp_path / "b.csv", 'text,label\n"a" b,x\n')
    assert cells(plain, quoting="none") == [('"a" b', "x")]


def test_unclosed_quote_names_the_line_where_it_opens(tmp_path):
    fails(write(tmp_path / "a.csv", 'text,label\na,x\n"b,y\nc,z\n'), 3, "never closed", "--quoting none")


def test_text_after_a_closing_quote_is_an_error_and_not_swallowed(tmp_path):
    fails(write(tmp_path / "a.csv", 'text,label\n"a" said b,x\n'), 2, "closing quotation mark", "--quoting none")


# Ragged rows


@pytest.mark.parametrize("extension", ["csv", "tsv"])
def test_too_many_cells_are_an_error_with_both_counts(tmp_path, extension):
    separator = "," if extension == "csv" else "\t"
    rows = ["text,label", "a,x", "b,c,y"]
    path = write(tmp_path / f"a.{extension}", "\n".join(rows).replace(",", separator))
    fails(path, 3, "3 cells", "2 columns", "text, label")


def test_too_few_cells_are_an_error_even_in_the_last_row(tmp_path):
    fails(write(tmp_path / "a.csv", "a,b,c\n1,2,3\n1,2"), 3, "2 cells", "3 columns")


def test_ragged_row_behind_a_multi_line_record_has_the_right_line(tmp_path):
    fails(write(tmp_path / "a.csv", 'a,b\n"x\ny\nz",1\n1,2,3\n'), 5, "3 cells")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_empty_file_says_no_rows(tmp_path, name, content):
    fails(write(tmp_path / name, content), "", "no rows")


def test_header_without_rows_says_no_rows(tmp_path):
    fails(write(tmp_path / "a.csv", "text,label\n"), "", "no rows")


# Text files


def test_txt_with_one_tab_in_each_line_is_label_and_text(tmp_path):
    path = write(tmp_path / "a.txt", "pos\tgood\n\nneg\tbad\n")
    table = read_rows(path, DataArguments())
    assert table.columns == ["label", "text"]
    assert cells(path) == [("pos", "good"), ("neg", "bad")]
    assert lines(path) == [1, 3]
    assert "--column_names text,label" in table.notes[0]


@pytest.mark.parametrize("content", ["one\ntwo\n", "a\tb\nplain\n", "a\tb\tc\n"])
def test_txt_otherwise_is_one_text_a_line(tmp_path, content):
    path = write(tmp_path / "a.txt", content)
    assert read_rows(path, DataArguments()).columns == ["text"]
    assert cells(path) == [(line,) for line in content.splitlines()]


def test_txt_with_column_names_has_no_header(tmp_path):
    path = write(tmp_path / "a.txt", "今天\t3\n明天\t1\n")
    assert cells(path, column_names="text,label") == [("今天", "3"), ("明天", "1")]


def test_txt_with_a_long_delimiter(tmp_path):
    path = write(tmp_path / "a.txt", "7||一||二||4\n8||三||四||0\n")
    assert cells(path, column_names="id,s1,s2,score", delimiter="||") == [
        ("7", "一", "二", "4"),
        ("8", "三", "四", "0"),
    ]


def test_txt_with_a_delimiter_needs_names(tmp_path):
    fails(write(tmp_path / "a.txt", "a;b\n"), "", "--column_names", delimiter=";")


def test_txt_with_the_wrong_number_of_names(tmp_path):
    fails(write(tmp_path / "a.txt", "a\tb\tc\n"), 1, "3 cells", "2 columns", column_names="text,label")


def test_headerless_test_file_may_lack_the_label_column(tmp_path):
    arguments = DataArguments(column_names="sentence1,sentence2,label")
    path = write(tmp_path / "a.txt", "a\tb\nc\td\n")
    assert read_rows(path, arguments, label_column="label").columns == ["sentence1", "sentence2"]
    fails(path, 1, "2 cells", column_names="sentence1,sentence2,label")
