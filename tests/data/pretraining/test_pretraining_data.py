from __future__ import annotations

import json
from collections import Counter

import datasets
import numpy as np
import pytest
from corpus_cases import document, fails, load, parts_of, rows_of, word_tokenizer, write

from hf_ext.data.pretraining import PretrainingDataArguments
from hf_ext.data.pretraining.packed_rows import RowLayout
from hf_ext.data.special_tokens import Frame, find_frame
from hf_ext.tokenization import build_tokenizer

PACKINGS = ("best_fit", "concat", "none")


@pytest.fixture
def folder(tmp_path):
    lengths = np.random.default_rng(0).integers(1, 50, 60)
    write(tmp_path / "train.txt", "\n".join(document(i, int(length)) for i, length in enumerate(lengths)))
    return tmp_path


def texts_of(folder, name="train.txt"):
    return (folder / name).read_text(encoding="utf-8").split("\n")


def ids_of(texts, tokenizer):
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


@pytest.mark.parametrize("packing", PACKINGS)
def test_rows_hold_every_token_of_the_documents_and_nothing_else(folder, packing):
    tokenizer = word_tokenizer()
    made = rows_of(folder, ("train", "validation"), tokenizer=tokenizer, packing=packing, max_seq_length=20)
    before, after = find_frame(tokenizer).before, find_frame(tokenizer).after
    seen = Counter()
    for split, rows in made.items():
        for number, row in enumerate(rows):
            assert len(row["input_ids"]) <= 20
            assert row["row"] == (number if split == "train" else -1 - number)
            starts, at = row["word_starts"], 0
            for part in parts_of(row):
                assert tuple(part[: len(before)]) == before
                inside = part[len(before) : len(part) - len(after)]
                assert inside
                assert all(starts[at : at + len(before) + 1])
                seen.update(inside)
                at += len(part)
    assert seen == Counter(token for ids in ids_of(texts_of(folder), tokenizer) for token in ids)


def test_best_fit_leaves_documents_that_fit_whole(folder):
    tokenizer = word_tokenizer()
    rows = rows_of(folder, tokenizer=tokenizer, max_seq_length=60, validation_split_percentage=0)["train"]
    parts = Counter(tuple(part[1:]) for row in rows for part in parts_of(row))
    assert parts == Counter(map(tuple, ids_of(texts_of(folder), tokenizer)))


def test_line_by_line_is_one_document_a_row(folder):
    rows = rows_of(folder, line_by_line=True, document_boundary="auto", max_seq_length=64)["train"]
    assert all(len(row["document_lengths"]) == 1 for row in rows)
    assert len(rows) == 57  # 60 lines less 5 %


def test_whole_documents_are_held_out_at_random_and_recorded(folder):
    data = load(folder, ("train", "validation"), validation_split_percentage=10)
    texts = texts_of(folder)
    train, validation = (list(data.splits[name].texts()) for name in ("train", "validation"))
    held = data.split_indices["validation"]
    assert validation == [texts[i] for i in held]
    assert train == [text for i, text in enumerate(texts) if i not in held]
    assert len(held) == 6
    assert held != list(range(6))
    assert json.loads(json.dumps(data.split_indices))["rows"] == 60
    again = load(folder, ("validation",), validation_split_percentage=10)
    assert list(again.splits["validation"].texts()) == validation
    assert "train" not in again.splits
    other = load(folder, ("validation",), validation_split_percentage=10, split_seed=1)
    assert list(other.splits["validation"].texts()) != validation


def test_a_run_that_only_trains_holds_out_what_a_later_one_evaluates_on(folder):
    both = load(folder, ("train", "validation"))
    assert list(load(folder, ("train",)).training_texts()) == list(both.training_texts())
    assert len(list(load(folder, ("train",), validation_split_percentage=0).training_texts())) == 60


def test_a_validation_file_takes_the_place_of_the_split(folder):
    write(folder / "dev.txt", f"w1 w2 w3\n{texts_of(folder)[3]}\n")
    data = load(folder, ("train", "validation"), validation_file=str(folder / "dev.txt"))
    assert len(list(data.training_texts())) == 60
    assert len(list(data.splits["validation"].texts())) == 2
    assert data.split_indices is None
    assert any("1 of 2 validation documents occur in the training text" in note for note in data.notes)
    only = load(folder, ("validation",), train_file=None, validation_file=str(folder / "dev.txt"))
    assert list(only.splits) == ["validation"]


def test_repeated_documents_are_left_out_before_the_split(tmp_path):
    write(tmp_path / "train.txt", "\n".join(["w1 w2", "w3", "w1 w2", "w4", "w3"] * 5))
    kept = load(tmp_path, ("train", "validation"), drop_duplicates=True, validation_split_percentage=34)
    sides = [list(kept.splits[name].texts()) for name in ("train", "validation")]
    assert sorted(sides[0] + sides[1]) == ["w1 w2", "w3", "w4"]
    assert any("22 repeated documents left out" in note for note in kept.notes)
    leaky = load(tmp_path, ("train", "validation"), validation_split_percentage=34)
    assert any("--drop_duplicates" in note for note in leaky.notes)


def test_sources_come_in_the_proportions_of_their_weights(tmp_path):
    write(tmp_path / "a.txt", "\n".join(["w1 w1 w1"] * 40))
    write(tmp_path / "b" / "b.txt", "\n".join(["w2 w2 w2"] * 10))
    data = {"train_file": f"{tmp_path}/a.txt,{tmp_path}/b", "data_weights": "1,3", "packing": "none"}
    rows = rows_of(tmp_path, validation_split_percentage=0, max_seq_length=8, **data)["train"]
    one, two = (word_tokenizer().convert_tokens_to_ids(word) for word in ("w1", "w2"))
    counts = Counter(row["input_ids"][1] for row in rows)
    assert counts == {one: 40, two: 120}
    assert rows["row"][:] == list(range(160))  # a row that comes again is masked anew
    held = load(tmp_path, ("validation",), validation_split_percentage=10, **data).splits["validation"]
    assert Counter(text[:2] for text in held.texts()) == {"w1": 4, "w2": 1}  # of each source its share


def test_rows_are_located_by_the_document_they_begin_with(folder):
    data = load(folder, ("train", "validation"), packing="none")
    tokenizer = word_tokenizer()
    made = data.tokenize(tokenizer, cache_dir=folder / "cache", max_length=100)
    lines = texts_of(folder)
    for split, rows in made.items():
        for i, row in enumerate(rows):
            line = int(data.locate(split, [i]).rpartition(":")[2])
            assert tokenizer(lines[line - 1])["input_ids"] == row["input_ids"]
    assert data.locate("train", []) is None
    assert data.locate("train", list(range(9))).endswith(", …")


def test_the_same_rows_are_loaded_and_other_flags_make_other_rows(folder, monkeypatch):
    first = rows_of(folder, max_seq_length=20)["train"]
    with monkeypatch.context() as patch:
        patch.setattr("hf_ext.data.pretraining.packed_rows.build_rows", None)
        patch.setattr("hf_ext.data.pretraining.tokens.TokenEncoder.__call__", None)
        again = load(folder, max_seq_length=20)
        assert again.tokenize(word_tokenizer(), cache_dir=folder / "cache")["train"][:] == first[:]
        assert any("57 train documents" in note for note in again.notes)
    changes = [{"packing": "concat"}, {"split_seed": 1}, {"validation_split_percentage": 20}, {"max_seq_length": 21}]
    seen = [str(first[:])]
    for change in changes:
        seen.append(str(rows_of(folder, **{"max_seq_length": 20, **change})["train"][:]))
    tokenizer = build_tokenizer([" ".join(texts_of(folder)[:20])], level="word", min_count=30)
    seen.append(str(rows_of(folder, tokenizer=tokenizer, max_seq_length=20)["train"][:]))
    assert len(set(seen)) == len(seen)


def test_several_processes_make_the_same_rows(folder):
    single = rows_of(folder, max_seq_length=20)["train"]
    data = load(folder, max_seq_length=20)
    several = data.tokenize(word_tokenizer(), cache_dir=folder / "other", num_workers=2)["train"]
    assert several[:] == single[:]


def test_the_length_of_rows(folder):
    assert load_length(folder, word_tokenizer(model_max_length=4096)) == (1024, [])
    assert load_length(folder, word_tokenizer(), positions=64) == (64, [])
    assert load_length(folder, word_tokenizer(model_max_length=32), positions=64) == (32, [])
    length, notes = load_length(folder, word_tokenizer(), positions=64, max_seq_length=100)
    assert length == 64
    assert "--max_seq_length 100 is more than the model takes; 64 is used" in notes[0]
    fails(lambda: rows_of(folder, max_seq_length=1), "--max_seq_length 1 leaves no room beside 1 special tokens")


def load_length(folder, tokenizer, positions=None, **flags):
    data = load(folder, **flags)
    before = list(data.notes)
    data.tokenize(tokenizer, cache_dir=folder / "cache", positions=positions)
    return data.max_length, [note for note in data.notes if note not in before and "documents" not in note]


def test_samples_are_the_first_rows(folder):
    whole = rows_of(folder, ("train", "validation"), max_seq_length=20)
    few = rows_of(folder, ("train", "validation"), max_seq_length=20, max_train_samples=3, max_eval_samples=1)
    assert few["train"][:] == whole["train"][:3]
    assert few["validation"][:] == whole["validation"][:1]


def test_rows_say_how_full_they_are(folder):
    data = load(folder)
    rows = data.tokenize(word_tokenizer(), cache_dir=folder / "cache", max_length=64)["train"]
    filled = sum(map(len, rows["input_ids"])) / (64 * len(rows))
    assert f"in {len(rows)} rows of at most 64, {filled:.1%} full" in data.notes[-1]


@pytest.fixture
def hub(monkeypatch):
    """Data sets behind ``load_dataset``: ``texts`` with a training split, ``both`` with two."""
    rows = {"train": [f"w{i % 60} w1" for i in range(40)] + ["  "], "validation": ["w2 w3"]}

    def load_dataset(name, config=None, *, streaming=False, **more):
        if name == "nowhere":
            raise FileNotFoundError("no network")
        names = ["train", "validation"] if name == "both" else ["train"]
        made = {
            split: datasets.Dataset.from_dict({"id": range(len(rows[split])), "text": rows[split]}) for split in names
        }
        if streaming:
            return datasets.IterableDatasetDict({split: data.to_iterable_dataset() for split, data in made.items()})
        return datasets.DatasetDict(made)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


@pytest.mark.parametrize("streaming", [False, True])
def test_data_sets_of_the_hub(hub, tmp_path, streaming):
    flags = {"train_file": None, "streaming": streaming, "validation_split_percentage": 20}
    one = load(tmp_path, ("train", "validation"), dataset_name="texts", **flags)
    sides = [list(one.splits[name].texts()) for name in ("train", "validation")]
    assert len(sides[0] + sides[1]) == 40
    assert 1 <= len(sides[1]) <= 20
    both = load(tmp_path, ("train", "validation"), dataset_name="both", **flags)
    assert [len(list(both.splits[name].texts())) for name in ("train", "validation")] == [40, 1]
    assert both.splits["train"].source == "both[train]"


def test_messages(folder, hub):
    fails(lambda: load(folder, train_file=None), "--do_train requires training text")
    fails(lambda: load(folder, ("validation",), validation_split_percentage=0), "--do_eval requires validation text")
    fails(lambda: load(folder, train_file=None, dataset_name="nowhere"), "'nowhere' cannot be loaded (no network)")
    write(folder / "one.txt", "only one\n")
    one = {"train_file": str(folder / "one.txt")}
    fails(lambda: load(folder, ("train", "validation"), **one), "one.txt:1: one document cannot be split")
    assert len(list(load(folder, ("train",), **one).training_texts())) == 1
    names = f"{folder}/train.txt,{folder}/train.txt"
    fails(lambda: load(folder, train_file=names, data_weights="1,2"), "has no training document left")
    few = {"train_file": f"{folder}/one.txt,{write(folder / 'two.txt', 'another one')}", "data_weights": "1,2"}
    fails(lambda: load(folder, ("validation",), **few), "too few documents (2)", "one.txt", "--validation_file")
    heavy = {"train_file": f"{folder}/one.txt,{folder}/train.txt", "data_weights": "1,1e9"}
    fails(lambda: rows_of(folder, validation_split_percentage=0, packing="none", **heavy), "check --data_weights")
    with pytest.raises(ValueError, match="needs must name"):
        load(folder, ())


def test_text_without_tokens_is_said(tmp_path):
    write(tmp_path / "train.txt", "\u200b\n\u200b\u200b\n")
    tokenizer = word_tokenizer()
    empty = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, unk_token=None)
    made = [empty(text, add_special_tokens=False)["input_ids"] for text in ("\u200b",)]
    if made == [[]]:
        fails(lambda: rows_of(tmp_path, tokenizer=empty), "gives no token for this text")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"mlm_probability": 0.0}, "above 0 and below 1"),
        ({"span_probability": 1.0}, "--span_probability is above 0 and below 1"),
        ({"max_span_length": 10**9}, "at most 10000 words"),
        ({"preprocessing_num_workers": 0}, "--preprocessing_num_workers must be at least 1"),
        ({"split_seed": -1}, "--split_seed must be from 0"),
        ({"split_seed": 2**32}, "--split_seed must be from 0"),
        ({"segmenter": "rjeba"}, "did you mean 'rjieba'"),
        ({"line_by_line": True, "packing": "concat"}, "--line_by_line means --packing none"),
        ({"line_by_line": True, "document_boundary": "section"}, "--line_by_line means --document_boundary line"),
        ({"validation_split_percentage": 100}, "between 0 and 100"),
        ({"max_seq_length": 0}, "at least 1"),
        ({"max_eval_samples": -1}, "at least 1"),
        ({"packing": "worst_fit"}, "best_fit, concat, none"),
        ({"data_weights": "1,x"}, "are numbers"),
        ({"data_weights": "1,-2"}, "must be positive"),
        ({"train_file": None, "data_weights": "1"}, "not given"),
        ({"streaming": True, "drop_duplicates": True}, "leave out --streaming"),
    ],
)
def test_flags_that_cannot_hold_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        PretrainingDataArguments(**{"train_file": "a.txt", **flags})


def test_what_the_flags_say_together():
    asked = PretrainingDataArguments(train_file="a", line_by_line=True)
    assert (asked.document_boundary, asked.packing) == ("line", "none")
    assert asked.names_data
    assert not asked.has_sentence_pairs
    assert not PretrainingDataArguments().names_data
    assert PretrainingDataArguments(train_file="a,b", data_weights="1, 2.5").weights == [1.0, 2.5]


def test_special_tokens_are_part_of_the_layout():
    tokenizer = word_tokenizer()
    asked = {"max_length": 16, "packing": "none", "sentence_pairs": "none", "seed": 1}
    assert isinstance(RowLayout.of_tokenizer(tokenizer, **asked).frame, Frame)
    pairs = RowLayout.of_tokenizer(tokenizer, **{**asked, "sentence_pairs": "sentence_order"})
    assert pairs.frame.between == (tokenizer.sep_token_id,)
