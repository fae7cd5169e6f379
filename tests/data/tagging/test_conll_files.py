from __future__ import annotations

import gzip

import pytest
from tagging_files import TRAIN, fails, pairs, read, words, write

EXPECTED = [
    [("EU", "B-ORG"), ("rejects", "O"), ("German", "B-MISC"), ("call", "O")],
    [("Peter", "B-PER"), ("Blackburn", "I-PER")],
    [("BRUSSELS", "B-LOC"), ("1996", "O")],
]


@pytest.mark.parametrize("separator", ["\t", " ", "   ", ",", ";", "|"])
def test_any_separator_is_found(tmp_path, separator):
    assert pairs(write(tmp_path / "a.conll", TRAIN.replace(" ", separator))) == EXPECTED


@pytest.mark.parametrize(
    ("name", "mark"), [("tab", "\t"), ("\\t", "\t"), ("space", " "), ("comma", ","), ("_/_", "_/_")]
)
def test_a_named_separator_is_used(tmp_path, name, mark):
    assert pairs(write(tmp_path / "a.conll", TRAIN.replace(" ", mark)), delimiter=name) == EXPECTED


@pytest.mark.parametrize(
    "content",
    [
        TRAIN.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + TRAIN.encode(),
        TRAIN.encode("utf-16"),
        ("\n \n\t\n" + TRAIN.replace("\n\n", "\n  \t\n\n") + "\n\n").encode(),
        TRAIN.replace("\n", " \n").encode(),
        ("-DOCSTART- -X- O O\n\n" + TRAIN.replace("\n\n", "\n-DOCSTART- O\n")).encode(),
        ("# newdoc\n# sent_id = 1\n" + TRAIN.replace("\n\n", "\n\n# id 5\n")).encode(),
        TRAIN.replace("rejects", "\n#comment\nrejects", 1).replace("\n\n#", "\n#", 1).encode(),
        TRAIN.rstrip("\n").encode(),
        ("  " + TRAIN.replace("\n", "\n  ")).encode(),
    ],
    ids=["crlf", "bom", "utf16", "blanks", "trailing", "docstart", "comments", "inside", "no_end", "indented"],
)
def test_the_quirks_of_published_files_change_nothing(tmp_path, content):
    assert pairs(write(tmp_path / "train.txt", content)) == EXPECTED


def test_a_gzipped_file_is_unpacked_and_gb18030_is_read_with_a_note(tmp_path):
    write(tmp_path / "a.conll.gz", gzip.compress(TRAIN.encode()))
    assert pairs(tmp_path / "a.conll.gz") == EXPECTED
    file = read(write(tmp_path / "b.bmes", "高 B-NAME\n勇 E-NAME\n： O\n".encode("gb18030")))
    assert file.sentences[0].words == ["高", "勇", "："]
    assert file.notes == [f"{tmp_path / 'b.bmes'}: read as gb18030"]


def test_the_mark_of_a_comment_can_be_a_word(tmp_path):
    path = write(tmp_path / "a.conll", "# text = now # O\n#\tO\n#1\tB-product\n#tag\tO\nnow\tO\n\n# O O O\nx\tO\n")
    assert pairs(path) == [[("#", "O"), ("#1", "B-product"), ("#tag", "O"), ("now", "O")], [("x", "O")]]
    spaced = write(tmp_path / "b.conll", "# a comment\n# O\nnow O\n")
    assert pairs(spaced) == [[("#", "O"), ("now", "O")]]


def test_words_of_invisible_characters_and_blanks_are_words(tmp_path):
    path = write(tmp_path / "a.conll", "\u3000 O\n\u200b O\n\ufe0f O\n\u00a0 O\n  O\na B-X\n")
    assert [word for word, _ in pairs(path)[0]] == ["\u3000", "\u200b", "\ufe0f", "\u00a0", " ", "a"]
    tabbed = write(tmp_path / "b.conll", "a\tB-X\n\tO\n \tO\nb c\tO\n")
    assert [word for word, _ in pairs(tabbed)[0]] == ["a", "", " ", "b c"]


def test_a_comma_can_be_a_word_between_commas(tmp_path):
    assert pairs(write(tmp_path / "a.iob", "Rome,B-LOC\n,,O\nor,O\n;,O\n")) == [
        [("Rome", "B-LOC"), (",", "O"), ("or", "O"), (";", "O")]
    ]
    assert pairs(write(tmp_path / "a.csv", 'Rome,B-LOC\n",",O\n"""",O\n')) == [
        [("Rome", "B-LOC"), (",", "O"), ('"', "O")]
    ]


FOUR = "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n"


def test_of_more_columns_the_first_is_the_word_and_the_last_the_tag(tmp_path):
    path = write(tmp_path / "eng.train", FOUR)
    assert pairs(path) == [[("EU", "B-ORG"), ("rejects", "O")]]
    assert pairs(path, label_column_name="2") == [[("EU", "B-NP"), ("rejects", "B-VP")]]
    assert pairs(path, label_column_name="-3", text_column_name="0") == [[("EU", "NNP"), ("rejects", "VBZ")]]


def test_a_line_of_names_is_a_header_and_columns_can_be_named(tmp_path):
    path = write(tmp_path / "a.tsv", "Token\tPOS\tTag\nEU\tNNP\tB-ORG\nnow\tRB\tO\n")
    assert pairs(path) == [[("EU", "B-ORG"), ("now", "O")]]
    assert pairs(path, label_column_name="POS") == [[("EU", "NNP"), ("now", "RB")]]
    fails(path, "", "no such column", "Token, POS, Tag", label_column_name="NER")


def test_a_file_of_words_only_will_do_where_tags_are_optional(tmp_path):
    path = write(tmp_path / "test.conll", "# a comment\nEU\n#tag\nrejects\n\nPeter\n")
    assert words(path, unlabelled=True) == [["EU", "#tag", "rejects"], ["Peter"]]
    assert all(sentence.tags is None for sentence in read(path, unlabelled=True).sentences)
    fails(path, 1, "no tag", "--delimiter")


def test_a_separator_that_is_not_found_is_asked_for_and_not_taken_into_the_words(tmp_path):
    path = write(tmp_path / "a.conll", "Ann::B-PER\nruns::O\n\nBob::B-PER\n")
    fails(path, "", "'Ann::B-PER'", "--delimiter", unlabelled=True)
    assert words(path, unlabelled=True, delimiter="::") == [["Ann", "runs"], ["Bob"]]
    fails(write(tmp_path / "b.conll", TRAIN), "", "'EU B-ORG'", "--delimiter", unlabelled=True, delimiter=";")


def test_lines_are_known_word_by_word(tmp_path):
    file = read(write(tmp_path / "a.conll", "# x\n\nEU B-ORG\n# a b c\nis O\n\nhere O\n"))
    assert [[sentence.line(i) for i in range(len(sentence.words))] for sentence in file.sentences] == [[3, 5], [7]]
    assert file.place(0, 1) == f"{file.source}:5"


@pytest.mark.parametrize(
    ("content", "line", "parts"),
    [
        ("a O\nb\nc O\n", 2, ["'b'", "no tag"]),
        ("a\tO\nb\t\nc\tO\n", 2, ["'b'", "no tag"]),
        ("a O\nb O\nNew York B-LOC\nc O\n", 3, ["3 columns, where most lines have 2", "--delimiter"]),
        (FOUR + "a b c\n", 3, ["3 columns, where most lines have 4"]),
        ("", "", ["no sentences"]),
        ("\n\n \n", "", ["no sentences"]),
        ("-DOCSTART- O\n\n", "", ["no sentences"]),
    ],
)
def test_a_line_that_is_no_word_with_a_tag_is_named(tmp_path, content, line, parts):
    fails(write(tmp_path / "a.conll", content), line, *parts)


def test_a_column_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path / "a.conll", TRAIN)
    fails(path, "", "--label_column_name 2", "2 columns", label_column_name="2")
    fails(path, "", "--text_column_name words", "numbers", text_column_name="words")
    fails(path, 1, "both word and tag", label_column_name="0")


def test_a_missing_file_and_a_plain_folder_are_named(tmp_path):
    fails(tmp_path / "none.conll", "", "no such file")
    fails(tmp_path, "", "a folder without seq.in")
