from __future__ import annotations

import json

import pytest
from tagging_files import TRAIN, load, message_of, write, write_jsonl

from hf_ext.errors import UserError
from hf_ext.models.tagging_schema import TaggingSchema

ALL = ("train", "validation", "test")


def columns(*sentences: str) -> str:
    """``"a/O b/B-X"`` as a CoNLL file."""
    return "\n".join("".join(pair.replace("/", " ") + "\n" for pair in sentence.split()) for sentence in sentences)


@pytest.fixture
def train(tmp_path) -> str:
    return str(write(tmp_path / "train.conll", TRAIN))


def notes_with(data, part: str) -> list[str]:
    return [note for note in data.notes if part in note]


def test_the_schema_is_fitted_on_training_alone(tmp_path, train):
    dev = write(tmp_path / "dev.conll", columns("Rome/B-LOC ,/O"))
    data = load(ALL[:2], train_file=train, validation_file=str(dev))
    assert data.schema == TaggingSchema(
        ("O", "B-LOC", "I-LOC", "B-MISC", "I-MISC", "B-ORG", "I-ORG", "B-PER", "I-PER"),
        "BIO",
        tokens_column="0",
        tags_column="-1",
    )
    assert notes_with(data, "the tags are read as BIO")


def test_unseen_tags_are_named_or_their_sentences_are_not_scored(tmp_path, train):
    dev = write(tmp_path / "dev.conll", columns("a/O", "b/B-NEW c/O"))
    flags = {"train_file": train, "validation_file": str(dev), "test_file": str(dev)}
    with pytest.raises(UserError) as error:
        load(ALL[:2], **flags)
    message_of(error.value, f"{dev}:3", "'B-NEW'")
    data = load(ALL, unknown_labels="ignore", **flags)
    assert data.words("validation") == [["a"]]
    assert data.words("test") == [["a"], ["b", "c"]]
    assert data.tags("test") == [["O"], None]


def test_all_splits_are_converted(tmp_path):
    train = write(tmp_path / "train.conll", columns("a/I-X b/I-X c/O", "d/I-X"))
    dev = write(tmp_path / "dev.conll", columns("a/I-X b/B-X"))
    data = load(ALL[:2], train_file=str(train), validation_file=str(dev), convert_scheme="BIOES")
    assert data.tags("train") == [["B-X", "E-X", "O"], ["S-X"]]
    assert data.tags("validation") == [["S-X", "S-X"]]
    assert data.schema.scheme == "BIOES"
    assert len(notes_with(data, "tags converted from IOB1 to BIOES")) == 2


def test_a_saved_model_reads_files_of_another_scheme_in_its_own(tmp_path):
    saved = TaggingSchema(("O", "B-X", "I-X", "E-X", "S-X"), "BIOES", max_length=77)
    test = write(tmp_path / "test.conll", columns("a/B-X b/I-X c/B-X d/O"))
    data = load(("test",), test_file=str(test), saved=saved)
    assert data.tags("test") == [["B-X", "E-X", "S-X", "O"]]
    assert data.schema == saved
    assert load(("test",), test_file=str(test), saved=saved, max_seq_length=9).schema.max_length == 9


def test_a_saved_model_takes_tags_in_its_own_spelling_and_says_that_it_keeps_its_scheme(tmp_path):
    saved = TaggingSchema(("O", "B_X", "I_X"), "BIO")
    for name, content in (("a.txt", columns("a/B-X b/I-X c/O")), ("b.txt", columns("a/S-X b/O d/B-X e/E-X"))):
        file = write(tmp_path / name, content)
        data = load(("test",), test_file=str(file), saved=saved, convert_scheme="BIOES")
        assert set(data.tags("test")[0]) == {"O", "B_X", "I_X"}
        assert notes_with(data, "--convert_scheme is for training: the saved tagger has BIO")


def test_a_model_trained_further_keeps_its_scheme_and_order_where_the_types_are_the_same(tmp_path):
    saved = TaggingSchema(("S-X", "O", "B-X", "I-X", "E-X"), "BIOES", max_length=77)
    train = write(tmp_path / "train.conll", columns("a/B-X b/I-X c/O"))
    schema = load(train_file=str(train), saved=saved).schema
    assert (schema.tags, schema.scheme, schema.max_length) == (saved.tags, "BIOES", 512)
    other = write(tmp_path / "other.conll", columns("a/B-Y b/I-Y c/O"))
    assert load(train_file=str(other), saved=saved).schema.scheme == "BIO"


def test_the_columns_of_a_saved_model_are_looked_for(tmp_path):
    train = write(tmp_path / "train.conll", "a NN B-X 1\nb NN O 2\n")
    saved = load(train_file=str(train), label_column_name="2").schema
    assert load(("test",), test_file=str(train), saved=saved).tags("test") == [["B-X", "O"]]
    rows = write_jsonl(tmp_path / "a.jsonl", [{"x": ["a"], "tokens": ["b"], "y": ["B-X"], "tags": ["O"]}])
    named = load(
        train_file=str(write_jsonl(tmp_path / "t.jsonl", [{"x": ["a"], "y": ["B-X"]}])),
        text_column_name="x",
        label_column_name="y",
    ).schema
    assert load(("test",), test_file=str(rows), saved=named).words("test") == [["a"]]
    assert load(("test",), test_file=str(rows), saved=saved).words("test") == [["b"]]


def test_validation_sentences_are_cut_out_the_same_way_again(tmp_path):
    train = write(tmp_path / "train.conll", columns(*(f"w{i}/B-X o/O" for i in range(20))))
    data = load(ALL, train_file=str(train), validation_split=0.2, test_split=0.1)
    assert [len(data.words(split)) for split in ALL] == [14, 4, 2]
    everything = sorted(words[0] for split in ALL for words in data.words(split))
    assert everything == sorted(f"w{i}" for i in range(20))
    indices = write(tmp_path / "split_indices.json", json.dumps(data.split_indices))
    again = load(ALL, train_file=str(train), split_indices=str(indices))
    assert [again.words(split) for split in ALL] == [data.words(split) for split in ALL]
    assert data.split_indices["rows"] == 20


def test_sentence_labels_keep_their_shares_when_sentences_are_held_out(tmp_path):
    rows = [{"tokens": ["a", "b"], "tags": ["B-X", "O"], "intent": "xy"[i % 2]} for i in range(20)]
    path = write_jsonl(tmp_path / "train.jsonl", rows)
    data = load(ALL[:2], train_file=str(path), sentence_label_column_name="intent", validation_split=0.2)
    assert sorted(data.sentence_labels("validation")) == ["x", "x", "y", "y"]


def test_repeats_can_be_left_out_and_leaks_are_noticed(tmp_path):
    long = "a/B-X b/O c/O d/O e/O"
    train = write(tmp_path / "train.conll", columns(long, "f/O", long, "f/B-X"))
    dev = write(tmp_path / "dev.conll", columns(long, "f/O"))
    data = load(ALL[:2], train_file=str(train), validation_file=str(dev), drop_duplicates=True)
    assert len(data.words("train")) == 2
    assert notes_with(data, "2 rows with a repeated text left out, 1 of them with another label")
    assert notes_with(data, "1 of 2 texts also occur in the training rows")


def test_the_number_of_sentences_can_be_limited_and_shuffled(tmp_path):
    train = str(write(tmp_path / "train.conll", columns(*(f"w{i}/B-X o/O" for i in range(9)))))
    first = load(train_file=train, max_train_samples=2)
    assert [words[0] for words in first.words("train")] == ["w0", "w1"]
    mixed = load(train_file=train, shuffle_train_dataset=True)
    assert sorted(mixed.words("train")) == sorted(load(train_file=train).words("train"))
    assert mixed.words("train") != load(train_file=train).words("train")
    assert load(("validation",), train_file=train, test_file=train, max_eval_samples=1).words("validation") == [
        ["w0", "o"]
    ]


def test_test_sentences_serve_as_validation_if_they_have_tags(tmp_path, train):
    data = load(ALL, train_file=train, test_file=train, convert_scheme="BIOES")
    assert data.tags("validation") == data.tags("test") == data.tags("train")
    bare = write(tmp_path / "bare.conll", "EU\n\nin\n")
    with pytest.raises(UserError, match="the test sentences have no tags"):
        load(ALL, train_file=train, test_file=str(bare))


@pytest.mark.parametrize(
    ("needs", "flags", "parts"),
    [
        (("train",), {}, ["--do_train requires train rows"]),
        (ALL[:2], {"train_file": "train.conll"}, ["--do_eval requires validation rows"]),
        (("test",), {"train_file": "train.conll"}, ["--do_predict requires test rows"]),
    ],
)
def test_a_split_without_a_source_is_named(train, needs, flags, parts):
    given = dict.fromkeys(flags, train)
    with pytest.raises(UserError) as error:
        load(needs, **given)
    assert all(part in str(error.value) for part in parts)


def test_needing_nothing_is_a_wrong_call(train):
    with pytest.raises(ValueError, match="needs must name"):
        load((), train_file=train)


def test_one_tag_or_one_label_cannot_be_trained(tmp_path):
    path = write(tmp_path / "a.conll", columns("a/O b/O"))
    with pytest.raises(UserError, match="every word has the tag 'O'"):
        load(train_file=str(path))
    rows = write_jsonl(tmp_path / "a.jsonl", [{"tokens": ["a"], "tags": ["B-X"], "intent": "x"}] * 2)
    with pytest.raises(UserError, match="every sentence has the label 'x'"):
        load(train_file=str(rows), sentence_label_column_name="intent")


def test_a_joint_model_needs_sentence_labels_and_a_plain_one_forgets_them(tmp_path):
    rows = [{"tokens": ["a"], "tags": ["B-X"], "intent": "ask"}, {"tokens": ["b"], "tags": ["O"], "intent": "sing"}]
    labelled = str(write_jsonl(tmp_path / "a.jsonl", rows))
    joint = TaggingSchema(("O", "B-X"), "BIO", sentence_labels=("ask", "tell"), sentence_label_column="intent")
    with pytest.raises(UserError, match="1 sentences have a label that training has not seen, the first 'sing'"):
        load(("validation",), validation_file=labelled, saved=joint)
    data = load(("test",), test_file=labelled, saved=joint, unknown_labels="ignore")
    assert data.sentence_labels("test") == ["ask", None]
    bare = str(write(tmp_path / "b.conll", columns("a/B-X")))
    with pytest.raises(UserError, match="no sentence labels, which this model needs"):
        load(("validation",), validation_file=bare, saved=joint)
    assert load(("test",), test_file=bare, saved=joint).sentence_labels("test") == [None]
    plain = TaggingSchema(("O", "B-X"), "BIO")
    forgotten = load(("test",), test_file=labelled, saved=plain, sentence_label_column_name="intent")
    assert forgotten.sentence_labels("test") == [None, None]


def test_the_level_of_training_is_that_of_the_other_files(tmp_path):
    train = write_jsonl(tmp_path / "train.jsonl", [{"text": "他在北京", "label": [[2, 4, "LOC"]]}])
    test = write(tmp_path / "test.txt", "in Rome\n")
    data = load(("train", "test"), train_file=str(train), test_file=str(test))
    assert data.words("test") == [list("inRome")]
    characters = write(tmp_path / "a.bmes", columns("北/B-LOC 京/E-LOC 市/O", "我/O 在/O"))
    assert load(train_file=str(characters)).schema.level == "character"
    assert load(train_file=str(characters), level="word").schema.level == "word"


def test_a_head_saved_elsewhere_leaves_the_level_to_the_text(tmp_path):
    text, tags = str(write(tmp_path / "test.txt", "他在北京\n")), ("O", "B-X", "I-X")
    assert load(("test",), test_file=text, saved=TaggingSchema(tags, "BIO")).words("test") == [list("他在北京")]
    ours = TaggingSchema(tags, "BIO", tokens_column="0")
    assert load(("test",), test_file=text, saved=ours).words("test") == [["他在北京"]]


def test_what_was_noticed_before_an_error_is_logged(tmp_path, caplog):
    path = write(tmp_path / "train.conll", "北 O\n京 O\n".encode("gb18030"))
    with caplog.at_level("INFO"), pytest.raises(UserError):
        load(train_file=str(path))
    assert any("read as gb18030" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        ({"max_seq_length": 0}, "--max_seq_length must be at least 1"),
        ({"window_overlap": -1}, "--window_overlap must not be negative"),
        ({"max_seq_length": 8, "window_overlap": 8}, "--window_overlap 8 must be less"),
        ({"validation_split": 1.5}, "--validation_split is a fraction"),
    ],
)
def test_flags_are_checked_before_anything_is_read(flags, part):
    with pytest.raises(ValueError, match=part):
        load(**flags)
