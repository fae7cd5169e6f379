from __future__ import annotations

import gzip

import numpy as np
import pytest

from hf_ext.errors import UserError
from hf_ext.tokenization import read_vector_tokens, read_word_vectors

VOCABULARY = {"好": 5, "书": 7, "absent": 9}


def test_vectors_of_known_tokens_are_read_and_the_rest_is_passed_over(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("3 2\n好 1 2\n书 -0.5 1e-1\nother 9 9\n", encoding="utf-8")
    vectors, width = read_word_vectors(path, VOCABULARY)
    assert width == 2
    assert sorted(vectors) == [5, 7]
    np.testing.assert_array_equal(vectors[7], np.array([-0.5, 0.1], dtype=np.float32))


def test_a_file_without_header_and_a_gzipped_one_give_the_same(tmp_path):
    plain, zipped = tmp_path / "glove.txt", tmp_path / "vectors.vec.gz"
    plain.write_text("好 1 2\n书 3 4\n", encoding="utf-8")
    with gzip.open(zipped, "wt", encoding="utf-8") as file:
        file.write("2 2\n好 1 2\n书 3 4\n")
    left, right = read_word_vectors(plain, VOCABULARY)[0], read_word_vectors(zipped, VOCABULARY)[0]
    assert left.keys() == right.keys()
    assert all(np.array_equal(left[i], right[i]) for i in left)


def test_the_tokens_of_a_file_come_in_its_order(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("3 2\n书 1 2\n好 -0.5 1e-1\n2 9 9\n", encoding="utf-8")
    assert read_vector_tokens(path) == ["书", "好", "2"]
    with pytest.raises(UserError, match="no such file"):
        read_vector_tokens(tmp_path / "none.txt")


def test_numbers_may_be_tokens_themselves(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("2 2\n0 1 2\n1 3 4\n", encoding="utf-8")
    vectors, _ = read_word_vectors(path, {"0": 0, "1": 1})
    assert sorted(vectors) == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("好 1 2\n书 3\n", "vectors.txt:2: 1 numbers for '书', 2 before"),
        ("好 1 x\n", "vectors.txt:1: a value is not a number"),
        ("", "no vectors"),
        ("7 200\n", "no vectors"),
    ],
)
def test_a_broken_file_is_answered_with_its_line(tmp_path, content, message):
    path = tmp_path / "vectors.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_word_vectors(path, VOCABULARY)


def test_a_missing_or_binary_file_is_answered_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_word_vectors(tmp_path / "none.vec", VOCABULARY)
    binary = tmp_path / "v.bin"
    binary.write_bytes(b"\x80\x81\xff 1 2\n")
    with pytest.raises(UserError, match="not a text file"):
        read_word_vectors(binary, VOCABULARY)
    fake = tmp_path / "v.gz"
    fake.write_bytes(b"plain text")
    with pytest.raises(UserError, match="not a text file"):
        read_word_vectors(fake, VOCABULARY)
