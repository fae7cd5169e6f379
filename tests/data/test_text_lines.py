"""Lines of every kind of file, held-out lines that are never learned from, samples that are the same each time."""

from __future__ import annotations

import gzip
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_ext.data.text_lines import TextLines, TextLinesArguments, draw_lines
from hf_ext.errors import UserError

TEXTS = [f"line {i} 的" for i in range(500)]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def read(path, **flags) -> tuple[list[str], TextLines]:
    lines = TextLines(TextLinesArguments(train_file=str(path), **flags))
    return list(lines), lines


def test_every_line_is_learned_from_or_held_out_and_none_is_both(corpus):
    learned, lines = read(corpus, validation_split_percentage=10)
    assert sorted(learned + lines.held_out) == sorted(TEXTS)
    assert 20 < len(lines.held_out) < 90


def test_held_out_lines_come_from_everywhere_and_repeats_stay_together(tmp_path):
    path = tmp_path / "twice.txt"
    path.write_text("\n".join(TEXTS * 2), encoding="utf-8")
    learned, lines = read(path, validation_split_percentage=10)
    assert not set(learned) & set(lines.held_out)
    places = [TEXTS.index(line) for line in lines.held_out]
    assert min(places) < 100
    assert max(places) > 400


def test_the_seed_decides_what_is_held_out(corpus):
    first, second, other = (read(corpus, validation_split_percentage=10, seed=s)[1].held_out for s in (1, 1, 2))
    assert first == second != other


def test_named_validation_text_is_measured_on_and_everything_else_learned_from(corpus, tmp_path):
    held = tmp_path / "held.txt"
    held.write_text("one\ntwo\n", encoding="utf-8")
    learned, lines = read(corpus, validation_file=str(held))
    assert learned == TEXTS
    assert lines.held_out == ["one", "two"]


def test_files_named_for_validation_are_left_out_of_a_folder_and_repeats_are_counted(corpus, tmp_path):
    held = tmp_path / "held.txt"
    held.write_text(f"{TEXTS[3]}\nmine\n", encoding="utf-8")
    learned, lines = read(tmp_path, validation_file=str(held))
    assert learned == TEXTS
    assert lines.notes == ["1 of 2 lines to measure on occur in the training text too"]


def test_validation_text_that_is_none_is_said_before_the_corpus_is_read(tmp_path):
    (tmp_path / "held.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"held\.txt: no text – check --validation_file"):
        read(tmp_path / "corpus_that_is_not_there.txt", validation_file=str(tmp_path / "held.txt"))


def test_max_lines_draws_from_the_whole_text_in_its_order(corpus):
    learned, _ = read(corpus, max_lines=50)
    places = [TEXTS.index(line) for line in learned]
    assert len(places) == 50
    assert places == sorted(places)
    assert places[0] < 100
    assert places[-1] > 400
    assert read(corpus, max_lines=50)[0] == learned


def test_each_line_has_the_same_chance_to_be_drawn():
    hits = [0] * 20
    for seed in range(2000):
        for place in draw_lines(map(str, range(20)), 5, seed=seed):
            hits[int(place)] += 1
    assert all(abs(hit - 500) < 5 * 20 for hit in hits)  # 500 expected, standard deviation 19.4


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz", "t.jsonl", "t.json", "t.csv", "t.tsv", "t.parquet"])
def test_every_kind_of_file_gives_the_same_lines(tmp_path, name):
    path, texts = tmp_path / name, ["one of", "two 的", "three"]
    plain = {
        ".txt": "one of\n\ntwo 的\nthree\n",
        ".gz": "one of\ntwo 的\nthree\n",
        ".jsonl": "\n".join(json.dumps({"id": 1, "text": text}) for text in texts),
        ".json": json.dumps([{"text": text} for text in texts]),
        ".csv": 'id,text\n1,one of\n2,"two 的"\n3,three\n',
        ".tsv": "id\ttext\n1\tone of\n2\ttwo 的\n3\tthree\n",
    }
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"text": texts}), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(plain[".gz"].encode()))
    else:
        path.write_text(plain[path.suffix], encoding="utf-8")
    validation = tmp_path / "held.txt"
    validation.write_text("x", encoding="utf-8")
    assert read(path, validation_file=str(validation))[0] == texts


def test_a_data_set_of_the_hub_is_streamed(monkeypatch):
    rows = [{"id": i, "text": text} for i, text in enumerate(TEXTS)]
    asked = {}

    def load_dataset(name, config, **flags):
        asked.update(flags, name=name, config=config)
        return {"train": rows, "test": []}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    lines = TextLines(TextLinesArguments(dataset_name="one/set"), token="t")
    assert sorted([*lines, *lines.held_out]) == sorted(TEXTS)
    assert asked == {"name": "one/set", "config": None, "cache_dir": None, "token": "t", "streaming": True}
    with pytest.raises(UserError, match="has no split 'trian' – did you mean 'train'"):
        list(TextLines(TextLinesArguments(dataset_name="one/set", train_split_name="trian")))


def test_several_columns_are_read_one_after_the_other(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("title,body\na b,c d\ne,f\n", encoding="utf-8")
    learned, lines = read(path, text_column_name="title,body")
    assert sorted({*learned, *lines.held_out}) == ["a b", "c d", "e", "f"]


@pytest.mark.parametrize(
    ("name", "content", "flags", "message"),
    [
        ("t.csv", b"a,b\n1,2\n", {"text_column_name": "txt"}, "no column 'txt' among: a, b"),
        ("t.csv", b"a,b\n1,2\n", {}, "which column is the text"),
        ("t.txt", b"\n \n", {}, "no text"),
        ("t.txt", b"abc\n\xff\xff\xff\xff\n", {}, r"t\.txt:2: byte 4"),
        ("t.xyz", b"abc", {}, "unknown kind of file"),
    ],
)
def test_bad_input_is_answered_in_one_line(tmp_path, name, content, flags, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path / name, **flags)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "no text to learn from"),
        ({"train_file": "x", "max_lines": 0}, "--max_lines"),
        ({"train_file": "x", "validation_split_percentage": 0}, "--validation_split_percentage"),
    ],
)
def test_flags_that_cannot_be_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        TextLinesArguments(**flags)


def test_a_corpus_of_one_line_is_learned_from_and_measured_on_with_a_note(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("the only line", encoding="utf-8")
    learned, lines = read(path)
    assert learned == lines.held_out == ["the only line"]
    assert len(lines.notes) == 1 or "measured on" in lines.notes[-1]
