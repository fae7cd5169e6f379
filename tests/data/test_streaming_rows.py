from __future__ import annotations

import pickle
import threading

import datasets
import pytest
from table_files import write
from torch.utils.data import DataLoader

from hf_ext.data import streaming as module
from hf_ext.data.arguments import DataArguments
from hf_ext.data.classification import ClassificationData
from hf_ext.data.collators import ClassificationCollator
from hf_ext.data.files import open_rows
from hf_ext.data.labels import LabelReader
from hf_ext.data.streaming import StreamedRows, shuffle_stream
from hf_ext.errors import UserError
from hf_ext.models.schema import SINGLE_LABEL
from hf_ext.tokenization import build_tokenizer

ROWS = "text,shop,price,label\n" + "".join(f"text {i},{'ns'[i % 2]},{i},{'xyz'[i % 3]}\n" for i in range(30))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "train.csv", ROWS)
    write(tmp_path / "dev.csv", "text,shop,price,label\ntext 1,n,2,y\n")
    return tmp_path


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["text " + " ".join(map(str, range(30)))], level="word", min_count=1, model_max_length=16)


def load(folder, *needs: str, **flags) -> ClassificationData:
    arguments = DataArguments(data_dir=str(folder), **{"text_column_names": "text", "streaming": True, **flags})
    return ClassificationData.from_arguments(arguments, saved=None, needs=needs or ("train",))


@pytest.mark.parametrize("table", [{}, {"categorical_columns": "shop", "numeric_columns": "price"}])
def test_schema_equals_that_of_the_rows_in_memory(folder, table):
    streamed, whole = load(folder, **table), load(folder, streaming=False, **table)
    assert streamed.schema == whole.schema
    assert list(streamed.training_texts()) == list(whole.training_texts())


def test_features_are_the_same_rows_in_another_order(folder, tokenizer, tmp_path):
    table = {"categorical_columns": "shop", "numeric_columns": "price"}
    streamed = load(folder, **table).tokenize(tokenizer, cache_dir=tmp_path)["train"]
    whole = load(folder, streaming=False, **table).tokenize(tokenizer, cache_dir=tmp_path)["train"]
    assert isinstance(streamed, datasets.IterableDataset)
    seen, expected = list(streamed), list(whole)
    assert sorted(map(str, seen)) == sorted(map(str, expected))
    assert list(map(str, seen)) != list(map(str, expected))


def test_every_epoch_has_its_own_order(folder, tokenizer, tmp_path):
    streamed = load(folder).tokenize(tokenizer, cache_dir=tmp_path)["train"]
    first = [row["input_ids"] for row in streamed]
    assert [row["input_ids"] for row in streamed] == first
    streamed.set_epoch(1)
    assert [row["input_ids"] for row in streamed] != first


def test_validation_rows_are_read_whole(folder, tokenizer, tmp_path):
    data = load(folder, "train", "validation")
    features = data.tokenize(tokenizer, cache_dir=tmp_path)
    assert isinstance(features["validation"], datasets.Dataset)
    assert data.labels("validation") == [1]


def test_first_rows_are_kept(folder):
    assert list(load(folder, max_train_samples=4).training_texts()) == [f"text {i}" for i in range(4)]


def test_unlabelled_rows_are_passed_over_with_a_note(folder):
    write(folder / "train.csv", "text,shop,price,label\nlost,n,1,\n" + ROWS.split("\n", 1)[1])
    data = load(folder)
    assert "lost" not in list(data.training_texts())
    assert f"{folder / 'train.csv'}: 1 rows without a label left out" in data.notes


def test_batches_come_out_of_a_data_loader_with_workers(folder, tokenizer, tmp_path):
    streamed = load(folder).tokenize(tokenizer, cache_dir=tmp_path)["train"]
    loader = DataLoader(streamed, batch_size=10, collate_fn=ClassificationCollator(tokenizer), num_workers=1)
    batches = list(loader)
    assert [len(batch["labels"]) for batch in batches] == [10, 10, 10]
    assert sorted(int(i) for batch in batches for i in batch["labels"]) == [0] * 10 + [1] * 10 + [2] * 10


def test_rows_can_be_sent_to_another_process(folder):
    rows = StreamedRows(str(folder / "train.csv"), DataArguments(), "label", LabelReader(SINGLE_LABEL))
    assert list(pickle.loads(pickle.dumps(rows))()) == list(rows())


def test_a_file_is_looked_at_once_and_read_as_often_as_asked(folder, monkeypatch):
    opened = []
    monkeypatch.setattr(module, "open_rows", lambda *args, **kwargs: opened.append(args) or open_rows(*args, **kwargs))
    rows = StreamedRows(str(folder / "train.csv"), DataArguments(), "label", LabelReader(SINGLE_LABEL))
    first, second = rows(), rows()
    assert next(first) == next(second)
    assert len(list(first)) == len(list(second)) == 29
    assert len(list(rows.labels())) == 30
    assert len(opened) == 1


@pytest.mark.parametrize("files", [1, 3])
def test_the_order_is_that_of_a_shuffle_with_threads(files):
    stream = datasets.IterableDataset.from_generator(count_up, gen_kwargs={"firsts": [100 * i for i in range(files)]})
    ours, theirs = shuffle_stream(stream, seed=3, buffer_size=8), stream.shuffle(seed=3, buffer_size=8)
    for epoch in (0, 1, 5):
        for shuffled in (ours, theirs):
            shuffled.set_epoch(epoch)
        order = [row["number"] for row in ours]
        assert order == [row["number"] for row in theirs]
        assert sorted(order) == [100 * i + j for i in range(files) for j in range(30)]
        assert order != sorted(order)


def count_up(firsts):
    for first in firsts:
        yield from ({"number": first + i} for i in range(30))


def test_a_pass_over_the_rows_starts_no_thread(folder, tokenizer, tmp_path, monkeypatch):
    streamed = load(folder).tokenize(tokenizer, cache_dir=tmp_path)["train"]
    monkeypatch.setattr(threading.Thread, "start", lambda thread: pytest.fail(f"{thread} is started"))
    assert len(list(streamed)) == 30


def test_texts_are_cut_and_their_tokens_not_counted(folder, tokenizer, tmp_path):
    rows = list(load(folder, max_seq_length=2).tokenize(tokenizer, cache_dir=tmp_path)["train"])
    assert {len(row["input_ids"]) for row in rows} == {2}
    assert "_tokens" not in rows[0]


def test_streamed_rows_cannot_be_listed(folder):
    with pytest.raises(ValueError, match="the train rows are streamed"):
        load(folder).labels("train")


@pytest.mark.parametrize("flags", [{"drop_duplicates": True}, {"test_split": 0.1}])
def test_what_needs_the_whole_file_is_refused(folder, flags):
    with pytest.raises(UserError, match=r"--streaming and .* exclude each other"):
        load(folder, "train", **flags)


@pytest.mark.parametrize(
    ("row", "flags", "words"),
    [
        ("only one cell", {}, ":32: 1 cells"),
        ("a,n,cheap,x", {"numeric_columns": "price"}, ":32: 'cheap' is not a number"),
        ("a,n,cheap,x", {"task": "regression", "label_column_name": "price"}, ":32: .cheap. is not a number"),
    ],
)
def test_faults_of_streamed_rows_name_the_line(folder, row, flags, words):
    write(folder / "train.csv", ROWS + row + "\n")
    with pytest.raises(UserError, match=words):
        load(folder, **flags)
