from __future__ import annotations

import os

import pytest
from corpus_cases import fails, write

from hf_ext.data.pretraining import corpus as module
from hf_ext.data.pretraining.arrow_files import load_table, write_table
from hf_ext.data.pretraining.corpus import FEATURES, keep_documents, read_corpus
from hf_ext.data.pretraining.documents import Document, DocumentReader
from hf_ext.data.pretraining.text_hashes import HeldOut, find_different, hash_text


@pytest.fixture
def files(tmp_path):
    return [write(tmp_path / "a.txt", "one\ntwo\n\nthree\n"), write(tmp_path / "b.txt", "four\n")]


def read(paths, tmp_path, **more):
    return read_corpus(paths, DocumentReader(boundary="line"), cache_dir=tmp_path / "cache", **more)


def test_documents_of_all_files_with_their_places(files, tmp_path):
    corpus = read(files, tmp_path)
    assert corpus.documents["text"][:] == ["one", "two", "three", "four"]
    assert [corpus.where(i) for i in (2, 3)] == [f"{files[0]}:4", f"{files[1]}:1"]
    assert corpus.column("file").tolist() == [0, 0, 0, 1]


def test_what_was_read_once_is_loaded_until_a_file_or_the_reading_changes(files, tmp_path, monkeypatch):
    first = read(files, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(DocumentReader, "read", None)  # reading would fail
        assert read(files, tmp_path).documents["text"][:] == first.documents["text"][:]
    times = files[0].stat().st_mtime_ns
    write(files[0], "one\ntwo\n\ntHree\n")
    os.utime(files[0], ns=(times, times))
    assert read(files, tmp_path).documents["text"][2] == "tHree"
    other = read_corpus(files, DocumentReader(boundary="empty_line"), cache_dir=tmp_path / "cache")
    assert other.documents["text"][:] == ["one\ntwo", "tHree", "four"]
    assert len({first.key, other.key, read(files, tmp_path).key}) == 3


def test_notes_are_repeated_from_the_cache(tmp_path):
    path = write(tmp_path / "a.csv", "n,text\n1,x\n2,\n")
    notes = [read([path], tmp_path).notes for _ in range(2)]
    assert notes[0] == notes[1]
    assert "without a text" in notes[0][0]


def test_a_table_is_written_whole_or_not_at_all(tmp_path):
    def broken():
        yield {"text": ["a"], "file": [0], "line": [1], "hash": [1]}
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_table(tmp_path / "t.arrow", FEATURES, broken(), [])
    assert list(tmp_path.iterdir()) == []
    assert load_table(tmp_path / "t.arrow", "x") is None


def test_a_cache_that_cannot_be_written_is_said(files, tmp_path):
    write(tmp_path / "cache", "a file where the folder should be")
    fails(lambda: read(files, tmp_path), "cannot be kept here", "--cache_dir")


def test_many_documents_come_in_batches_and_stay_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 7)
    path = write(tmp_path / "a.txt", "\n".join(f"document {i}" for i in range(50)))
    corpus = read([path], tmp_path)
    assert corpus.documents["text"][:] == [f"document {i}" for i in range(50)]
    assert corpus.documents.cache_files  # memory-mapped


def test_files_without_text_are_passed_over_if_there_are_others(files, tmp_path):
    empty = write(tmp_path / "empty.txt", " \n")
    corpus = read([files[0], empty, files[1]], tmp_path)
    assert len(corpus.documents) == 4
    assert corpus.notes == [f"{empty}: no text"]
    assert corpus.where(3) == f"{files[1]}:1"
    fails(lambda: read([empty], tmp_path), "empty.txt: no text", "right text")


def test_a_share_too_small_to_hold_a_document_is_said(files, tmp_path):
    fails(lambda: read(files, tmp_path, keep=HeldOut(1e-9, seed=1)), "a.txt, ", "no document falls into the share")


def test_repeated_texts_are_found():
    texts = ["a", "b", "a", "c", "b", "a"]
    corpus_hashes = module.np.array([hash_text(text) for text in texts], dtype="uint64")
    assert find_different(corpus_hashes).tolist() == [0, 1, 3]


def test_a_share_is_held_out_by_text_alone():
    held_out = HeldOut(10.0, seed=1)
    texts = [f"text {i}" for i in range(4000)]
    held = [text for text in texts if held_out.holds(text)]
    assert abs(len(held) / 4000 - 0.1) < 0.02  # 4 standard deviations
    assert held == [text for text in texts if HeldOut(10.0, seed=1).holds(text)]
    assert held != [text for text in texts if HeldOut(10.0, seed=2).holds(text)]
    assert not any(HeldOut(0.0, seed=1).holds(text) for text in texts)


def test_documents_of_a_stream_are_known_by_what_they_hold(tmp_path):
    def kept(*texts):
        return keep_documents("hub", [Document(text, i) for i, text in enumerate(texts)], cache_dir=tmp_path)

    assert kept("a", "b").key == kept("a", "b").key != kept("a", "c").key
    assert kept("a", "b").documents["text"][:] == ["a", "b"]
    fails(lambda: kept(), "hub: no text")
