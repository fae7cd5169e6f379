from __future__ import annotations

import numpy as np
import pytest
from tagging_files import TRAIN, load, write, write_jsonl

from hf_ext.data.tagging import TaggingCollator, TaggingData
from hf_ext.models.tagging_schema import TaggingSchema
from hf_ext.tokenization import build_tokenizer

ALL = ("train", "validation", "test")


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    """Each split with its own sentences; the test split has no tags."""
    return {
        "train_file": str(write(tmp_path / "train.conll", TRAIN)),
        "validation_file": str(write(tmp_path / "dev.conll", "Rome B-LOC\n, O\n\nPeter B-PER\nsings O\n")),
        "test_file": str(write(tmp_path / "test.conll", "Peter\nin\nRome\n\n\u200b\n")),
    }


def whole_words(data: TaggingData, **options):
    return build_tokenizer(data.training_texts(), level="whole", min_count=1, **options)


def repeat_gold(data: TaggingData, split: str, rows, tokenizer, batch_size: int = 4) -> list[np.ndarray]:
    """Batches of tags as a perfect model gives them: the gold tag at the first token of each word, else -100."""
    ids, collate, batches = data.schema.tag_ids, TaggingCollator(tokenizer), []
    for begin in range(0, len(rows), batch_size):
        chosen = [rows[i] for i in range(begin, min(begin + batch_size, len(rows)))]
        batch = collate(chosen)
        tags = np.full(batch["word_mask"].shape, -100)
        for i, row in enumerate(chosen):
            gold = data.splits[split].sentences[row["sentence"]].tags[row["first_word"] :]
            places = np.flatnonzero(batch["word_mask"][i].numpy())
            tags[i, places] = [ids[tag] for tag in gold[: len(places)]]
        batches.append(tags)
    return batches


def test_from_files_to_features(files, tmp_path):
    data = load(ALL, **files)
    tokenizer = whole_words(data)
    features = data.tokenize(tokenizer, cache_dir=tmp_path / "cache")
    assert [len(features[split]) for split in ALL] == [3, 2, 2]
    assert ["labels" in features[split].column_names for split in ALL] == [True, True, False]
    row = features["train"][1]
    assert tokenizer.convert_ids_to_tokens(row["input_ids"]) == ["[CLS]", "Peter", "Blackburn"]
    assert [data.schema.tags[label] for label in row["labels"][1:]] == ["B-PER", "I-PER"]
    assert data.max_length == 512
    assert data.training_texts is not None
    assert list(data.training_texts())[1] == "Peter Blackburn"


def test_what_goes_out_is_what_came_in(files):
    data = load(ALL, **files)
    assert data.words("test") == [["Peter", "in", "Rome"], ["\u200b"]]
    assert data.tags("test") == [None, None]
    assert data.tags("validation") == [["B-LOC", "O"], ["B-PER", "O"]]
    assert data.ids("test") == ["0", "1"]
    assert data.spans("test") == [None, None]
    assert data.sentence_labels("train") == [None] * 3


def test_ids_texts_and_spans_are_kept_for_the_output(tmp_path):
    rows = [{"key": "a7", "text": "彭 小军", "label": [[0, 1, "X"]]}, {"text": "好", "label": []}]
    data = load(train_file=str(write_jsonl(tmp_path / "a.jsonl", rows)), id_column_name="key")
    assert data.ids("train") == ["a7", "1"]
    assert data.spans("train")[0] == ("彭 小军", [(0, 1), (2, 3), (3, 4)])


def test_rows_are_located_by_their_sentence(files, tmp_path):
    data = load(("train",), **files, max_seq_length=3, window_overlap=0)
    assert data.locate("train", [0, 2]) == f"{files['train_file']}:1, 9"
    features = data.tokenize(whole_words(data), cache_dir=tmp_path)
    assert features["train"]["sentence"][:] == [0, 0, 1, 2]
    assert data.locate("train", [0, 1, 2]) == f"{files['train_file']}:1, 6"
    assert data.locate("train", []) is None
    assert data.locate("train", [0] * 9) == f"{files['train_file']}:1"


def test_no_word_of_a_long_document_is_lost(tmp_path):
    count = 5000
    tags = ["B-X" if i % 7 == 0 else "I-X" if i % 7 == 1 else "O" for i in range(count)]
    document = "".join(f"{'wörd' * (i % 4 + 1)}{i} {tag}\n" for i, tag in enumerate(tags))
    path = str(write(tmp_path / "train.conll", document + "\nend O\n"))
    data = load(("train", "test"), train_file=path, test_file=path, max_seq_length=128)
    tokenizer = build_tokenizer(["wörd"], level="character", min_count=1)  # several tokens a word
    features = data.tokenize(tokenizer, cache_dir=tmp_path / "cache")
    assert max(map(len, features["train"]["input_ids"][:])) <= 128
    assert sum(label != -100 for row in features["train"]["labels"][:] for label in row) == count + 1
    merged = data.merge("test", features["test"], repeat_gold(data, "test", features["test"], tokenizer))
    assert [data.schema.tags[i] for i in merged.tags[0]] == tags
    assert len(merged.tags[1]) == 1
    (note,) = (note for note in data.notes if "windows" in note and "train" in note)
    assert "1 of 2 sentences are longer than 128 tokens" in note
    assert "overlap by 32" in note


def test_windows_give_back_the_tags_of_every_split_on_either_side(files, tmp_path):
    for side in ("left", "right"):
        data = load(ALL, **{**files, "test_file": files["train_file"]}, max_seq_length=3)
        tokenizer = whole_words(data)
        tokenizer.padding_side = side
        features = data.tokenize(tokenizer, cache_dir=tmp_path / side)
        for split in ALL:
            merged = data.merge(split, features[split], repeat_gold(data, split, features[split], tokenizer))
            assert [[data.schema.tags[i] for i in row] for row in merged.tags] == data.tags(split)


def test_the_length_is_what_flags_tokenizer_and_model_allow(files, tmp_path):
    def length(positions=None, model_max_length=512, **flags):
        data = load(("train",), **files, **flags)
        data.tokenize(whole_words(data, model_max_length=model_max_length), cache_dir=tmp_path, positions=positions)
        return data.max_length, any("more than the model takes" in note for note in data.notes)

    assert length() == (512, False)
    assert length(positions=64) == (64, False)  # nobody asked for more, so nobody is told
    assert length(model_max_length=int(1e30)) == (512, False)
    assert length(max_seq_length=100) == (100, False)
    assert length(max_seq_length=100, positions=64) == (64, True)


def test_characters_are_known_only_when_asked_for(files, tmp_path):
    data = load(("train",), **files)
    assert data.schema.characters == ""
    data.fit_characters()
    assert data.schema.characters == "".join(sorted({c for words in data.words("train") for w in words for c in w}))
    features = data.tokenize(whole_words(data), cache_dir=tmp_path)["train"]
    ids = data.schema.character_ids
    assert features[1]["char_ids"] == [[ids[c] for c in "Peter"], [ids[c] for c in "Blackburn"]]
    known = data.schema.characters
    data.fit_characters(min_count=99)
    assert data.schema.characters == known


def test_words_that_were_cut_or_replaced_are_counted_with_their_line(tmp_path):
    path = write(tmp_path / "train.conll", "a O\nb B-X\n\nbbbbbbbb O\n\u3000 B-X\n\u3000 O\n")
    data = load(("train",), train_file=str(path), max_seq_length=5)
    data.tokenize(build_tokenizer(["a b"], level="character", min_count=1), cache_dir=tmp_path / "cache")
    assert [note for note in data.notes if note.startswith(f"{path}:4")] == [
        f"{path}:4: 1 words are longer than 5 tokens; the end of each was cut off (this is the first sentence)",
        f"{path}:4: 2 words have no token (blank, or invisible characters); the unknown token stands for them "
        "(this is the first sentence)",
    ]


def test_further_tokens_are_labelled_in_training_only(files, tmp_path):
    data = load(ALL[:2], **files, label_all_tokens=True)
    features = data.tokenize(build_tokenizer(["abc"], level="character", min_count=1), cache_dir=tmp_path)
    assert features["train"]["labels"][1].count(-100) == 1  # [CLS]
    assert sum(label != -100 for label in features["validation"]["labels"][0]) == 2


def test_joint_predictions_are_merged_with_their_sentence_logits(tmp_path):
    rows = [{"tokens": ["a", "b", "c"], "tags": ["O", "B-X", "O"], "intent": "ask"}]
    rows.append({"tokens": ["d"], "tags": ["O"], "intent": "tell"})
    path = str(write_jsonl(tmp_path / "a.jsonl", rows))
    data = load(
        ("train", "test"), train_file=path, test_file=path, sentence_label_column_name="intent", max_seq_length=3
    )
    tokenizer = whole_words(data)
    features = data.tokenize(tokenizer, cache_dir=tmp_path / "cache")
    assert features["train"]["sentence_labels"][:] == [0, -100, 1]
    (tags,) = repeat_gold(data, "test", features["test"], tokenizer)
    merged = data.merge("test", features["test"], (tags, np.arange(6.0).reshape(3, 2)))
    assert merged.sentence_logits.tolist() == [[0.0, 1.0], [4.0, 5.0]]
    assert data.sentence_labels("test") == ["ask", "tell"]


def test_a_second_run_reads_the_cache(files, tmp_path):
    first = load(("train",), **files)
    made = first.tokenize(whole_words(first), cache_dir=tmp_path)["train"]
    count = len(list(tmp_path.iterdir()))
    second = load(("train",), **files)
    assert second.tokenize(whole_words(second), cache_dir=tmp_path)["train"][:] == made[:]
    assert len(list(tmp_path.iterdir())) == count


def test_a_saved_schema_is_enough_to_predict(files, tmp_path):
    schema = load(("train",), **files).schema
    assert isinstance(schema, TaggingSchema)
    data = load(("test",), test_file=files["test_file"], saved=schema)
    assert data.schema == schema
    assert list(data.splits) == ["test"]
