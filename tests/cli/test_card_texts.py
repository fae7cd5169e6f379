"""What the card says in words: names without the paths of a machine, limits that follow from the figures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import BertConfig, BertForSequenceClassification

from hf_ext.cli.card_texts import describe_limits, describe_origin, describe_weakness, folder_name, hub_name
from hf_ext.cli.classifier_card import describe_classifier
from hf_ext.models.schema import LabelSchema, TaskSchema, TextSchema


@pytest.mark.parametrize(
    ("name", "known"),
    [("bert-base-chinese", True), ("org/base", True), (None, False), ("/home/me/base", False), ("a/b/c", False)],
)
def test_only_names_of_the_hub_are_named_as_base(name, known):
    assert hub_name(name) == (name if known else None)


def test_a_folder_is_no_name_of_the_hub(tmp_path, monkeypatch):
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    assert hub_name("base") is None
    assert describe_origin(str(tmp_path / "base"), "Bert").endswith("fine-tuned from the folder `base`.")


@pytest.mark.parametrize(
    ("folder", "hub_id", "shown"),
    [
        ("outputs/mine", None, "outputs/mine"),
        ("/home/me/mine", None, "mine"),
        ("../mine", None, "mine"),
        ("/home/me/mine", "me/model", "me/model"),
    ],
)
def test_the_model_is_named_as_a_reader_would_load_it(folder, hub_id, shown):
    assert folder_name(Path(folder), hub_id) == shown


def test_few_rows_and_weak_labels_are_told():
    weak = describe_weakness({"rare": 0.1, "fine": 0.9, "so so": 0.4})
    assert weak == ["Weak at `rare`, `so so` (F1 below 0.5)."]
    assert describe_weakness({"fine": 0.9}) == []
    limits = describe_limits({"test": {"samples": 33}}, weak)
    assert "The figures come from 33 rows: they are rough." in limits
    assert weak[0] in limits
    assert not any("rough" in limit for limit in describe_limits({"test": {"samples": 5000}}))


@pytest.mark.parametrize(("stored", "way"), [(None, "pipeline("), ({"thresholds": [0.7]}, "Predictor.")])
def test_a_stock_model_with_thresholds_is_shown_with_what_reads_them(stored, way):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForSequenceClassification(BertConfig(vocab_size=20, decision_rule=stored, **small))
    schema = TaskSchema(LabelSchema(names=("bad", "good")), TextSchema(columns=("text",)))
    data = SimpleNamespace(schema=schema, training_texts=lambda: ["a lovely lamp"])
    assert way in describe_classifier(model, data, "outputs/mine", judged=None, split="test").usage
