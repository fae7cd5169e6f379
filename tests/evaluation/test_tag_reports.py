"""Files of tags: one value for every word, figures that agree with the score, text that survives."""

from __future__ import annotations

import csv
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ext.evaluation.decisions import softmax
from hf_ext.evaluation.entities import EntityCounts
from hf_ext.evaluation.reports import FORMULA_STARTS
from hf_ext.evaluation.tag_reports import ERROR_COLUMNS, REPORT_COLUMNS, write_tag_predictions
from hf_ext.models.tag_schemes import entities
from hf_ext.models.tagging_schema import TaggingSchema

SCHEMA = TaggingSchema(("O", "B-ORG", "I-ORG", "B-LOC", "I-LOC"), "BIO")
JOINT = TaggingSchema(("O", "B-ORG"), "BIO", sentence_labels=("ask", "=say"))
WORDS = [["Acme", "Corp", "left", "Rome", "."], ["在", "北", "京", "大", "学"], ["no", "entity"]]
GOLD = [["B-ORG", "I-ORG", "O", "B-LOC", "O"], ["O", "B-ORG", "I-ORG", "I-ORG", "I-ORG"], ["O", "O"]]
PREDICTED = [["B-ORG", "O", "O", "B-ORG", "O"], ["O", "B-ORG", "I-ORG", "I-ORG", "I-ORG"], ["O", "I-LOC"]]


def write(folder, schema=SCHEMA, words=WORDS, predicted=PREDICTED, **others):
    return write_tag_predictions(folder, schema=schema, words=words, predicted=predicted, **others)


def read_jsonl(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]


def read_csv(path):
    with open(path, encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def read_conll(folder):
    blocks = (folder / "predictions.conll").read_text(encoding="utf-8").split("\n\n")
    assert blocks.pop() == ""
    return [[line.split() for line in block.split("\n") if line] for block in blocks]


def test_five_files_with_true_tags_and_three_without(tmp_path):
    names = ["predictions.txt", "predictions.jsonl", "predictions.conll"]
    assert [path.name for path in write(tmp_path / "a")] == names
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(names)
    paths = write(tmp_path / "b", gold=GOLD)
    assert [path.name for path in paths] == [*names, "entity_report.csv", "entity_errors.csv"]
    assert write(tmp_path / "c", gold=[None, None, None])[-1].name == names[-1]


def test_reports_of_an_earlier_run_do_not_stay_beside_predictions_without_true_tags(tmp_path):
    assert len(write(tmp_path, gold=GOLD)) == 5
    write(tmp_path)
    assert not list(tmp_path.glob("entity_*.csv"))


def test_a_tag_with_a_blank_stays_one_tag_in_files_with_blanks_between_columns(tmp_path):
    schema = TaggingSchema(("O", "B-full name", "I-full name"), "BIO")
    tags = [["B-full name", "I-full name", "O"]]
    write(tmp_path, schema, [["Ann", "Lee", "left"]], tags, gold=tags)
    assert (tmp_path / "predictions.txt").read_text(encoding="utf-8") == "B-full_name I-full_name O\n"
    assert read_conll(tmp_path)[0][0] == ["Ann", "B-full_name", "B-full_name"]
    assert read_jsonl(tmp_path)[0]["entities"][0]["type"] == "full name"


def test_the_official_text_file(tmp_path):
    write(tmp_path)
    assert (tmp_path / "predictions.txt").read_bytes() == b"".join(
        " ".join(tags).encode() + b"\n" for tags in PREDICTED
    )


def test_entities_stand_in_the_jsonl_with_their_text(tmp_path):
    write(tmp_path, ids=["r1", "r2", 7])
    lines = read_jsonl(tmp_path)
    assert [(line["id"], line["words"], line["tags"]) for line in lines] == [
        *zip(["r1", "r2", 7], WORDS, PREDICTED, strict=True)
    ]
    assert [line["entities"] for line in lines] == [
        [{"type": "ORG", "start": 0, "end": 1, "text": "Acme"}, {"type": "ORG", "start": 3, "end": 4, "text": "Rome"}],
        [{"type": "ORG", "start": 1, "end": 5, "text": "北京大学"}],
        [],  # an I that continues nothing is no entity, as in the score
    ]


def test_words_are_joined_as_their_script_wants(tmp_path):
    words = [["New", "York"], ["A", "股"], ["A", "B"]]
    tags = [["B-LOC", "I-LOC"]] * 3

    def texts(schema):
        write(tmp_path, schema, words, tags)
        return [line["entities"][0]["text"] for line in read_jsonl(tmp_path)]

    assert texts(SCHEMA) == ["New York", "A股", "A B"]
    assert texts(TaggingSchema(SCHEMA.tags, "BIO", level="character")) == ["NewYork", "A股", "AB"]


def test_known_text_gives_characters_and_exact_surface(tmp_path):
    text = "Acme\u3000Corp, left"
    spans = [(text, [(0, 4), (5, 9), (9, 10), (11, 15)]), None]
    write(
        tmp_path,
        words=[["Acme", "Corp", ",", "left"], ["Rome"]],
        predicted=[["B-ORG", "I-ORG", "O", "O"], ["B-LOC"]],
        spans=spans,
    )
    first, second = read_jsonl(tmp_path)
    (entity,) = first["entities"]
    assert entity == {"type": "ORG", "start": 0, "end": 2, "text": "Acme\u3000Corp", "start_char": 0, "end_char": 9}
    assert text[entity["start_char"] : entity["end_char"]] == entity["text"]
    assert second["entities"] == [{"type": "LOC", "start": 0, "end": 1, "text": "Rome"}]


# --- confidence -------------------------------------------------------------------------------------------------------


def test_confidence_is_the_probability_of_the_tags_together(tmp_path):
    tag = [[0.9, 0.8, 0.7, 0.6, 0.5]] * 2 + [[1.0, 0.5]]
    chain = [[0.9, 0.85, 0.75, 0.65, 0.55]] * 2 + [[1.0, 0.5]]
    write(tmp_path, tag_probabilities=tag, chain_probabilities=chain)
    first, second, _ = read_jsonl(tmp_path)
    assert [entity["confidence"] for entity in first["entities"]] == [0.9, 0.6]
    assert second["entities"][0]["confidence"] == pytest.approx(0.8 * 0.75 * 0.65 * 0.55)
    write(tmp_path, tag_probabilities=tag)  # of a softmax every word stands for itself
    assert read_jsonl(tmp_path)[1]["entities"][0]["confidence"] == pytest.approx(0.8 * 0.7 * 0.6 * 0.5)
    write(tmp_path, tag_probabilities=[[1.0 + 1e-7] * 5] * 2 + [[1.0] * 2])
    assert read_jsonl(tmp_path)[1]["entities"][0]["confidence"] == 1.0


def test_confidence_equals_the_sum_over_all_paths_of_a_chain(tmp_path):
    rng = np.random.default_rng(0)
    tags, length, names = [1, 2, 2, 0], 4, SCHEMA.tags
    emissions, steps = rng.normal(size=(length, 5)), rng.normal(size=(5, 5))
    weights = {}
    for path in np.ndindex(*(5,) * length):
        score = sum(emissions[t, k] for t, k in enumerate(path))
        weights[path] = math.exp(score + sum(steps[a, b] for a, b in itertools.pairwise(path)))
    whole = sum(weights.values())

    def chance(first, last):
        return sum(w for path, w in weights.items() if [*path[first:last]] == tags[first:last]) / whole

    marginals = [chance(i, i + 1) for i in range(length)]
    chain = [marginals[0]] + [chance(i - 1, i + 1) / chance(i - 1, i) for i in range(1, length)]
    write(
        tmp_path,
        words=[["a", "b", "c", "d"]],
        predicted=[[names[i] for i in tags]],
        tag_probabilities=[marginals],
        chain_probabilities=[chain],
    )
    assert read_jsonl(tmp_path)[0]["entities"][0]["confidence"] == pytest.approx(chance(0, 3))


# --- columns ----------------------------------------------------------------------------------------------------------


def test_columns_side_by_side(tmp_path):
    write(tmp_path, gold=[GOLD[0], None, GOLD[2]])
    assert read_conll(tmp_path) == [
        [list(row) for row in zip(WORDS[0], GOLD[0], PREDICTED[0], strict=True)],
        [[word, "-", tag] for word, tag in zip(WORDS[1], PREDICTED[1], strict=True)],
        [list(row) for row in zip(WORDS[2], GOLD[2], PREDICTED[2], strict=True)],
    ]
    write(tmp_path)
    assert read_conll(tmp_path)[2] == [["no", "O"], ["entity", "I-LOC"]]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_every_word_keeps_its_line_and_its_columns(tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("words")
    tags = ["B-LOC"] * len(words)
    write(folder, words=[words, ["end"]], predicted=[tags, ["O"]], gold=[tags, ["O"]])
    first, last = read_conll(folder)
    assert [row[1:] for row in first] == [["B-LOC", "B-LOC"]] * len(words)
    assert all(len(row) == 3 for row in first)
    assert last == [["end", "O", "O"]]
    line = read_jsonl(folder)[0]
    assert line["words"] == words
    assert [entity["text"] for entity in line["entities"]] == words
    assert (folder / "predictions.txt").read_text() == " ".join(tags) + "\nO\n"


def test_a_sentence_without_words_keeps_its_place(tmp_path):
    write(tmp_path, words=[[], ["x"]], predicted=[[], ["O"]], gold=[[], ["O"]])
    assert (tmp_path / "predictions.txt").read_text() == "\nO\n"
    assert read_jsonl(tmp_path)[0] == {"id": 0, "words": [], "tags": [], "entities": []}
    assert (tmp_path / "predictions.conll").read_text() == "\nx O O\n\n"


# --- figures and mistakes ---------------------------------------------------------------------------------------------


def test_the_report_holds_the_figures_of_the_score(tmp_path):
    write(tmp_path, gold=GOLD)
    rows = read_csv(tmp_path / "entity_report.csv")
    assert tuple(rows[0]) == REPORT_COLUMNS
    counts = EntityCounts("BIO")
    for a, b in zip(GOLD, PREDICTED, strict=True):
        counts.add(a, b)
    scores = counts.scores(entity_level=True)
    assert [row["type"] for row in rows] == ["LOC", "ORG", "total"]
    for row, prefix in zip(rows, ["LOC_", "ORG_", ""], strict=True):
        for name in ("precision", "recall", "f1"):
            assert float(row[name]) == pytest.approx(scores[prefix + name], rel=1e-5)
    assert [rows[2][name] for name in ("gold", "predicted", "correct")] == ["3", "3", "1"]


def test_mistakes_are_listed_with_their_surroundings(tmp_path):
    tag = [[0.25] * 5, [1.0] * 5, [1.0] * 2]
    write(tmp_path, gold=GOLD, ids=["a", "b", "c"], tag_probabilities=tag)
    rows = read_csv(tmp_path / "entity_errors.csv")
    assert tuple(rows[0]) == ERROR_COLUMNS
    assert [tuple(row.values()) for row in rows] == [
        (
            *("a", "wrong boundary", "ORG", "Acme Corp", "0", "2", "ORG", "Acme", "0", "1", "0.25"),
            "[Acme Corp] left Rome .",
        ),
        ("a", "wrong type", "LOC", "Rome", "3", "4", "ORG", "Rome", "3", "4", "0.25", "Acme Corp left [Rome] ."),
    ]


def test_missed_and_spurious_leave_the_other_side_empty(tmp_path):
    words = [[str(i) for i in range(30)]]
    gold, predicted = ["O"] * 30, ["O"] * 30
    gold[15], predicted[0] = "B-LOC", "B-ORG"
    write(tmp_path, words=words, gold=[gold], predicted=[predicted])
    spurious, missed = read_csv(tmp_path / "entity_errors.csv")
    assert (spurious["kind"], spurious["gold_type"], spurious["predicted_text"]) == ("spurious", "", "0")
    assert (missed["kind"], missed["gold_text"], missed["predicted_start"]) == ("missed", "15", "")
    assert missed["confidence"] == spurious["confidence"] == ""
    assert missed["context"] == "…5 6 7 8 9 10 11 12 13 14 [15] 16 17 18 19 20 21 22 23 24 25…"
    assert spurious["context"] == "[0] 1 2 3 4 5 6 7 8 9 10…"


def test_only_sentences_with_true_tags_are_judged(tmp_path):
    write(tmp_path, gold=[None, GOLD[1], None])
    assert read_csv(tmp_path / "entity_errors.csv") == []
    assert [row["gold"] for row in read_csv(tmp_path / "entity_report.csv")] == ["1", "1"]


def test_true_tags_that_the_model_does_not_know_are_judged(tmp_path):
    write(tmp_path, words=[["x"]], gold=[["B-GOD"]], predicted=[["O"]])
    assert read_csv(tmp_path / "entity_errors.csv")[0]["gold_type"] == "GOD"


@pytest.mark.parametrize("name", ["entity_report.csv", "entity_errors.csv"])
def test_excel_reads_chinese_and_runs_nothing(tmp_path, name):
    schema = TaggingSchema(("O", "B-地点"), "BIO")
    words = [[f"{start}cmd|' /C calc'!A0", "字"] for start in FORMULA_STARTS]
    write(
        tmp_path,
        schema,
        words,
        [["O", "B-地点"]] * len(words),
        gold=[["B-地点", "O"]] * len(words),
        ids=["=1"] * len(words),
    )
    data = (tmp_path / name).read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert "地点" in data.decode("utf-8-sig")
    for row in read_csv(tmp_path / name):
        assert not any(cell.startswith(FORMULA_STARTS) for cell in row.values())


# --- joint models -----------------------------------------------------------------------------------------------------


def test_sentence_labels_stand_with_their_probability(tmp_path):
    logits = np.array([[1.0, 3.0], [2.0, 0.0]])
    write(
        tmp_path,
        JOINT,
        [["a"], ["b"]],
        [["O"], ["B-ORG"]],
        sentence_labels=["ask", None],
        sentence_logits=logits,
    )
    first, second = read_jsonl(tmp_path)
    assert (first["sentence_label"], first["gold_sentence_label"]) == ("=say", "ask")
    assert (second["sentence_label"], "gold_sentence_label" in second) == ("ask", False)
    assert [first["sentence_probability"], second["sentence_probability"]] == softmax(logits).max(1).tolist()


def test_a_sentence_without_words_has_no_predicted_label(tmp_path):
    labels, logits = ["ask", "ask"], np.array([[1.0, 3.0], [0.0, 0.0]])
    write(tmp_path, JOINT, [["a"], []], [["O"], []], sentence_labels=labels, sentence_logits=logits)
    second = read_jsonl(tmp_path)[1]
    assert (second["sentence_label"], second["sentence_probability"]) == (None, None)
    assert second["gold_sentence_label"] == "ask"


# --- together ---------------------------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_files_and_score_agree(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("agree")
    lengths = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    tags = [[data.draw(st.sampled_from(SCHEMA.tags)) for _ in range(n)] for n in lengths * 2]
    gold, predicted = tags[: len(lengths)], tags[len(lengths) :]
    write(folder, words=[["w"] * n for n in lengths], gold=gold, predicted=predicted)
    total = read_csv(folder / "entity_report.csv")[-1]
    kinds = [row["kind"] for row in read_csv(folder / "entity_errors.csv")]
    pairs = kinds.count("wrong type") + kinds.count("wrong boundary")
    assert pairs + kinds.count("missed") == int(total["gold"]) - int(total["correct"])
    assert pairs + kinds.count("spurious") == int(total["predicted"]) - int(total["correct"])
    for line, own in zip(read_jsonl(folder), predicted, strict=True):
        assert [(e["type"], e["start"], e["end"]) for e in line["entities"]] == entities(own, "BIO")


def test_lengths_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ValueError, match="predicted: 2 entries for 3 sentences"):
        write(tmp_path, predicted=PREDICTED[:2])
    with pytest.raises(ValueError, match="predicted: 4 values for the 5 words of sentence 0"):
        write(tmp_path, predicted=[PREDICTED[0][:4], *PREDICTED[1:]])
    with pytest.raises(ValueError, match="gold: 1 values for the 2 words of sentence 2"):
        write(tmp_path, gold=[*GOLD[:2], ["O"]])
    with pytest.raises(ValueError, match="tag_probabilities: 1 values for the 5 words of sentence 0"):
        write(tmp_path, tag_probabilities=[[1.0]] * 3)
    with pytest.raises(ValueError, match="spans: 1 values for the 2 words of sentence 2"):
        write(tmp_path, spans=[None, None, ("no entity", [(0, 2)])])
    with pytest.raises(ValueError, match=r"sentence logits have shape \(2, 2\), expected \(3, 2\)"):
        write(tmp_path, JOINT, predicted=[["O"] * 5, ["O"] * 5, ["O"] * 2], sentence_logits=np.zeros((2, 2)))
    assert not any(tmp_path.iterdir())
