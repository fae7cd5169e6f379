"""The final model: whole, or no program takes its folder for a model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from training_models import tiny_bert
from transformers import AutoModelForSequenceClassification

from hf_ext.errors import UserError
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.loading import load_sequence_classifier
from hf_ext.models.pretrained import load_config
from hf_ext.models.schema import LabelSchema, TaskSchema
from hf_ext.training.checkpoints import model_folder
from hf_ext.training.checkpoints.model_folder import STAGE, swapped_in


class Killed(BaseException):
    """The end of the process, as far as the folder can tell."""


@pytest.fixture
def earlier(tmp_path):
    """A folder with an earlier model in two files, and something of the user's."""
    tiny_bert().save_pretrained(tmp_path, max_shard_size="5KB")
    (tmp_path / "all_results.json").write_text("{}")
    assert (tmp_path / "model.safetensors.index.json").exists()
    return tmp_path


def save(folder):
    with swapped_in(folder) as place:
        tiny_bert(num_labels=2).save_pretrained(place)


def test_the_new_model_takes_the_place_of_all_files_of_the_earlier_one(earlier):
    save(earlier)
    assert sorted(path.name for path in earlier.iterdir()) == ["all_results.json", "config.json", "model.safetensors"]
    assert AutoModelForSequenceClassification.from_pretrained(earlier).num_labels == 2


@pytest.mark.parametrize("moved", [0, 1])
def test_killed_while_it_moves_there_is_no_configuration_and_nothing_loads(moved, earlier, monkeypatch):
    replace, calls = os.replace, []

    def replace_some(source, target):
        if Path(target).parent == earlier:
            if len(calls) == moved:
                raise Killed
            calls.append(target)
        replace(source, target)

    monkeypatch.setattr(model_folder.os, "replace", replace_some)
    with pytest.raises(Killed):
        save(earlier)
    assert not (earlier / "config.json").exists()
    with pytest.raises(ValueError, match=r"has no config\.json"):
        load_config(ModelArguments(model_name_or_path=str(earlier)))
    monkeypatch.setattr(model_folder.os, "replace", replace)
    save(earlier)  # and the next run mends it
    assert AutoModelForSequenceClassification.from_pretrained(earlier).num_labels == 2


def test_an_error_while_it_is_written_leaves_the_earlier_model(earlier):
    with pytest.raises(UserError, match="No space left"), swapped_in(earlier):
        raise OSError(28, "No space left on device")
    assert AutoModelForSequenceClassification.from_pretrained(earlier).num_labels == 3
    assert not (earlier / STAGE).exists()


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_half_a_weight_file_is_refused_in_one_line_by_a_later_run(keep, tmp_path):
    tiny_bert().save_pretrained(tmp_path)
    os.truncate(tmp_path / "model.safetensors", keep)
    schema = TaskSchema(labels=LabelSchema(names=("LABEL_0", "LABEL_1", "LABEL_2")))
    with pytest.raises(ValueError, match="cannot be loaded") as caught:
        load_sequence_classifier(ModelArguments(model_name_or_path=str(tmp_path)), schema)
    assert "\n" not in str(caught.value)
