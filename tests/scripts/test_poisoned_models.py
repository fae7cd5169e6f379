"""A model folder with a pickle that would run a command: each script answers in one line, and nothing is run."""

from __future__ import annotations

import importlib

import pytest
from poison import make_mark, write_poison
from reviews import review_rows
from scripts.ner_files import english, write_columns
from scripts.pretraining_files import english as documents
from scripts.pretraining_files import save_tiny_encoder, write_documents
from scripts.support import run_main, write_csv

from hf_ext.cli.running import run_script

QUICK = ("--do_train", "--use_cpu", "--max_steps", "1", "--save_strategy", "no")
ROWS = {
    "run_classification": lambda folder: write_csv(folder / "rows.csv", review_rows(20)),
    "run_ner": lambda folder: write_columns(folder / "rows.txt", english(20)),
    "run_continue_pretrain": lambda folder: write_documents(folder / "rows.txt", documents(20)),
}


@pytest.fixture
def mark(tmp_path):
    return make_mark(tmp_path)


def save_poisoned(folder, mark, *, plain):
    """Save an encoder whose weights are a poison, with more of it where other programs leave pickles."""
    folder.mkdir()
    save_tiny_encoder(folder)
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "tokenizer.pkl", "label_encoder.pkl"):
        write_poison(folder / name, mark, plain=plain)
    return folder


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("script", ROWS)
def test_in_the_weights(script, plain, mark, tmp_path, capsys):
    model = save_poisoned(tmp_path / "model", mark, plain=plain)
    named = ("--model_name_or_path", model, "--train_file", ROWS[script](tmp_path))
    where = ("--output_dir", tmp_path / "out", "--cache_dir", tmp_path / "cache")
    with pytest.raises(SystemExit) as stop:
        run_script(importlib.import_module(script).main, [str(word) for word in (*named, *where, *QUICK)])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"hf_ext: error: the weights in '{model}' cannot be loaded")
    assert stop.value.code == 2
    assert not mark.exists()
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_tokenizer_is_learned_beside_it(mark, tmp_path):
    """It reads no weights, and no file that is not the tokenizer's."""
    model = save_poisoned(tmp_path / "model", mark, plain=True)
    corpus = write_documents(tmp_path / "rows.txt", documents(40))
    flags = ("--from_tokenizer", model, "--vocab_size", "120", "--validation_split_percentage", "10")
    run_main("--train_file", corpus, "--output_dir", tmp_path / "out", *flags, script="train_tokenizer.py")
    assert (tmp_path / "out" / "tokenizer.json").is_file()
    assert not mark.exists()
