from __future__ import annotations

import pytest
from table_files import write

from hf_ext.data.arguments import DataArguments
from hf_ext.data.rows import RowReader
from hf_ext.data.sources import Sources, load_sources
from hf_ext.errors import UserError

TABLE = "text,label\na,x\nb,y\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("train", "dev", "test"):
        write(tmp_path / f"{name}.csv", TABLE)
    return tmp_path


def load(folder, *needs: str, has_schema: bool = False, **flags) -> Sources:
    return load_sources(DataArguments(data_dir=str(folder), **flags), needs, has_schema=has_schema)


@pytest.mark.parametrize(
    ("needs", "has_schema", "read"),
    [
        (["train"], False, {"train"}),
        (["train", "validation"], False, {"train", "validation"}),
        (["test"], True, {"test"}),
        (["test"], False, {"train", "test"}),
        (["validation", "test"], True, {"validation", "test"}),
    ],
)
def test_only_the_files_that_are_needed_are_read(folder, needs, has_schema, read):
    assert set(load(folder, *needs, has_schema=has_schema).tables) == read


def test_cut_rows_need_the_training_file_even_without_training(folder):
    (folder / "dev.csv").unlink()
    sources = load(folder, "validation", has_schema=True, validation_split=0.5)
    assert set(sources.tables) == {"train"}
    assert sources.cuts == ("validation",)
    assert not sources.borrowed


def test_saved_indices_cut_only_what_has_no_file(folder):
    with pytest.raises(UserError, match=r"x.json: --split_indices cuts the training rows, but"):
        load(folder, "train", split_indices="x.json")
    (folder / "dev.csv").unlink()
    assert load(folder, "train", split_indices="x.json").cuts == ("validation",)


def test_test_rows_are_borrowed_only_for_want_of_validation_rows(folder):
    assert not load(folder, "train", "validation").borrowed
    (folder / "dev.csv").unlink()
    sources = load(folder, "train", "validation")
    assert sources.borrowed
    assert sources.tables["validation"] is sources.tables["test"]


def test_streamed_file_is_not_read(folder):
    write(folder / "train.csv", TABLE + "ragged\n")
    sources = load(folder, "train", "validation", streaming=True)
    assert isinstance(sources.stream, RowReader)
    assert set(sources.tables) == {"validation"}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_fraction_and_a_file_for_the_same_split_are_refused(folder, split):
    with pytest.raises(UserError, match=f"both --{split}_split and a file of {split} rows"):
        load(folder, "train", **{f"{split}_split": 0.1})


def test_notes_of_the_files_are_kept(folder):
    write(folder / "train.csv", "text,label\n好,x\n坏,y\n".encode("gb18030"))
    assert load(folder, "train").notes == [f"{folder / 'train.csv'}: read as gb18030"]


def test_headerless_test_file_may_lack_its_labels(tmp_path):
    write(tmp_path / "train.txt", "a\tb\t0\nc\td\t1\n")
    write(tmp_path / "test.txt", "a\tb\nc\td\n")
    sources = load(tmp_path, "train", "test", column_names="s1,s2,label")
    assert sources.tables["test"].columns == ["s1", "s2"]
    renamed = load(tmp_path, "train", "test", column_names="s1,s2,gold", label_column_name="gold")
    assert renamed.tables["test"].columns == ["s1", "s2"]
