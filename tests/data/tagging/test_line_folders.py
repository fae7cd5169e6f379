from __future__ import annotations

import pytest
from tagging_files import TRAIN, fails, load, read, words, write

from hf_ext.data.tagging.lines import looks_like_text
from hf_ext.data.tagging.sources import find_sentence_paths
from hf_ext.errors import UserError

WORDS = "listen to westbam \nadd step to me \n"
TAGS = "O O B-artist \nO B-entity_name O B-owner \n"
LABELS = "PlayMusic\nAddToPlaylist\n"


def folder(path, *, labels=LABELS, tags=TAGS, words=WORDS):
    for name, content in (("seq.in", words), ("seq.out", tags), ("label", labels)):
        if content is not None:
            write(path / name, content)
    return path


def test_a_folder_of_aligned_files_gives_words_tags_and_sentence_labels(tmp_path):
    file = read(folder(tmp_path / "train"))
    assert [(s.words, s.tags, s.label, s.line()) for s in file.sentences] == [
        (["listen", "to", "westbam"], ["O", "O", "B-artist"], "PlayMusic", 1),
        (["add", "step", "to", "me"], ["O", "B-entity_name", "O", "B-owner"], "AddToPlaylist", 2),
    ]


def test_splits_are_folders_of_a_folder(tmp_path):
    for split in ("train", "dev", "test"):
        folder(tmp_path / split)
    write(tmp_path / "slot_label.txt", "O\n")
    data = load(("train", "validation", "test"), data_dir=str(tmp_path))
    assert data.schema.sentence_labels == ("AddToPlaylist", "PlayMusic")
    assert data.sentence_labels("validation") == ["PlayMusic", "AddToPlaylist"]
    assert data.schema.sentence_label_column == "label"


def test_the_labels_can_be_ignored_or_absent(tmp_path):
    assert read(folder(tmp_path), sentence_label_column_name="none").sentence_label_column is None
    without = load(train_file=str(folder(tmp_path / "b", labels=None)))
    assert (without.schema.sentence_labels, without.sentence_labels("train")) == ((), [None, None])


def test_sentences_to_predict_need_neither_tags_nor_labels(tmp_path):
    path = folder(tmp_path, labels=None, tags=None)
    assert read(path, unlabelled=True).sentences[1].words == ["add", "step", "to", "me"]
    fails(path, "", "no seq.out")


def test_files_that_are_not_aligned_are_named(tmp_path):
    fails(folder(tmp_path / "a", tags="O O B-artist\nO O\n"), "/seq.out:2", "2 tags for 4 words")
    fails(folder(tmp_path / "b", labels="PlayMusic\n"), "/label", "1 lines, but seq.in has 2")


def test_plain_text_is_a_sentence_a_line(tmp_path):
    path = write(tmp_path / "test.txt", "Angela Merkel, in Berlin.\n\nShe left\n\n\n")
    assert words(path, unlabelled=True) == [["Angela", "Merkel", ",", "in", "Berlin", "."], [], ["She", "left"]]
    chinese = write(tmp_path / "zh.txt", "他在北京 工作\n她 left\n")
    assert words(chinese, unlabelled=True)[0] == list("他在北京工作")


def test_a_txt_file_of_words_is_seen_to_be_one(tmp_path):
    tagged = write(tmp_path / "a.txt", TRAIN)
    assert [len(s) for s in words(tagged, unlabelled=True)] == [4, 2, 2]
    bare = write(tmp_path / "b.txt", "EU\nrejects\n\nPeter\nBlackburn\n")
    assert words(bare, unlabelled=True) == [["EU", "rejects"], ["Peter", "Blackburn"]]
    short = write(tmp_path / "c.txt", "Yes\nNo\nYes\n")
    assert words(short, unlabelled=True) == [["Yes"], ["No"], ["Yes"]]
    assert words(short, unlabelled=True, file_format="conll") == [["Yes", "No", "Yes"]]
    assert words(tagged, unlabelled=True, file_format="text")[0] == ["EU", "B", "-", "ORG"]


@pytest.mark.parametrize(
    "content",
    ["Ann::B-PER\nruns::O\n", "  O\nAnn B-PER\n  O\n\nx O\n", "Ann\tB-full name\nruns\tO\n", "Ann NN\nruns VB\n"],
)
def test_a_txt_file_with_tags_is_not_taken_for_text(tmp_path, content):
    assert not looks_like_text(write(tmp_path / "a.txt", content), ("NN", "VB"))
    assert looks_like_text(write(tmp_path / "b.txt", "1\tAnn runs\n2\tBob runs\n"), ("NN", "VB"))


def test_a_txt_file_of_json_lines_is_read_as_such(tmp_path):
    path = write(tmp_path / "a.txt", '{"tokens": ["Ann", "runs"], "tags": ["B-PER", "O"]}\n')
    assert words(path) == words(path, unlabelled=True) == [["Ann", "runs"]]
    assert words(write(path, "{ O\n} O\n")) == [["{", "}"]]


def test_plain_text_cannot_be_trained_on(tmp_path):
    fails(write(tmp_path / "a.txt", "a sentence\n"), "", "no tags", file_format="text")
    fails(write(tmp_path / "b.txt", "\n\n"), "", "empty", file_format="text")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (
            ("train.char.bmes", "dev.char.bmes", "test.char.bmes", "README.md", "SOURCE.txt"),
            {"train": "train.char.bmes", "validation": "dev.char.bmes", "test": "test.char.bmes"},
        ),
        (
            ("x.train.iob", "emerging.dev.conll", "train.log"),
            {"train": "x.train.iob", "validation": "emerging.dev.conll"},
        ),
        (("train.json", "validation.parquet"), {"train": "train.json", "validation": "validation.parquet"}),
        (("train.conll.gz", ".test.conll"), {"train": "train.conll.gz"}),
    ],
)
def test_split_files_are_found_by_a_part_of_their_names(tmp_path, names, found):
    for name in names:
        write(tmp_path / name, "x")
    assert {split: path.name for split, path in find_sentence_paths(tmp_path).items()} == found


def test_a_folder_with_no_or_with_two_candidates_is_named(tmp_path):
    with pytest.raises(UserError, match="no train, dev or test file"):
        find_sentence_paths(tmp_path)
    for name in ("train.txt", "train.json"):
        write(tmp_path / name, "x")
    with pytest.raises(UserError, match=r"both train\.json and train\.txt could be the train sentences"):
        find_sentence_paths(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        find_sentence_paths(tmp_path / "none")
