"""The models folder travels: a saved model brings its code along and needs no hf_ext where it arrives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tagger_factories
import torch
from model_factories import COLUMNS, batch, build, encoder_config, recurrent_config, task

import hf_ext.models
from hf_ext.models.configuration import ExtConfig
from hf_ext.models.joint_classification import ExtForJointClassification
from hf_ext.models.sequence_classification import ExtForSequenceClassification
from hf_ext.models.token_classification import ExtForTokenClassification

ARRIVAL = """
import sys
import torch

torch.set_num_threads(1)  # as here: sums are rounded in another order by more

class NoHfExt:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "hf_ext":
            raise ImportError("hf_ext is not installed here")

sys.meta_path.insert(0, NoHfExt())
import transformers

auto = getattr(transformers, sys.argv[1])
for folder in sys.argv[2:]:
    model = auto.from_pretrained(folder, trust_remote_code=True)
    inputs = torch.load(folder + "/inputs.pt", weights_only=True)
    expected = inputs.pop("expected")
    found = model(**inputs)
    different = [name for name, tensor in expected.items() if not torch.equal(found[name], tensor)]
    assert not different, (folder, different)
    assert not any(name.split(".")[0] == "hf_ext" for name in sys.modules)
print("arrived")
"""


@pytest.mark.slow
def test_saved_folder_loads_without_the_package_and_gives_equal_logits(tmp_path, monkeypatch):
    monkeypatch.setattr(ExtConfig, "_auto_class", None)
    monkeypatch.setattr(ExtForSequenceClassification, "_auto_class", None)
    ExtConfig.register_for_auto_class()
    ExtForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
    cases = {
        "on_bert": (encoder_config("bert"), {"pooler": "attention", "fusion": "gated"}),
        "from_scratch": (recurrent_config(rnn="gru"), {"pooler": "textcnn", "ngram_sizes": "1,2", "ngram_buckets": 9}),
    }
    for name, (config, flags) in cases.items():
        model = build(config, task(columns=COLUMNS), **flags)
        if model.wide is not None:  # as after some training; a fresh table says nothing
            torch.nn.init.normal_(model.wide.table.weight)
        inputs = batch(columns=COLUMNS)
        model.save_pretrained(tmp_path / name)
        save_answers(model, inputs, tmp_path / name)
    arrive("AutoModelForSequenceClassification", tmp_path, cases)


@pytest.mark.slow
@pytest.mark.parametrize("joint", [False, True])
def test_saved_tagger_loads_without_the_package_and_gives_equal_tags(joint, tmp_path, monkeypatch):
    made = ExtForJointClassification if joint else ExtForTokenClassification
    for known in (ExtConfig, ExtForTokenClassification, ExtForJointClassification):
        monkeypatch.setattr(known, "_auto_class", None)
    ExtConfig.register_for_auto_class()
    # of two classes under one name the one that this process knows wins, so a joint model travels under its own
    auto = "AutoModel" if joint else "AutoModelForTokenClassification"
    made.register_for_auto_class(auto)
    cases = {
        "on_bert": (encoder_config("bert"), {"decoder": "crf", "head_rnn": "lstm"}),
        "from_scratch": (recurrent_config(rnn="gru"), {"decoder": "crf", "character_encoder": "cnn", "pooler": "max"}),
        "softmax": (recurrent_config(), {"decoder": "softmax"}),
    }
    for name, (config, flags) in cases.items():
        model = tagger_factories.build(config, joint=joint, **flags)
        model.save_pretrained(tmp_path / name)
        save_answers(
            model, tagger_factories.batch(joint=joint, characters="character_encoder" in flags), tmp_path / name
        )
    arrive(auto, tmp_path, cases)


def save_answers(model, inputs, folder):
    output = model(**inputs)
    expected = {name: value.detach() for name, value in output.items()}
    torch.save({**inputs, "expected": expected}, folder / "inputs.pt")


def arrive(auto, tmp_path, cases):
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    arrived = subprocess.run(
        [sys.executable, "-c", ARRIVAL, auto, *(str(tmp_path / name) for name in cases)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert arrived.returncode == 0, arrived.stderr
    assert arrived.stdout.strip() == "arrived"


def test_files_of_the_folder_import_one_another_only_relatively():
    files = sorted(Path(hf_ext.models.__file__).parent.glob("*.py"))
    assert len(files) > 8
    for file in files:
        source = file.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import)\s+hf_ext", source, re.MULTILINE), file.name
        # transformers finds the files to copy by this form alone, and only on one level
        relative = re.findall(r"^\s*from\s+(\.\S*)\s+import", source, re.MULTILINE)
        assert all(re.fullmatch(r"\.[a-z_]+", name) for name in relative), file.name
