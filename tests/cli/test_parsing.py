from __future__ import annotations

import dataclasses
import json
import logging

import pytest
from transformers import TrainingArguments

from hf_ext.cli import parse_arguments
from hf_ext.data.arguments import DataArguments
from hf_ext.errors import UserError
from hf_ext.models.arguments import ModelArguments
from hf_ext.training.arguments import ExtTrainingArguments

TYPES = (ModelArguments, DataArguments, ExtTrainingArguments)
ALWAYS = ("--use_cpu", "--output_dir=unused")


def parse(*argv, **kwargs):
    return parse_arguments(TYPES, [*argv, *ALWAYS], **kwargs)


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_the_command_line_alone(tmp_path):
    model, data, training = parse("--model_name_or_path", "x", "--train_file=a.csv", "--learning_rate", "3e-5")
    assert (model.model_name_or_path, data.train_file, training.learning_rate) == ("x", "a.csv", 3e-5)


def test_yaml_alone_with_numbers_in_every_notation(tmp_path):
    path = write(tmp_path, "run.yaml", "learning_rate: 1e-5\nweight_decay: 0.01\nnum_train_epochs: 2\ndo_train: true\n")
    _, _, training = parse(path)
    assert training.learning_rate == 1e-5
    assert isinstance(training.learning_rate, float)
    assert (training.weight_decay, training.num_train_epochs, training.do_train) == (0.01, 2.0, True)


def test_json_and_yaml_say_the_same(tmp_path):
    settings = {"max_seq_length": 64, "text_column_names": ["a", "b"], "do_eval": True, "seed": 7}
    yaml_file = write(tmp_path, "a.yaml", "max_seq_length: 64\ntext_column_names: [a, b]\ndo_eval: true\nseed: 7\n")
    left, right = parse(write(tmp_path, "a.json", settings)), parse(yaml_file)
    assert [dataclasses.asdict(x) for x in left[:2]] == [dataclasses.asdict(x) for x in right[:2]]
    assert right[1].text_column_names == "a,b"
    assert (right[2].seed, right[2].do_eval) == (7, True)


def test_the_command_line_wins_even_when_it_repeats_a_default(tmp_path):
    default = TrainingArguments.learning_rate
    path = write(tmp_path, "run.yaml", "learning_rate: 1e-3\nstreaming: true\nmax_seq_length: 32\n")
    _, data, training = parse(path, f"--learning_rate={default}", "--streaming", "false", "--max_seq_length", "128")
    assert training.learning_rate == default
    assert (data.streaming, data.max_seq_length) == (False, 128)


def test_config_may_stand_anywhere_behind_its_flag(tmp_path):
    path = write(tmp_path, "run.yml", "seed: 3\n")
    assert parse("--do_train", "--config", path)[2].seed == 3


def test_lists_for_flags_that_take_several_words(tmp_path):
    path = write(tmp_path, "run.yaml", "label_names: [labels, others]\n")
    assert parse(path)[2].label_names == ["labels", "others"]


def test_a_mapping_reaches_the_flag_as_json(tmp_path):
    path = write(tmp_path, "run.yaml", "lr_scheduler_type: cosine\nlr_scheduler_kwargs:\n  num_cycles: 2\n")
    assert parse(path)[2].lr_scheduler_kwargs == {"num_cycles": 2}


def test_values_may_begin_with_a_dash_or_be_empty(tmp_path):
    path = write(tmp_path, "run.yaml", 'text_column_delimiter: "-"\nmax_steps: -1\nclassifier_hidden_sizes: ""\n')
    model, data, training = parse(path)
    assert (data.text_column_delimiter, training.max_steps, model.classifier_hidden_sizes) == ("-", -1, "")


def test_null_means_the_default(tmp_path):
    assert parse(write(tmp_path, "run.yaml", "pooler: null\nmax_train_samples:\n"))[0].pooler is None


def test_defaults_lose_to_everything_given(tmp_path):
    path = write(tmp_path, "run.yaml", "seed: 5\n")
    _, _, training = parse_arguments(TYPES, [path, "--use_cpu"], defaults={"seed": 1, "output_dir": "here"})
    assert (training.seed, training.output_dir) == (5, "here")


@pytest.mark.parametrize(
    ("argv", "epochs"), [([], 20), (["--model_name_or_path", "x"], 3), (["--num_train_ep", "2"], 2)]
)
def test_scratch_defaults_hold_only_without_a_pretrained_model(argv, epochs):
    assert parse(*argv, scratch_defaults={"num_train_epochs": 20})[2].num_train_epochs == epochs


def test_abbreviations_of_the_official_scripts_work():
    assert parse("--num_train", "5")[2].num_train_epochs == 5


def test_a_switch_can_be_turned_off_by_no():
    assert parse("--no_use_fast_tokenizer")[0].use_fast_tokenizer is False


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--learning_rat_e", "1"], "no argument 'learning_rat_e' – did you mean 'learning_rate'"),
        (["--learning_rate", "fast"], "invalid float value: 'fast'"),
        (["--do_train", "stray"], "stray"),
        (["--max_seq_length", "0"], "max_seq_length must be at least 1"),
        (["--validation_split", "1.5"], "between 0 and 1"),
        (["--filter_sizes", "3;4"], "--filter_sizes takes positive integers"),
        (["--quoting", "sometimes"], "invalid choice"),
        (["--config"], "no such|names no file|nor a .yaml"),
    ],
)
def test_a_wrong_flag_is_answered_in_one_line(argv, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_arguments(TYPES, argv)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "learning_rte: 1\n", "a.yaml: there is no argument 'learning_rte' – did you mean 'learning_rate'"),
        ("a.yaml", "a: [1\nb: 2\n", r"a.yaml:\d: broken YAML"),
        ("a.json", '{"seed": 1,}', "a.json:1: broken JSON"),
        ("a.yaml", "- 1\n", "holds no settings"),
        ("a.yaml", "", "holds no settings"),
        ("a.yaml", "seed: many\n", "a.yaml: .*invalid int value: 'many'"),
        ("a.yaml", "seed: 1\ndo_train: true\nseed: 2\n", "a.yaml:3: 'seed' stands there twice"),
        ("a.json", '{"seed": 1, "seed": 2}', "a.json: 'seed' stands there twice"),
    ],
)
def test_a_broken_file_is_answered_with_its_place(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        parse(write(tmp_path, name, content))


def test_a_missing_file_is_answered(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        parse(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("name", ["settings.py", "settings.ini", "settings.cfg"])
def test_python_and_ini_settings_are_answered_with_how_to_write_yaml(tmp_path, name):
    with pytest.raises(UserError, match=r"`learning_rate: 2e-5`"):
        parse(write(tmp_path, name, "learning_rate = 2e-5\n"))


def test_legacy_flags_in_a_file_are_translated_and_said_once(tmp_path, caplog):
    path = write(tmp_path, "run.yaml", "evaluation_strategy: epoch\nper_gpu_train_batch_size: 4\n")
    with caplog.at_level(logging.WARNING):
        _, _, training = parse(path)
    assert (training.eval_strategy.value, training.per_device_train_batch_size) == ("epoch", 4)
    assert sum("--eval_strategy" in record.message for record in caplog.records) == 1


def test_help_begins_with_a_short_usage_and_explains_every_flag_of_ours(capsys):
    with pytest.raises(SystemExit) as caught:
        parse_arguments(TYPES, ["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "[settings.yaml | settings.json]" in shown.splitlines()[0]
    for kind in (ModelArguments, DataArguments):
        assert all(f"--{field.name}" in shown for field in dataclasses.fields(kind))
