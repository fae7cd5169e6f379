"""Code is saved beside a model of ours while it is asked for, and only then; a stock model has none."""

from __future__ import annotations

import json

import pytest
from model_factories import build, encoder_config, recurrent_config, task
from transformers import BertForSequenceClassification

from hf_ext.models.travelling import AUTO_CLASSES, code_beside


def auto_map(folder):
    return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("auto_map")


def code(folder):
    return {path.name for path in folder.glob("*.py")}


def test_the_config_names_the_classes_and_the_files_are_there(tmp_path):
    model = build(recurrent_config(), task())
    with code_beside(model):
        model.save_pretrained(tmp_path)
    assert auto_map(tmp_path) == {
        "AutoConfig": "configuration.ExtConfig",
        AUTO_CLASSES["ExtForSequenceClassification"]: "sequence_classification.ExtForSequenceClassification",
    }
    named = {reference.partition(".")[0] + ".py" for reference in auto_map(tmp_path).values()}
    assert named <= code(tmp_path)


def test_a_failure_inside_leaves_no_trace_on_the_classes(tmp_path):
    model = build(recurrent_config(), task())
    with pytest.raises(OSError, match="disk"), code_beside(model):
        raise OSError("disk")
    assert type(model)._auto_class is None
    assert type(model.config)._auto_class is None
    model.save_pretrained(tmp_path)
    assert not code(tmp_path)


def test_a_map_of_the_folder_it_came_from_is_replaced(tmp_path):
    model = build(recurrent_config(), task())
    model.config.auto_map = {"AutoModel": "somebody/model--other.Other"}
    with code_beside(model):
        model.save_pretrained(tmp_path / "pushed")
    model.save_pretrained(tmp_path / "later")
    assert "AutoModel" not in auto_map(tmp_path / "pushed")
    assert auto_map(tmp_path / "later") is None


def test_a_model_of_transformers_is_saved_as_ever(tmp_path):
    model = BertForSequenceClassification(encoder_config("bert"))
    with code_beside(model):
        model.save_pretrained(tmp_path)
    assert not code(tmp_path)
    assert auto_map(tmp_path) is None
