"""The folder of folds: what is said of the spread, which rows a fold has held out, and what must not be touched."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hf_ext.cli.cost_report import RunClock
from hf_ext.cli.folds.report import EVAL, PREDICT, FoldReport, fold_of_rows, spread
from hf_ext.cli.folds.training import check_fold_flags, check_fold_folder, is_finished, train_folds
from hf_ext.errors import UserError
from hf_ext.inference.folds import FOLDS_FILE
from hf_ext.training.arguments import ExtTrainingArguments

SINGLE = [{"f1": 0.5, "accuracy": 0.7}, {"f1": 0.8, "accuracy": 0.6}, {"f1": 0.65}]
CUT = {"num_folds": 3, "split_seed": 42, "drop_duplicates": False}


def arguments(folder: Path, **flags) -> ExtTrainingArguments:
    return ExtTrainingArguments(output_dir=str(folder), use_cpu=True, report_to="none", **{"do_train": True, **flags})


def rows(**flags) -> SimpleNamespace:
    known = {"test_file": None, "data_dir": None, "dataset_name": None, **CUT}
    return SimpleNamespace(**{**known, **flags})


def test_mean_and_deviation_are_those_of_numpy_and_of_figures_that_all_folds_have():
    found = spread(SINGLE, ["f1", "accuracy", "unknown"])
    assert found == {
        "f1_mean": pytest.approx(np.mean([0.5, 0.8, 0.65])),
        "f1_std": pytest.approx(np.std([0.5, 0.8, 0.65], ddof=1)),
    }
    assert spread([], ["f1"]) == {}


def test_each_row_belongs_to_the_fold_that_has_held_it_out(tmp_path):
    folds = [tmp_path / f"fold-{k}" for k in (1, 2)]
    assert fold_of_rows([([2, 3], [0]), ([0], [3, 2])], folds) == {0: 1, 2: 2, 3: 2}
    for sides in ([([1], [0]), ([1], [0])], [([0, 1], [0]), ([0], [1])]):
        with pytest.raises(UserError, match="cut otherwise than the others"):
            fold_of_rows(sides, folds)


def test_figures_are_replaced_split_by_split_and_laid_out(tmp_path):
    folds = [tmp_path / f"fold-{k}" for k in (1, 2, 3)]
    report = FoldReport(None, None, arguments(tmp_path), folds=folds, clock=RunClock())
    report.metrics = ("f1", "accuracy")
    (tmp_path / "all_results.json").write_text(json.dumps({"eval_old": 1, "predict_f1": 2}), encoding="utf-8")
    report.record(EVAL, {"f1": 0.66}, SINGLE, rows=30)
    stored = json.loads((tmp_path / "all_results.json").read_text(encoding="utf-8"))
    own = json.loads((tmp_path / "eval_results.json").read_text(encoding="utf-8"))
    assert stored == own | {"predict_f1": 2}
    assert own["eval_f1"] == 0.66
    assert own["eval_folds"] == 3
    assert own["eval_samples"] == 30
    (table,) = report.tables().values()
    assert table[0] == ["out of fold", "f1"]
    assert table[1:4] == [["fold-1", 0.5], ["fold-2", 0.8], ["fold-3", 0.65]]
    assert [row[0] for row in table[4:]] == ["mean", "standard deviation", "all together"]
    report.record(PREDICT, {}, [], rows=4)  # test rows without labels have nothing to show
    assert len(report.tables()) == 1
    assert json.loads((tmp_path / "all_results.json").read_text(encoding="utf-8"))["predict_samples"] == 4


def test_a_fold_has_ended_when_its_record_is_written(tmp_path):
    assert not is_finished(tmp_path)
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    assert is_finished(tmp_path)


def test_what_folds_have_no_use_for_is_refused(tmp_path):
    check_fold_flags(arguments(tmp_path), rows())
    for flags, words in (
        ({"do_train": False}, "trains a model for each fold"),
        ({"do_predict": True}, "requires test rows"),
        ({"resume_from_checkpoint": "somewhere"}, "is a checkpoint of one fold"),
    ):
        with pytest.raises(UserError, match=words):
            check_fold_flags(arguments(tmp_path, **flags), rows())
    check_fold_flags(arguments(tmp_path, do_predict=True), rows(test_file="test.csv"))


def test_a_folder_is_gone_on_with_only_where_the_folds_are_the_same(tmp_path):
    with pytest.raises(UserError, match="no folds to go on with"):
        check_fold_folder(arguments(tmp_path, resume_from_checkpoint="last"), CUT)
    check_fold_folder(arguments(tmp_path, resume_from_checkpoint="last", resume_or_start=True), CUT)
    check_fold_folder(arguments(tmp_path), CUT)
    (tmp_path / FOLDS_FILE).write_text(json.dumps(CUT), encoding="utf-8")
    with pytest.raises(UserError, match="already holds 3 folds"):
        check_fold_folder(arguments(tmp_path), CUT)
    check_fold_folder(arguments(tmp_path, overwrite_output_dir=True), CUT)
    check_fold_folder(arguments(tmp_path, resume_from_checkpoint="last"), CUT)
    with pytest.raises(UserError, match="cut with --num_folds 3, --split_seed 42, --drop_duplicates False"):
        check_fold_folder(arguments(tmp_path, resume_from_checkpoint="last"), CUT | {"split_seed": 7})


def test_folds_are_trained_one_after_the_other_and_old_ones_go(tmp_path):
    (tmp_path / FOLDS_FILE).write_text(json.dumps({"num_folds": 5}), encoding="utf-8")
    for k in (1, 5, 9):  # fold-9 is nobody's fold
        (tmp_path / f"fold-{k}").mkdir()
    called = []

    def command(words, *, fold):
        called.append((fold, words))
        Path(words[words.index("--output_dir") + 1]).mkdir()

    folds = train_folds(command, ["--x"], args=arguments(tmp_path, overwrite_output_dir=True), data_args=rows())
    assert [path.name for path in folds] == ["fold-1", "fold-2", "fold-3"]
    assert sorted(path.name for path in tmp_path.glob("fold-*")) == ["fold-1", "fold-2", "fold-3", "fold-9"]
    assert [fold for fold, _ in called] == [1, 2, 3]
    assert all(words[0] == "--x" and words[-1] == "false" for _, words in called)
    (tmp_path / "fold-2" / "run.json").write_text("{}", encoding="utf-8")
    called.clear()
    for k in (1, 3):
        (tmp_path / f"fold-{k}").rmdir()
    train_folds(command, [], args=arguments(tmp_path, resume_from_checkpoint="last"), data_args=rows())
    assert [fold for fold, _ in called] == [1, 3]
    assert all(words[-2:] == ["--resume_or_start", "true"] for _, words in called)
