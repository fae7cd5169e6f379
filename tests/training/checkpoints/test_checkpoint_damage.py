"""Damaged checkpoints: the newest whole one is taken, or one line says why there is none; never a different run."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from checkpoint_runs import build_trainer, checkpoint_names, same_weights, train, truncate

from hf_ext.errors import UserError
from hf_ext.training.checkpoints.manifest import MANIFEST, read_manifest, verify, write_manifest

FILES = [
    "model.safetensors",
    "ema.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "training_args.json",
    "parameter_groups.json",
    "config.json",
    MANIFEST,
]


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(bytes(content))


def empty_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def mixed_step(folder: Path, name: str) -> None:
    shutil.copy(folder.with_name("checkpoint-2") / name, folder / name)


def stale_higher_number(folder: Path) -> None:
    shutil.copytree(folder.with_name("earlier") / "checkpoint-2", folder.with_name("checkpoint-500"))


DAMAGE = {
    **{f"{name} missing": lambda folder, name=name: (folder / name).unlink() for name in FILES},
    **{f"{name} half": lambda folder, name=name: truncate(folder / name) for name in FILES},
    **{f"{name} empty": lambda folder, name=name: (folder / name).write_bytes(b"") for name in FILES},
    **{f"a bit of {name}": lambda folder, name=name: flip_bit(folder / name) for name in FILES},
    "another step's optimizer": lambda folder: mixed_step(folder, "optimizer.pt"),
    "another step's weights": lambda folder: mixed_step(folder, "model.safetensors"),
    "another step's manifest": lambda folder: mixed_step(folder, MANIFEST),
    "an empty folder": empty_folder,
    "a file in its place": lambda folder: (shutil.rmtree(folder), folder.write_text("")),
    "an empty folder after it": lambda folder: folder.with_name("checkpoint-7").mkdir(),
    "a stale higher number": stale_higher_number,
}
HARMLESS_TO_THE_LAST = ("an empty folder after it", "a stale higher number")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run that ended at step 4, with the whole run, and an earlier run of other seeds."""
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "whole", "ema", save_total_limit=None)
    shutil.copytree(folder / "whole", folder / "stopped")
    for name in ("checkpoint-6", "checkpoint-8"):
        shutil.rmtree(folder / "stopped" / name)
    earlier = train(folder / "earlier", "ema", max_steps=2, seed=3)
    assert earlier.state.global_step == 2
    return folder


@pytest.fixture
def stopped(runs, tmp_path):
    """A copy of the stopped run, with an earlier run in a folder of its own."""
    shutil.copytree(runs / "stopped", tmp_path / "stopped")
    shutil.copytree(runs / "earlier", tmp_path / "stopped" / "earlier")
    return tmp_path / "stopped"


def begin(folder, asked="last", **changes):
    return build_trainer(folder, "ema", save_total_limit=None, **changes).checkpoints.begin(asked)


def test_all_files_of_a_checkpoint_are_in_its_manifest(stopped):
    folder = stopped / "checkpoint-4"
    assert set(read_manifest(folder).files) == {path.name for path in folder.iterdir()} - {MANIFEST}
    assert {*FILES} <= {path.name for path in folder.iterdir()}


@pytest.mark.promise("damaged checkpoints")
@pytest.mark.parametrize("kind", DAMAGE)
def test_the_newest_whole_checkpoint_is_taken_and_the_damaged_one_set_aside(kind, stopped, caplog):
    if kind == "a stale higher number":
        make_older(stopped / "earlier" / "checkpoint-2")
    DAMAGE[kind](stopped / "checkpoint-4")
    chosen = begin(stopped)
    expected = "checkpoint-4" if kind in HARMLESS_TO_THE_LAST else "checkpoint-2"
    assert Path(chosen).name == expected
    assert checkpoint_names(stopped)[-1] == expected or kind == "a file in its place"
    aside = [path.name for path in stopped.glob("_broken-*")]
    lines = [record.getMessage() for record in caplog.records if "set aside" in record.getMessage()]
    assert len(lines) == len(aside) == (0 if kind == "a file in its place" else 1)
    assert all("\n" not in line for line in lines)


def make_older(checkpoint: Path) -> None:
    """Commit a checkpoint anew, as if it had been in 1970."""
    manifest = read_manifest(checkpoint)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: 1.0)
        write_manifest(checkpoint, step=2, run=manifest.run, fingerprint=manifest.fingerprint)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["optimizer.pt missing", "a bit of model.safetensors"])
def test_the_run_that_falls_back_ends_as_the_whole_one(kind, runs, stopped):
    DAMAGE[kind](stopped / "checkpoint-4")
    train(stopped, "ema", save_total_limit=None, resume=True)
    assert same_weights(stopped, runs / "whole")
    assert checkpoint_names(stopped) == checkpoint_names(runs / "whole")


@pytest.mark.promise("damaged checkpoints named")
@pytest.mark.parametrize("kind", [kind for kind in DAMAGE if kind not in HARMLESS_TO_THE_LAST])
def test_a_damaged_checkpoint_that_is_named_is_refused_in_one_line(kind, stopped):
    DAMAGE[kind](stopped / "checkpoint-4")
    if kind.startswith(MANIFEST) and "missing" in kind:
        pytest.skip("a checkpoint of plain Trainer has none either")
    with pytest.raises(UserError) as caught:
        begin(stopped, stopped / "checkpoint-4")
    assert "\n" not in str(caught.value)
    assert "checkpoint-4" in str(caught.value)
    assert checkpoint_names(stopped)[0] == "checkpoint-2"


@pytest.mark.parametrize("how", ["missing", "half", "empty"])
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"])
def test_without_a_manifest_what_a_run_needs_must_still_be_there(name, how, stopped):
    (stopped / "checkpoint-4" / MANIFEST).unlink()
    DAMAGE[f"{name} {how}"](stopped / "checkpoint-4")
    with pytest.raises(UserError, match=name):
        begin(stopped, stopped / "checkpoint-4")


def test_a_checkpoint_of_plain_trainer_is_resumed_by_its_path_with_a_warning(stopped, caplog):
    (stopped / "checkpoint-4" / MANIFEST).unlink()
    assert begin(stopped, str(stopped / "checkpoint-4")) == str(stopped / "checkpoint-4")
    assert f"has no {MANIFEST}" in caplog.text


def test_where_nothing_is_whole_one_line_says_what_is_wrong_and_nothing_is_renamed(stopped):
    for name in ("checkpoint-2", "checkpoint-4"):
        (stopped / name / "optimizer.pt").unlink()
    with pytest.raises(UserError, match=r"checkpoint-4: optimizer.pt is missing.*--resume_or_start"):
        begin(stopped)
    assert checkpoint_names(stopped) == ["checkpoint-2", "checkpoint-4"]


def test_where_nothing_is_whole_the_run_may_begin_anew(stopped, caplog):
    for name in ("checkpoint-2", "checkpoint-4"):
        empty_folder(stopped / name)
    assert begin(stopped, resume_or_start=True) is None
    assert checkpoint_names(stopped) == []
    assert len(list(stopped.glob("_broken-checkpoint-*"))) == 2
    assert "begins anew" in caplog.text


@pytest.mark.parametrize("asked", [None, "checkpoint-2"])
def test_checkpoints_of_steps_that_are_made_anew_are_set_aside(asked, stopped):
    begin(stopped, asked and str(stopped / asked))
    assert checkpoint_names(stopped) == ([asked] if asked else [])
    assert (stopped / "_earlier-checkpoint-4-1").is_dir()


def test_a_run_that_saves_nothing_leaves_the_folder_alone(stopped):
    begin(stopped, None, save_strategy="no")
    assert checkpoint_names(stopped) == ["checkpoint-2", "checkpoint-4"]


def test_a_checkpoint_that_was_being_replaced_is_put_back(stopped):
    whole = stopped / "checkpoint-4"
    shutil.copytree(whole, stopped / "_replaced-checkpoint-4-1")
    (whole / MANIFEST).unlink()
    assert begin(stopped) == str(whole)
    assert verify(whole).step == 4
    assert not list(stopped.glob("_replaced-*"))


@pytest.mark.slow
def test_a_folder_that_was_moved_still_knows_its_best_checkpoint(tmp_path):
    train(tmp_path / "here", "stopping")
    (tmp_path / "here").rename(tmp_path / "there")
    shutil.copytree(tmp_path / "there", tmp_path / "whole")
    resumed = train(tmp_path / "there", "stopping", resume="last")
    assert Path(resumed.state.best_model_checkpoint).parent == tmp_path / "there"
    assert same_weights(tmp_path / "there", tmp_path / "whole")


@pytest.mark.parametrize(("load_best", "expected"), [(True, "checkpoint-2"), (False, "checkpoint-8")])
def test_a_checkpoint_whose_best_one_is_damaged_is_gone_on_from_only_where_that_is_not_needed(
    load_best, expected, runs, tmp_path
):
    shutil.copytree(runs / "whole", tmp_path / "whole")
    for number in (6, 8):
        name_best(tmp_path / "whole" / f"checkpoint-{number}", "elsewhere/checkpoint-4")
    flip_bit(tmp_path / "whole" / "checkpoint-4" / "model.safetensors")
    settings = {"eval_strategy": "steps", "eval_steps": 2} if load_best else {}
    assert Path(begin(tmp_path / "whole", load_best_model_at_end=load_best, **settings)).name == expected


def name_best(checkpoint: Path, best: str) -> None:
    """Let a checkpoint say which one is best, and commit it anew."""
    manifest, path = read_manifest(checkpoint), checkpoint / "trainer_state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "best_model_checkpoint": best}))
    write_manifest(checkpoint, step=manifest.step, run=manifest.run, fingerprint=manifest.fingerprint)
