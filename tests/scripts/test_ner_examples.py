"""Every YAML file in examples/ for run_ner.py runs, on a few sentences of the form that its own data has."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import yaml
from scripts.ner_files import NER_EXAMPLES, chinese, english, write_columns, write_folder
from scripts.support import ROOT, read_json, run_main

from hf_ext.cli import tagger_building
from hf_ext.models.tag_schemes import convert_tags

ROWS = {"train_file": (40, 0), "validation_file": (10, 200), "test_file": (10, 300)}
SCHEMES = {"resume_bilstm_crf": "BMES", "resume_encoder_crf": "BMES", "wikigold": "IOB1"}


def sentences_for(name: str, count: int, offset: int):
    """Sentences in the language and the scheme of an example's data."""
    made = chinese(count, offset=offset) if name.startswith("resume") else english(count, offset=offset)
    scheme = SCHEMES.get(name, "BIO")
    return [(words, convert_tags(tags, "BIO", scheme), label) for words, tags, label in made]


def write(path: Path, name: str, count: int, offset: int) -> str:
    sentences = sentences_for(name, count, offset)
    if name == "snips_joint":
        return write_folder(path, sentences)
    return write_columns(path, sentences, between="\t" if name == "wnut17" else " ")


def flags_for(path: Path, folder: Path, tiny_bert: str) -> list[str]:
    """Write the files that an example names and give the flags that point it there."""
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    flags = []
    for flag, (count, offset) in ROWS.items():
        if flag in settings:
            target = folder / f"{flag}{Path(settings[flag]).suffix}"
            flags += [f"--{flag}", write(target, path.stem, count, offset)]
    if "model_name_or_path" in settings:
        flags += ["--model_name_or_path", tiny_bert]
    if "embedding_file" in settings:
        vectors = folder / "vectors.vec.gz"
        vectors.write_bytes(gzip.compress(f"1 8\n北 {' '.join(['0.5'] * 8)}\n".encode()))
        flags += ["--embedding_file", str(vectors)]
    if "rnn_hidden_size" in settings:
        flags += ["--rnn_hidden_size", "8"]
    return flags


@pytest.mark.slow
@pytest.mark.parametrize("name", NER_EXAMPLES)
def test_the_example_runs(name, tmp_path, tiny_bert, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = ROOT / "examples" / f"{name}.yaml"
    if name == "ner_demo":
        monkeypatch.setattr(tagger_building, "prepare_tagging_demo", lambda folder: tiny_demo(tmp_path))
    run_main(
        *(path, *flags_for(path, tmp_path, tiny_bert), "--num_train_epochs", "1", "--use_cpu"),
        *("--disable_tqdm", "true", "--cache_dir", tmp_path / "c", "--output_dir", tmp_path / "out"),
        script="run_ner.py",
    )
    results = read_json(tmp_path / "out" / "all_results.json")
    assert {"eval_f1", "predict_f1"} <= set(results)
    assert ("predict_both_right" in results) == (name == "snips_joint")
    lines = (tmp_path / "out" / "predictions.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == results["predict_samples"]


def tiny_demo(folder: Path) -> dict[str, Path]:
    files = {}
    for offset, name in enumerate(("train", "validation", "test")):
        files[name] = folder / f"{name}.txt"
        write_columns(files[name], chinese(30, offset=100 * offset))
    return files
