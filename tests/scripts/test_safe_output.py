"""What the four scripts leave: no pickle, no token, no file named by a label, no cell that a spreadsheet would run."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from poison import holds_pickle
from reviews import review_rows
from scripts.ner_files import english, write_columns
from scripts.pretraining_files import english as documents
from scripts.pretraining_files import save_tiny_encoder, write_documents
from scripts.support import run_main, write_csv
from transformers.trainer_pt_utils import safe_globals

from hf_ext.evaluation.reports import FORMULA_STARTS, PLAIN_NUMBER

SECRET = "hf_secretSECRETsecret"
LABELS = ("../../x", "a/b", "=cmd|' /C calc'!A0", "-1", "/etc/hosts", "..\\..\\y")
TORCHS = {"optimizer.pt", "scheduler.pt", "rng_state.pth"}
QUICK = ("--use_cpu", "--disable_tqdm", "true", "--max_steps", "2", "--save_steps", "1")
ALL = ("--do_train", "--do_eval", "--do_predict")


def classification(folder: Path) -> tuple[str, ...]:
    rows = [row | {"label": LABELS[i % len(LABELS)]} for i, row in enumerate(review_rows(60))]
    path = write_csv(folder / "rows.csv", rows)
    files = [word for split in ("train", "validation", "test") for word in (f"--{split}_file", path)]
    sizes = ("--model_type", "textcnn", "--embedding_size", "8", "--filter_num", "4")
    return (*files, "--label_column_name", "label", "--keep_columns", "all", *sizes, *ALL, *QUICK)


def ner(folder: Path) -> tuple[str, ...]:
    kinds = dict(zip(("PER", "LOC", "ORG"), LABELS, strict=False))
    made = [
        (words, [tag if tag == "O" else f"{tag[:2]}{kinds[tag[2:]]}" for tag in tags], label)
        for words, tags, label in english(30)
    ]
    path = write_columns(folder / "rows.txt", made)
    files = [word for split in ("train", "validation", "test") for word in (f"--{split}_file", path)]
    return (*files, "--embedding_size", "8", "--rnn_hidden_size", "4", *ALL, *QUICK)


def pretraining(folder: Path) -> tuple[str, ...]:
    (folder / "encoder").mkdir()
    encoder = save_tiny_encoder(folder / "encoder")
    corpus = write_documents(folder / "corpus.txt", documents(40))
    flags = ("--validation_split_percentage", "20", "--max_seq_length", "48")
    return ("--model_name_or_path", encoder, "--train_file", corpus, *flags, "--do_train", "--do_eval", *QUICK)


def tokenizer(folder: Path) -> tuple[str, ...]:
    corpus = write_documents(folder / "corpus.txt", documents(40))
    return ("--train_file", corpus, "--vocab_size", "120", "--validation_split_percentage", "10")


COMMANDS = {
    "run_classification.py": classification,
    "run_ner.py": ner,
    "run_continue_pretrain.py": pretraining,
    "train_tokenizer.py": tokenizer,
}


@pytest.fixture(scope="module", params=COMMANDS)
def run(request, tmp_path_factory):
    """Run a script with a token in the environment; give its folder, what lay there before, and all that it said."""
    folder = tmp_path_factory.mktemp("safe") / "deep" / "deeper"
    folder.mkdir(parents=True)
    argv = COMMANDS[request.param](folder)
    before = files_below(folder.parents[1])
    said, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(said), root.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", SECRET)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            with contextlib.redirect_stdout(said):
                where = ("--output_dir", folder / "out", "--cache_dir", folder / "cache")
                run_main(
                    *argv, *where, *(["--log_level", "debug"] if "--do_train" in argv else []), script=request.param
                )
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
    return folder, before, said.getvalue()


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_no_file_is_a_pickle_but_torch_s_own_which_are_read_as_weights(run):
    folder, _, _ = run
    for path in files_below(folder / "out"):
        if path.name in TORCHS and path.parent.name.startswith("checkpoint-"):
            with safe_globals():  # numpy's random numbers
                torch.load(path, weights_only=True)
        else:
            assert not holds_pickle(path.read_bytes()), path


def test_no_file_and_no_line_of_the_log_has_the_token(run):
    folder, _, said = run
    assert len(said) > 200  # it did speak
    assert SECRET not in said
    assert not [path for path in files_below(folder.parents[1]) if SECRET.encode() in path.read_bytes()]


def test_labels_are_no_paths(run):
    folder, before, _ = run
    made = files_below(folder.parents[1]) - before
    assert made
    for path in made:
        assert path.is_relative_to(folder / "out") or path.is_relative_to(folder / "cache")
        assert not {"x", "b", "y", "hosts"} & set(path.relative_to(folder).parts)
        assert "calc" not in str(path)


def test_no_cell_starts_a_formula(run):
    folder, _, _ = run
    tables = list((folder / "out").glob("*.csv"))
    assert tables or not (folder / "rows.csv").exists()
    for path in tables:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        assert cells
        assert not [cell for cell in cells if cell.startswith(FORMULA_STARTS) and not PLAIN_NUMBER.fullmatch(cell)]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_found(protocol, tmp_path):
    data = pickle.dumps({"a": [1, "b"]}, protocol=protocol)
    assert holds_pickle(data)
    assert holds_pickle(gzip.compress(data))
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pt")
    assert holds_pickle((tmp_path / "a.pt").read_bytes())
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert holds_pickle((tmp_path / "a.npy").read_bytes())


@pytest.mark.parametrize("data", [b"", b"{}", b"id,label\r\n1,x\r\n", b'{"a": 1}', b"\x89PNG", b"N", b"# A card\n"])
def test_other_files_are_none(data):
    assert not holds_pickle(data)
