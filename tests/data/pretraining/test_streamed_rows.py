from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from corpus_cases import WORDS, document, fails, load, parts_of, word_tokenizer, write
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

from hf_ext.data.pretraining import PretrainingData, PretrainingDataArguments
from hf_ext.data.pretraining import streaming as module
from hf_ext.data.pretraining.document_splits import DocumentSplit, StreamedSplit


@pytest.fixture
def folder(tmp_path):
    lengths = np.random.default_rng(0).integers(1, 50, 120)
    texts = [document(i, int(length)) + f" {WORDS[i % 60]}" for i, length in enumerate(lengths)]
    for number in range(4):
        write(tmp_path / "text" / f"{number}.txt", "\n".join(texts[number::4]))
    return tmp_path


def stream(folder, needs=("train",), *, source="text", **flags):
    data = load(folder, needs, train_file=str(folder / source), streaming=True, **flags)
    asked = {"cache_dir": folder / "cache", "max_length": flags.get("max_seq_length", 20)}
    return data, data.tokenize(word_tokenizer(), **asked)


def texts_of(folder):
    return [text for i in range(4) for text in (folder / f"text/{i}.txt").read_text(encoding="utf-8").split("\n")]


def contents(rows):
    return {row["row"]: tuple(row["input_ids"]) for row in rows}


@pytest.mark.parametrize("packing", ["best_fit", "concat", "none"])
def test_a_stream_and_what_is_held_out_of_it_hold_every_token_once(folder, packing, monkeypatch):
    monkeypatch.setattr(module, "BUFFERED_ROWS", 3)
    _, made = stream(folder, ("train", "validation"), packing=packing, validation_split_percentage=20)
    tokenizer = word_tokenizer()
    seen = Counter(token for rows in made.values() for row in rows for part in parts_of(row) for token in part[1:])
    whole = tokenizer(texts_of(folder), add_special_tokens=False)["input_ids"]
    assert seen == Counter(token for ids in whole for token in ids)
    assert all(row["row"] < 0 for row in made["validation"])
    assert all(len(row["input_ids"]) <= 20 for row in made["train"])


def test_the_rows_are_the_same_every_time_and_their_order_changes_with_the_epoch(folder):
    _, made = stream(folder)
    first = list(made["train"])
    assert list(made["train"]) == first
    assert list(stream(folder)[1]["train"]) == first
    made["train"].set_epoch(1)
    second = list(made["train"])
    assert second != first
    assert contents(second) == contents(first)
    assert len(contents(first)) == len(first)


@pytest.mark.parametrize("nodes", [2, 3])
def test_row_numbers_do_not_depend_on_the_process_that_reads_them(folder, nodes):
    rows = stream(folder)[1]["train"]
    parts = [list(split_dataset_by_node(rows, rank, nodes)) for rank in range(nodes)]
    assert sum(map(len, parts)) == len(list(rows))
    assert {number: ids for part in parts for number, ids in contents(part).items()} == contents(rows)


@pytest.mark.slow
def test_row_numbers_do_not_depend_on_loader_processes(folder):
    rows = stream(folder)[1]["train"]
    loaded = list(DataLoader(rows, batch_size=None, num_workers=2))
    assert len(loaded) == len(list(rows))
    assert contents(loaded) == contents(rows)


def test_a_stream_goes_on_where_its_state_says(folder):
    rows = stream(folder, shuffle_buffer_size=1)[1]["train"]
    whole, begun, state = list(rows), [], None
    for i, row in enumerate(rows):
        begun.append(row)
        if i == 17:
            state = rows.state_dict()
            break
    rows.load_state_dict(state)
    assert begun + list(rows) == whole


def test_weighed_sources_come_in_their_proportions_and_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BUFFERED_ROWS", 10)
    write(tmp_path / "a.txt", "\n".join(["w1 w1 w1"] * 50))
    write(tmp_path / "b.txt", "\n".join(f"w2 {WORDS[i]}" for i in range(60)))
    flags = {"packing": "none", "data_weights": "1,3", "validation_split_percentage": 0}
    data = load(tmp_path, train_file=f"{tmp_path}/a.txt,{tmp_path}/b.txt", streaming=True, **flags)
    tokenizer = word_tokenizer()
    rows = list(data.tokenize(tokenizer, cache_dir=tmp_path)["train"])
    of_first = [row["input_ids"][1] == tokenizer.convert_tokens_to_ids("w1") for row in rows]
    assert sum(of_first) >= 50
    assert abs(np.mean(of_first) - 0.25) < 0.1
    assert len({tuple(row["input_ids"]) for row in rows}) == 61
    assert sorted(row["row"] for row in rows) == list(range(len(rows)))


def test_what_is_held_out_is_recorded_and_the_same_when_only_evaluating(folder):
    data, _ = stream(folder, ("train", "validation"), validation_split_percentage=20)
    train, validation = data.splits["train"], data.splits["validation"]
    assert isinstance(train, StreamedSplit)
    assert isinstance(validation, DocumentSplit)
    held = data.split_indices["validation"]
    assert len(held["line"]) == len(list(validation.texts()))
    lines = [(folder / f"text/{i}.txt").read_text(encoding="utf-8").split("\n") for i in range(4)]
    assert [lines[i][line - 1] for i, line in zip(held["file"], held["line"], strict=True)] == list(validation.texts())
    assert Counter([*train.texts(), *validation.texts()]) == Counter(texts_of(folder))
    again, _ = stream(folder, ("validation",), validation_split_percentage=20)
    assert list(again.splits["validation"].texts()) == list(validation.texts())
    assert list(data.training_texts()) == list(train.texts())
    assert data.locate("train", [0]) is None


def test_a_validation_file_leaves_the_stream_whole(folder):
    write(folder / "dev.txt", "w1 w2\n")
    data, made = stream(folder, ("train", "validation"), validation_file=str(folder / "dev.txt"))
    assert len(list(data.training_texts())) == 120
    assert len(made["validation"]) == 1


def test_samples_of_a_stream(folder):
    assert len(list(stream(folder, max_train_samples=7)[1]["train"])) == 7


def test_many_files_are_dealt_out_to_at_most_so_many_shards(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_ext.data.pretraining.document_splits.MOST_SHARDS", 3)
    for i in range(8):
        write(tmp_path / "text" / f"{i}.txt", f"{WORDS[i]} w1\n" * 3)
    rows = stream(tmp_path)[1]["train"]
    assert rows.num_shards == 3
    assert {row["row"] >> 40 for row in rows} == {0, 1, 2}


def test_chinese_is_looked_for_in_the_head_of_a_stream(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rjieba", None)
    write(tmp_path / "text" / "a.txt", "all in English\n我爱北京天安门\n")
    fails(lambda: stream(tmp_path, masking="whole_word"), "pip install 'hf_ext[zh]'")


def test_messages():
    def ask(*needs, **flags):
        return PretrainingData.from_arguments(PretrainingDataArguments(streaming=True, **flags), needs=needs)

    fails(lambda: ask("train"), "--do_train requires training text")
    fails(lambda: ask("validation"), "--streaming needs training text")
    fails(lambda: ask("train", train_file="nowhere.txt"), "nowhere.txt: no such file")


def test_a_stream_without_text_is_said_before_training(tmp_path):
    empty = write(tmp_path / "empty.txt", "\n")
    full = write(tmp_path / "full.txt", "w1\n")
    flags = {"streaming": True, "validation_split_percentage": 0}
    fails(lambda: load(tmp_path, train_file=str(empty), **flags), "empty.txt: no text")
    both = {"train_file": f"{full},{empty}", **flags}
    fails(lambda: load(tmp_path, data_weights="1,1", **both), "empty.txt: no text")
    assert list(load(tmp_path, **both).training_texts()) == ["w1"]
