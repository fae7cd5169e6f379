from __future__ import annotations

import pytest
from corpus_cases import fails, write

from hf_ext.data.pretraining import PretrainingDataArguments
from hf_ext.data.pretraining.corpus_files import describe_files, find_named_sources, find_sources, list_files


@pytest.fixture
def folder(tmp_path):
    for name in ("b.txt", "a.txt", "sub/c.jsonl.gz", "sub/deep/d.parquet", "notes.md", ".hidden.txt", ".git/e.txt"):
        write(tmp_path / name, "x")
    return tmp_path


def names(sources, folder):
    return [[str(path.relative_to(folder)) for path in source.files] for source in sources]


def test_a_folder_gives_all_files_of_known_kinds_sorted(folder):
    assert names(find_sources(str(folder), flag="train_file"), folder) == [
        ["a.txt", "b.txt", "sub/c.jsonl.gz", "sub/deep/d.parquet"]
    ]


def test_several_sources_keep_their_order(folder):
    entries = f"{folder}/sub, {folder}/b.txt,{folder}/*.txt,{folder}/**/*.parquet"
    assert names(find_sources(entries, flag="train_file"), folder) == [
        ["sub/c.jsonl.gz", "sub/deep/d.parquet"],
        ["b.txt"],
        ["a.txt", "b.txt"],
        ["sub/deep/d.parquet"],
    ]
    assert len(list_files(find_sources(entries, flag="train_file"))) == 4  # each once


def test_a_name_may_hold_a_comma(tmp_path):
    path = write(tmp_path / "one, two.txt", "x")
    assert find_sources(str(path), flag="train_file")[0].files == (path,)


def test_the_validation_file_leaves_the_folder_it_stands_in(folder):
    asked = PretrainingDataArguments(train_file=str(folder), validation_file=str(folder / "b.txt"))
    train, validation = find_named_sources(asked)
    assert names(train, folder)[0][0] == "a.txt"
    assert "b.txt" not in names(train, folder)[0]
    assert names(validation, folder) == [["b.txt"]]


def test_messages(folder, tmp_path):
    fails(lambda: find_sources("nowhere.txt", flag="train_file"), "nowhere.txt: no such file or folder", "--train_file")
    fails(lambda: find_sources(f"{folder}/notes.md", flag="train_file"), "unknown kind of file (.md)")
    fails(
        lambda: find_sources(f"{folder}/*.csv", flag="validation_file"), "no file of text matches", "--validation_file"
    )
    (tmp_path / "empty").mkdir()
    fails(lambda: find_sources(f"{tmp_path}/empty", flag="train_file"), "no file of text in it")
    fails(lambda: find_sources(" , ", flag="train_file"), "--train_file names nothing")
    weighed = PretrainingDataArguments(train_file=str(folder), data_weights="1,2")
    fails(lambda: find_named_sources(weighed), "2 weights for 1 sources")


def test_many_files_are_named_by_the_first():
    assert describe_files(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more files"
