"""The models folder travels: a saved model brings its code along and needs no hf_ext where it arrives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tagger_factories
import torch
from huggingface_hub.utils import filter_repo_objects
from model_factories import COLUMNS, batch, build, encoder_config, recurrent_config, task

import hf_ext.models
from hf_ext.models.travelling import AUTO_CLASSES
from hf_ext.training import ExtTrainer, ExtTrainingArguments, hub

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
def test_what_is_pushed_loads_without_the_package_and_gives_equal_logits(tmp_path, monkeypatch):
    cases = {
        "on_bert": (encoder_config("bert"), {"pooler": "attention", "fusion": "gated"}),
        "from_scratch": (recurrent_config(rnn="gru"), {"pooler": "textcnn", "ngram_sizes": "1,2", "ngram_buckets": 9}),
    }
    for name, (config, flags) in cases.items():
        model = build(config, task(columns=COLUMNS), **flags)
        if model.wide is not None:  # as after some training; a fresh table says nothing
            torch.nn.init.normal_(model.wide.table.weight)
        push_into(tmp_path / name, model, monkeypatch)
        save_answers(model, batch(columns=COLUMNS), tmp_path / name)
    arrive(AUTO_CLASSES["ExtForSequenceClassification"], tmp_path, cases)


@pytest.mark.slow
@pytest.mark.parametrize("joint", [False, True])
def test_a_tagger_that_is_pushed_loads_without_the_package_and_gives_equal_tags(joint, tmp_path, monkeypatch):
    cases = {
        "on_bert": (encoder_config("bert"), {"decoder": "crf", "head_rnn": "lstm"}),
        "from_scratch": (recurrent_config(rnn="gru"), {"decoder": "crf", "character_encoder": "cnn", "pooler": "max"}),
        "softmax": (recurrent_config(), {"decoder": "softmax"}),
    }
    for name, (config, flags) in cases.items():
        model = tagger_factories.build(config, joint=joint, **flags)
        push_into(tmp_path / name, model, monkeypatch)
        save_answers(
            model, tagger_factories.batch(joint=joint, characters="character_encoder" in flags), tmp_path / name
        )
    arrive(AUTO_CLASSES["ExtForJointClassification" if joint else "ExtForTokenClassification"], tmp_path, cases)


def test_every_model_of_ours_has_its_auto_class():
    made = {name for name in hf_ext.models.__all__ if name.startswith("ExtFor")}
    assert made == set(AUTO_CLASSES)


def test_only_a_push_saves_code_beside_the_model(tmp_path, monkeypatch):
    model = build(recurrent_config(), task())
    push_into(tmp_path / "pushed", model, monkeypatch)
    assert "auto_map" in (tmp_path / "pushed" / "config.json").read_text(encoding="utf-8")
    assert (tmp_path / "pushed" / "sequence_classification.py").is_file()
    model.save_pretrained(tmp_path / "saved")
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"config.json", "model.safetensors"}
    assert "auto_map" not in (tmp_path / "saved" / "config.json").read_text(encoding="utf-8")


def push_into(folder, model, monkeypatch):
    """Push a model as a run does, into a folder in place of the Hub: of the output folder what would leave it."""

    def upload(self, *, folder_path, allow_patterns, **said):
        present = [path.relative_to(folder_path).as_posix() for path in folder_path.rglob("*")]
        for name in filter_repo_objects(present, allow_patterns=allow_patterns):
            shutil.copy(folder_path / name, folder)

    monkeypatch.setattr(hub.HfApi, "upload_folder", upload)
    folder.mkdir()
    output = folder.with_name(f"{folder.name}_output")
    trainer = ExtTrainer(model, ExtTrainingArguments(output_dir=str(output), use_cpu=True, disable_tqdm=True))
    trainer.hub_model_id = "me/model"
    output.mkdir(exist_ok=True)
    (output / "README.md").write_text("a card", encoding="utf-8")
    hub.push(trainer)
    model.eval()


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
