"""A model card says what it is given, in YAML and Markdown that survive any name."""

from __future__ import annotations

import math

import pytest
import yaml
from huggingface_hub import ModelCard as HubCard

from hf_ext.report.model_card import MOST_LABELS_NAMED, MOST_ROWS, CardTable, ModelCard


def card(**changes) -> ModelCard:
    given = {
        "name": "mine",
        "task": "text-classification",
        "purpose": "Gives a text one of 2 labels.",
        "labels": ("bad", "good"),
        "metrics": {"test": {"f1_macro": 0.5, "accuracy": 0.75, "samples": 8}},
        "compared": {"test: TF-IDF floor": {"f1_macro": 0.25}},
        "main_metrics": ("f1_macro", "accuracy"),
    }
    return ModelCard(**{**given, **changes})


def read(made: ModelCard) -> HubCard:
    return HubCard(str(made))


def test_the_hub_reads_its_head():
    data = read(card(base_model="org/base", dataset="org/rows", language="zh", widgets=["好"])).data
    assert (data.pipeline_tag, data.library_name, data.language) == ("text-classification", "transformers", "zh")
    assert (data.base_model, data.datasets, data.widget) == ("org/base", ["org/rows"], [{"text": "好"}])
    found = {(r.dataset_split, r.metric_type, r.metric_name, r.metric_value) for r in data.eval_results}
    assert found == {("test", "f1", "f1 macro", 0.5), ("test", "accuracy", "accuracy", 0.75)}


def test_figures_of_others_stand_in_the_table_and_not_in_the_head():
    assert "| test: TF-IDF floor | 0.2500 |  |" in str(card())
    assert len(read(card()).data.eval_results) == 2


@pytest.mark.parametrize("name", ["a: b", "- x", "{y}", "#1", "'q'", "no", "1.0", "名字"])
def test_any_name_and_text_survives_the_yaml(name):
    head = str(card(name=name, widgets=[name])).split("---\n")[1]
    parsed = yaml.safe_load(head)
    assert parsed["model-index"][0]["name"] == name
    assert parsed["widget"] == [{"text": name}]


def test_what_is_not_finite_is_left_out():
    made = card(metrics={"test": {"f1_macro": math.nan, "accuracy": 1.0}})
    assert [result.metric_name for result in read(made).data.eval_results] == ["accuracy"]
    assert "| test | - | 1.0000 |" in str(made)


def test_without_figures_there_is_neither_table_nor_index():
    made = card(metrics={}, compared={})
    assert "How good it is" not in str(made)
    assert read(made).data.eval_results is None


def test_cells_cannot_break_a_table_nor_mark_text_up():
    table = str(CardTable(("label", "rows"), [["a|b\nc", 3], ["<script>*x*", 1]]))
    assert table.splitlines()[2:] == [r"| a\|b c | 3 |", r"| \<script\>\*x\* | 1 |"]


def test_long_tables_and_lists_of_labels_are_cut_and_say_so():
    table = str(CardTable(("label",), [[f"l{i}"] for i in range(MOST_ROWS + 7)]))
    assert table.endswith("… and 7 more.")
    assert len(table.splitlines()) == 2 + MOST_ROWS + 2
    text = str(card(labels=[f"l{i}" for i in range(MOST_LABELS_NAMED + 3)]))
    assert "and 3 more (`config.json`)" in text


def test_a_label_with_a_backtick_stays_code():
    assert "`` a`b ``, `c`" in str(card(labels=("a`b", "c")))


def test_sections_pictures_and_code_stand_where_they_belong():
    text = str(
        card(
            tables={"By label": CardTable(("label",), [["bad"]])},
            pictures={"calibration.png": "Calibration"},
            settings={"seed": "42"},
            limits=["Rough."],
            usage="print(1)",
            command="ls",
        )
    )
    order = ["# mine", "## Labels", "## How good it is", "### By label", "![Calibration](calibration.png)"]
    order += ["```python\nprint(1)\n```", "```bash\nls\n```", "- Rough.", "| seed | 42 |"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
