"""Rows of a classification are no sentences of one word."""

from __future__ import annotations

import pytest
from tagging_files import TRAIN, load, write

from hf_ext.data.checks.whole_texts import is_text, refuse_whole_texts
from hf_ext.errors import UserError

CHINESE = ("这部电影很好看", "质量太差了不推荐", "物流很快包装完整", "屏幕有划痕客服不理")
ENGLISH = ("a fine film", "not worth the money", "came fast", "the screen is scratched")
LABELS = ("正面", "负面", "正面", "负面")


def rows(texts, form):
    return "".join(form.format(text=text, label=label) for text, label in zip(texts, LABELS, strict=True)) * 3


@pytest.mark.parametrize("texts", [CHINESE, ENGLISH])
@pytest.mark.parametrize(
    ("form", "kind"), [("{text}\t{label}\n", "words"), ("{text}\t{label}\n\n", "words"), ("{label}\t{text}\n", "tags")]
)
def test_texts_with_labels_are_answered_with_the_other_script(tmp_path, texts, form, kind):
    path = write(tmp_path / "train.txt", rows(texts, form))
    with pytest.raises(UserError, match=rf"train.txt: the {kind} are whole texts.* – run_classification.py"):
        load(("train",), train_file=str(path))


def test_so_is_a_csv_file(tmp_path):
    path = write(tmp_path / "train.csv", "text,label\n" + rows(CHINESE, "{text},{label}\n"))
    with pytest.raises(UserError, match=r"whole texts, such as '这部电影很好看'"):
        load(("train",), train_file=str(path))


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        (["中国", "人民", "解放", "了", "全国"], ("ns", "n", "v", "u")),  # segmented, parts of speech
        (["中", "国", "人"], ("n", "v")),
        (["New York", "said", "it"], ("LOC", "VERB")),
        (["北京市人民政府", "上海合作组织", "中华人民共和国"], ("O", "ORG")),  # something is outside
        (["中华人民共和国外交部", "北京市人民政府"], ("B-ORG", "S-ORG")),
    ],
)
def test_words_are_words(words, tags):
    refuse_whole_texts(words, tags, "a.txt")


def test_the_usual_files_are_read_as_ever(tmp_path):
    assert load(("train",), train_file=str(write(tmp_path / "train.conll", TRAIN))).schema.scheme == "BIO"


def test_nothing_is_no_text():
    assert not is_text([])
