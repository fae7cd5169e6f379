from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tagging_files import fails, load, message_of, read, write, write_jsonl

from hf_ext.data.tagging.spans import NamedSpan, SpanTagger, parse_spans
from hf_ext.data.tagging.text_words import choose_level, cut_text
from hf_ext.errors import UserError
from hf_ext.models.tag_schemes import Entity, entities

TEXT = "浙商银行的叶老桂博士"
TAGS = ["B-company", "I-company", "I-company", "I-company", "O", "B-name", "I-name", "I-name", "O", "O"]
FORMS = {
    "cluener": {"label": {"name": {"叶老桂": [[5, 7]]}, "company": {"浙商银行": [[0, 3]]}}},
    "doccano": {"label": [[5, 8, "name"], [0, 4, "company"]]},
    "labels": {"labels": [[0, 4, "company"], [5, 8, "name"]]},
    "entities": {
        "entities": [
            {"id": 1, "label": "company", "start_offset": 0, "end_offset": 4},
            {"id": 2, "label": "name", "start_offset": 5, "end_offset": 8},
        ],
        "relations": [],
    },
    "typed": {"entities": [{"type": "company", "start": 0, "end": 4}, {"type": "name", "start": 5, "end": 8}]},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_spans_gives_the_same_tags(tmp_path, form):
    file = read(
        write_jsonl(tmp_path / "train.json", [{"text": TEXT, **form}, {"text": "没有", **{key: [] for key in form}}])
    )
    assert file.sentences[0].words == list(TEXT)
    assert file.sentences[0].tags == TAGS
    assert file.sentences[1].tags == ["O", "O"]
    assert (file.level, file.scheme, file.notes) == ("character", "BIO", [])


def test_an_array_and_an_object_around_it_are_read_too(tmp_path):
    row = {"text": TEXT, **FORMS["doccano"]}
    for content in ([row], {"version": 1, "data": [row]}):
        file = read(write(tmp_path / "train.json", json.dumps(content, ensure_ascii=False, indent=1)))
        assert file.sentences[0].tags == TAGS


def test_words_know_their_place_in_the_text(tmp_path):
    text = "彭 小军 said"
    sentence = read(write_jsonl(tmp_path / "a.jsonl", [{"text": text, "label": [[0, 4, "name"]]}])).sentences[0]
    assert sentence.words == ["彭", "小", "军", "s", "a", "i", "d"]
    assert [text[start:end] for start, end in sentence.spans] == sentence.words
    assert entities(sentence.tags, "BIO") == [Entity("name", 0, 3)]


def test_words_of_other_languages_are_runs_of_letters(tmp_path):
    text = "The Paris-based café of José, 3.5 m"
    sentence = read(
        write_jsonl(tmp_path / "a.jsonl", [{"text": text, "label": [[4, 9, "LOC"], [24, 28, "PER"]]}])
    ).sentences[0]
    assert sentence.words == ["The", "Paris", "-", "based", "café", "of", "José", ",", "3", ".", "5", "m"]
    assert [sentence.words[e.start : e.end] for e in entities(sentence.tags, "BIO")] == [["Paris"], ["José"]]


def test_a_named_level_wins_over_the_script(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "ab c", "label": [[0, 2, "X"]]}])
    assert load(train_file=str(path), level="character").words("train") == [["a", "b", "c"]]
    assert load(train_file=str(path)).words("train") == [["ab", "c"]]


def test_combining_marks_stay_on_their_letters():
    assert [len("नमस्ते"), len("e\u0301a")] == [
        end for ((_, end),) in (cut_text("नमस्ते", "word"), cut_text("e\u0301a", "word"))
    ]
    assert choose_level(["नमस्ते"]) == "word"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.sampled_from(["word", "character"]))
def test_cutting_loses_nothing_but_white_space(text, level):
    spans = cut_text(text, level)
    assert "".join(text[start:end] for start, end in spans) == "".join(c for c in text if not c.isspace())
    assert all(a < b for a, b in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


@pytest.mark.parametrize(
    ("spans", "tags", "note"),
    [
        ([(0, 4, "X"), (2, 4, "Y")], "BIIIO", "1 spans overlap"),
        ([(2, 4, "Y"), (0, 4, "X"), (1, 3, "Z")], "BIIIO", "2 spans overlap"),
        ([(0, 2, "Y"), (0, 4, "X")], "BIIIO", "1 spans overlap"),
        ([(3, 9, "X")], "OOOOO", "1 spans do not lie within"),
        ([(-1, 2, "X")], "OOOOO", "1 spans do not lie within"),
        ([(2, 2, "X")], "OOOOO", "1 spans do not lie within"),
        ([(0, 2, "X"), (0, 2, "X")], "BIOOO", None),
        ([(0, 2, "X"), (2, 3, "X")], "BIBOO", None),
    ],
)
def test_spans_that_tags_cannot_say_are_counted_with_the_first_place(tmp_path, spans, tags, note):
    row = {"text": "甲乙丙丁戊", "label": [list(span) for span in spans]}
    file = read(write_jsonl(tmp_path / "a.jsonl", [{"text": "好", "label": []}, row]))
    assert "".join(tag[0] for tag in file.sentences[1].tags) == tags
    assert bool(file.notes) == bool(note)
    if note:
        assert file.notes[0].startswith(f"{file.source}:2 (")
        assert note in file.notes[0]


def test_a_span_inside_of_a_word_takes_the_word_and_a_wrong_surface_is_noticed(tmp_path):
    rows = [
        {"text": "New Yorkers sing", "label": [[0, 8, "LOC"]]},
        {"text": "a   b", "label": [[1, 3, "LOC"]]},
    ]
    file = read(write_jsonl(tmp_path / "a.jsonl", rows))
    assert file.sentences[0].tags == ["B-LOC", "I-LOC", "O"]
    assert [note.partition(": ")[2].split(" and")[0] for note in file.notes] == [
        "1 spans begin or end inside of a word",
        "1 spans cover no word",
    ]
    wrong = read(write_jsonl(tmp_path / "b.json", [{"text": TEXT, "label": {"name": {"叶老桂": [[4, 6]]}}}]))
    assert "the text reads otherwise" in wrong.notes[0]


def test_a_row_without_spans_has_no_tags_and_is_left_out_of_training(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "甲乙", "label": [[0, 1, "X"]]}, {"text": "丙", "label": None}])
    assert read(path).sentences[1].tags is None
    data = load(train_file=str(path))
    assert data.words("train") == [["甲", "乙"]]
    assert any(":2: 1 sentences without words, tags or label left out" in note for note in data.notes)


@pytest.mark.parametrize(
    "cell",
    [
        [[0, 1]],
        [["a", 1, "X"]],
        [{"start": 0, "end": 1}],
        {"name": [[0, 1]]},
        {"name": {"x": [[0]]}},
        [[0, 1, ""]],
        [[0.5, 1, "X"]],
        [[0, float("inf"), "X"]],
        3,
    ],
)
def test_other_forms_are_refused_with_their_line(cell):
    with pytest.raises(UserError) as error:
        parse_spans(cell, "a.json:7")
    message_of(error.value, "a.json:7", "not a span")


@pytest.mark.parametrize("start", [0, "0", 0.0, "0.0"])
def test_whole_numbers_are_offsets_however_they_are_written(start):
    assert parse_spans([[start, 3.0, "X"]], "a:1") == [(0, 3, "X", None)]


def test_a_broken_row_is_named(tmp_path):
    fails(write(tmp_path / "a.jsonl", '{"text": "a", "label": []}\n{"text": "a"\n'), 2, "broken JSON")
    fails(write(tmp_path / "b.jsonl", '{"text": "a", "label": [[0, 1]]}\n'), 1, "not a span")
    fails(write(tmp_path / "c.jsonl", '[1, 2]\n{"a": 1}\n'), 1, "")


def test_parquet_writes_every_type_into_every_row():
    cell = {"name": {"叶": [[0, 0]], "王": None}, "company": None}
    assert parse_spans(cell, "a:1") == [NamedSpan(0, 1, "name", "叶")]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_spans_on_words_survive_the_way_through_tags(data):
    text = data.draw(st.text("甲乙丙 丁", min_size=1, max_size=20))
    words = cut_text(text, "character")
    edges = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=8)))
    chosen = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    spans = [NamedSpan(words[a][0], words[b - 1][1], f"T{i % 2}") for i, (a, b) in enumerate(chosen)]
    tagger = SpanTagger("a")
    tags = tagger.tag(text, words, spans, line=1)
    assert entities(tags, "BIO") == [Entity(f"T{i % 2}", a, b) for i, (a, b) in enumerate(chosen)]
    assert not tagger.notes
