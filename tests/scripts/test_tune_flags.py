"""``--tune`` as a user meets it: what is left behind, and that the best settings give their figure again."""

from __future__ import annotations

import pytest
import yaml
from reviews import review_rows
from scripts.ner_files import english, write_columns
from scripts.support import TRAIN, fork_script, read_csv, read_json, run_main, write_csv

from hf_ext.cli.tuning import search as search_module
from hf_ext.errors import UserError
from hf_ext.training.tuning.trial_run import TrialWatch

optuna = pytest.importorskip("optuna")

SPACE = """
learning_rate: {low: 1e-3, high: 1e-1, log: true}
per_device_train_batch_size: [4, 8, 16]
pooler: [mean, textcnn]
ema_decay: [null, 0.5]
adversarial: [none, fgm]
loss: [null, focal]
"""
SIZES = ("--embedding_size", "8", "--filter_num", "4", "--filter_sizes", "2", "--ngram_sizes", "")
TRIALS = 3


class KilledError(BaseException):
    """What no handler of errors takes for one, as SIGKILL."""


def words_of(folder, *more, tune=True):
    if not (folder / "a.csv").exists():
        rows = review_rows(60)
        for row in rows[::5]:
            row["label"] = "good" if row["label"] == "bad" else "bad"  # nothing is learned perfectly
        write_csv(folder / "a.csv", rows[:36])
        write_csv(folder / "b.csv", rows[36:])
        (folder / "space.yaml").write_text(SPACE, encoding="utf-8")
    files = ("--train_file", folder / "a.csv", "--validation_file", folder / "b.csv", "--text_column_names", "text")
    search = ("--tune", folder / "space.yaml", "--tune_trials", TRIALS) if tune else ()
    flags = ("--cache_dir", folder / "cache", "--num_train_epochs", "2", "--eval_strategy", "epoch")
    return (*TRAIN, *files, "--test_file", folder / "none.csv", *SIZES, *flags, *search, *more)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    results = run_main(*words_of(folder, "--output_dir", folder / "out"))
    return folder, results["tune"], read_csv(folder / "out" / "trials.csv", encoding="utf-8-sig")


def test_the_best_settings_give_the_best_figure_again(searched):
    folder, best, _ = searched
    settings = yaml.safe_load((folder / "out" / "best.yaml").read_text(encoding="utf-8"))
    assert settings["output_dir"] == str(folder / "out" / "best")
    assert settings["do_predict"] is True
    assert not {"tune", "tune_trials"} & set(settings)
    write_csv(folder / "none.csv", review_rows(6))  # the search has not asked for it
    again = run_main(folder / "out" / "best.yaml")
    assert again["eval"]["eval_f1_weighted"] == best["f1_weighted"]
    assert (folder / "out" / "best" / "model.safetensors").is_file()


@pytest.mark.slow
def test_every_trial_gives_its_figure_again(searched, tmp_path):
    folder, _, trials = searched
    plain = [word for word in words_of(folder, tune=False) if word != "--do_predict"]
    for trial in trials:
        values = {name: trial[name] for name in yaml.safe_load(SPACE) if trial[name]}
        values["learning_rate"] = learning_rate_of(folder, int(trial["trial"]))
        flags = (f"--{name}={value}" for name, value in values.items())
        again = run_main(*plain, *flags, "--output_dir", tmp_path / trial["trial"])
        assert again["eval"]["eval_f1_weighted"] == pytest.approx(float(trial["f1_weighted"]), abs=1e-6)


def learning_rate_of(folder, number):
    """Give the number with all its digits."""
    return study_of(folder / "out").trials[number].params["learning_rate"]


def study_of(output):
    return optuna.load_study(study_name="tune", storage=f"sqlite:///{output}/tune/study.db")


def test_the_folder_holds_what_is_worth_keeping(searched):
    folder, best, trials = searched
    assert [trial["state"] for trial in trials] == ["finished"] * TRIALS
    assert max(float(trial["f1_weighted"]) for trial in trials) == pytest.approx(best["f1_weighted"], abs=1e-6)
    assert best["trials"] == TRIALS
    kept = folder / "out" / "tune"
    assert {path.name for path in kept.iterdir()} == {"study.db", f"trial-{best['trial']}"}
    assert not list(kept.rglob("*.safetensors"))
    assert read_json(kept / f"trial-{best['trial']}" / "eval_results.json")["eval_f1_weighted"] == best["f1_weighted"]
    assert (folder / "out" / "tune.png").is_file()
    assert not (folder / "out" / "predictions.csv").exists()


def test_a_finished_search_is_not_run_again(searched, monkeypatch):
    folder, best, _ = searched
    monkeypatch.setattr(TrialWatch, "on_evaluate", lambda *args, **kwargs: pytest.fail("a trial was run"))
    more = ("--output_dir", folder / "out", "--resume_from_checkpoint", "last")
    assert run_main(*words_of(folder, *more))["tune"] == best


def test_a_killed_search_goes_on_to_the_same_end(searched, tmp_path, monkeypatch):
    folder, best, trials = searched
    output = ("--output_dir", tmp_path / "out")
    watch, seen = TrialWatch.on_evaluate, []

    def die_later(self, *args, **kwargs):
        seen.append(self.trial.number)
        if len(seen) == 4:  # within the second trial
            raise KilledError
        return watch(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(TrialWatch, "on_evaluate", die_later)
        with pytest.raises(KilledError):
            run_main(*words_of(folder, *output))
    with pytest.raises(UserError, match="already holds a search"):
        run_main(*words_of(folder, *output))
    with pytest.raises(UserError, match=r"the search was begun with adam_beta1 unset, not 0\.8"):
        run_main(*words_of(folder, *output, "--resume_from_checkpoint", "last", "--adam_beta1", "0.8"))
    results = run_main(*words_of(folder, *output, "--resume_from_checkpoint", "last"))["tune"]
    found = read_csv(tmp_path / "out" / "trials.csv", encoding="utf-8-sig")
    assert [trial["state"] for trial in found] == ["finished", "cut off", "finished", "finished"]
    same = ("f1_weighted", *yaml.safe_load(SPACE))
    told = [[trial[name] for name in same] for trial in found if trial["state"] == "finished"]
    assert told == [[trial[name] for name in same] for trial in trials]
    assert results["f1_weighted"] == best["f1_weighted"]


@pytest.mark.slow
def test_a_tagger_is_searched_by_its_own_metric(tmp_path, tiny_bert):
    """The rate of a CRF follows that of its trial, and LoRA is merged before it is judged, as in a run by itself."""
    pytest.importorskip("peft")
    write_columns(tmp_path / "a.txt", english(30))
    write_columns(tmp_path / "b.txt", english(12, offset=30))
    (tmp_path / "space.yaml").write_text(
        "learning_rate: {low: 1e-3, high: 1e-2, log: true}\nlora_r: [2, 4]\nhead_rnn: [none, gru]\n",
        encoding="utf-8",
    )
    words = ("--do_train", "--do_eval", "--use_cpu", "--disable_tqdm", "true", "--write_report", "false")
    words += ("--train_file", tmp_path / "a.txt", "--validation_file", tmp_path / "b.txt", "--num_train_epochs", "1")
    words += ("--model_name_or_path", tiny_bert, "--decoder", "crf", "--head_rnn_hidden_size", "8")
    words += ("--cache_dir", tmp_path / "cache", "--output_dir", tmp_path / "out", "--load_best_model_at_end")
    words += ("--eval_strategy", "epoch", "--save_strategy", "epoch", "--metric_for_best_model", "f1")
    best = run_main(*words, "--tune", tmp_path / "space.yaml", "--tune_trials", "2", script="run_ner.py")["tune"]
    assert not [*(tmp_path / "out" / "tune").rglob("checkpoint-*"), *(tmp_path / "out" / "tune").rglob("adapter")]
    again = run_main(tmp_path / "out" / "best.yaml", script="run_ner.py")
    assert again["eval"]["eval_f1"] == best["f1"]


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--do_train=false",), "add --do_train --do_eval"),
        (("--tune_thresholds", "f1"), "best.yaml"),
        (("--resume_from_checkpoint", "x"), "goes on from its study"),
        (("--resume_from_checkpoint", "last"), "no search to go on with"),
    ],
)
def test_what_contradicts_a_search_is_refused_before_anything_is_read(tmp_path, more, message):
    with pytest.raises(UserError, match=message):
        run_main(*words_of(tmp_path), *more, "--output_dir", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_optuna_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(search_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'hf_ext\[tune\]'"):
        run_main(*words_of(tmp_path), "--output_dir", tmp_path / "out")


def test_a_search_that_only_fails_ends_with_the_reason(tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        raise UserError("no room")

    monkeypatch.setattr(TrialWatch, "on_evaluate", fail)
    with pytest.raises(UserError, match=r"trials\.csv: no trial has given a figure \(no room\)"):
        run_main(*words_of(tmp_path), "--output_dir", tmp_path / "out", "--tune_trials", "2")
    trials = read_csv(tmp_path / "out" / "trials.csv", encoding="utf-8-sig")
    assert [(trial["state"], trial["fault"]) for trial in trials] == [("failed", "no room")] * 2
    assert not (tmp_path / "out" / "best.yaml").exists()


def test_a_value_that_contradicts_the_command_line_is_refused(tmp_path):
    words = words_of(tmp_path, "--output_dir", tmp_path / "out", "--average_checkpoints", "2")
    (tmp_path / "space.yaml").write_text("ema_decay: [0.9]\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"space\.yaml:1: ema_decay: .*both decide the final weights"):
        run_main(*words, "--save_strategy", "epoch")


def test_pretraining_is_not_searched(tmp_path):
    words = ("--do_train", "--do_eval", "--use_cpu", "--tune", tmp_path / "space.yaml", "--output_dir", tmp_path / "o")
    with pytest.raises(UserError, match="--tune is not for masked language modelling"):
        run_main(*words, script="run_continue_pretrain.py")


@pytest.mark.slow
def test_several_processes_are_refused_and_none_waits(tmp_path):
    words = [word for word in words_of(tmp_path, "--output_dir", tmp_path / "out") if word != "--do_predict"]
    run = fork_script(*words, cwd=tmp_path, processes=2)
    assert run.returncode == 2
    assert run.stderr.count("hf_ext: error: --tune runs its trials in one process – start it without torchrun") == 1


@pytest.mark.slow
def test_a_mistake_in_the_space_ends_the_script_with_status_2(tmp_path):
    words = [word for word in words_of(tmp_path, "--output_dir", tmp_path / "out") if word != "--do_predict"]
    (tmp_path / "space.yaml").write_text("learning_rate: {low: 1e-3, high: 1e-4}\n", encoding="utf-8")
    run = fork_script(*words, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith(f"hf_ext: error: {tmp_path}/space.yaml:1: learning_rate: low is 0.001")
