from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from transformers import BertConfig

from hf_ext.models.tag_schemes import SCHEMES
from hf_ext.models.tagging_schema import TaggingSchema, has_tagger, scheme_of_names, tags_of_head

SCHEMA = TaggingSchema(
    ("O", "B-PER", "I-PER"),
    "BIO",
    level="character",
    tokens_column="0",
    tags_column="-1",
    sentence_labels=("ask", "tell"),
    sentence_label_column="intent",
    max_length=77,
    characters="abä\U00020000",
)


def test_a_schema_comes_back_from_a_saved_config(tmp_path):
    config = BertConfig()
    SCHEMA.write_into(config)
    assert config.id2label == {0: "O", 1: "B-PER", 2: "I-PER"}
    assert config.label2id == {"O": 0, "B-PER": 1, "I-PER": 2}
    config.save_pretrained(tmp_path)
    assert TaggingSchema.from_config(BertConfig.from_pretrained(tmp_path)) == SCHEMA
    assert "tags" not in json.loads((tmp_path / "config.json").read_text())["tagging_schema"]


def test_a_config_of_another_origin_has_no_schema():
    assert TaggingSchema.from_config(BertConfig()) is None


def test_ids_follow_the_order_of_the_schema():
    assert SCHEMA.tag_ids == {"O": 0, "B-PER": 1, "I-PER": 2}
    assert SCHEMA.sentence_label_ids == {"ask": 0, "tell": 1}
    assert SCHEMA.character_ids == {"a": 2, "b": 3, "ä": 4, "\U00020000": 5}
    assert SCHEMA.num_characters == 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scheme": "BIEO"}, "scheme must be one of"),
        ({"level": "syllable"}, "level must be one of"),
        ({"tags": ("O", "B-X", "O")}, "the tag 'O' occurs twice"),
        ({"sentence_labels": ("a", "a")}, "the sentence label 'a' occurs twice"),
        ({"characters": "aba"}, "the character 'a' occurs twice"),
    ],
)
def test_a_schema_that_cannot_be_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TaggingSchema(**{"tags": ("O",), "scheme": "BIO", **values})


@pytest.mark.parametrize(
    ("names", "scheme"),
    [
        ("O B-PER I-PER", "BIO"),
        ("O B-MISC I-MISC B-PER I-PER", "BIO"),
        ("O B-PER", "BIO"),
        ("O I-PER I-LOC", "IOB1"),
        ("O B_PER I_PER E_PER S_PER", "BIOES"),
        ("O B-PER I-PER L-PER U-PER", "BILOU"),
        ("B M E S", "BMES"),
        ("O PER LOC", "IO"),
        ("NOUN VERB INTJ", "IO"),
        ("O B-PER LOC", "IO"),
        ("O E-PER I-PER", "IO"),
    ],
)
def test_the_scheme_is_read_off_the_names(names, scheme):
    assert scheme_of_names(tuple(names.split())) == scheme
    assert scheme in SCHEMES


def head(names: list[str], architecture: str = "BertForTokenClassification") -> SimpleNamespace:
    return SimpleNamespace(id2label=dict(enumerate(names)), num_labels=len(names), architectures=[architecture])


def test_a_head_of_another_origin_brings_its_tags_and_their_scheme():
    assert tags_of_head(head(["B-X", "O", "I-X"])) == TaggingSchema(("B-X", "O", "I-X"), "BIO")


def test_heads_without_names_and_encoders_bring_nothing():
    assert tags_of_head(head(["LABEL_0", "LABEL_1"])) is None
    assert tags_of_head(head(["O", "B-X"], "BertModel")) is None
    assert not has_tagger(SimpleNamespace(architectures=None))
    assert has_tagger(SimpleNamespace(architectures=["ExtForJointClassification"]))
