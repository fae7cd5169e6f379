from __future__ import annotations

import dataclasses
import shlex

import pytest
from transformers import TrainingArguments

from hf_ext.cli import parse_arguments
from hf_ext.cli.legacy import LEGACY_FLAGS, translate_legacy_flags
from hf_ext.data.arguments import DataArguments
from hf_ext.models.arguments import ModelArguments
from hf_ext.training.arguments import ExtTrainingArguments

TYPES = (ModelArguments, DataArguments, ExtTrainingArguments)
KNOWN = {field.name for kind in TYPES for field in dataclasses.fields(kind)}

# Every flag of a 2020 classification script, with the values of its run command.
RUN_COMMAND = """
    --task_name=THUNews --model_type=bert_cnn --model_name_or_path ./pretrained_models/bert-base-chinese
    --data_dir ./dataset/THUNews/5_5000 --output_dir ./results/THUNews/bert_base_chinese_cnn
    --do_train --do_eval --do_predict --do_lower_case --max_seq_length=512 --per_gpu_train_batch_size=2
    --per_gpu_eval_batch_size=16 --gradient_accumulation_steps=1 --learning_rate=2e-5 --num_train_epochs=1.0
    --logging_steps=14923 --save_steps=14923 --overwrite_output_dir --filter_sizes='3,4,5' --filter_num=256
    --lstm_layers=1 --lstm_hidden_size=512 --lstm_dropout=0.1 --gru_layers=1 --gru_hidden_size=512 --gru_dropout=0.1
"""
REMAINING_FLAGS = """
    --config_name= --tokenizer_name= --cache_dir= --evaluate_during_training --weight_decay 0.0 --adam_epsilon 1e-8
    --max_grad_norm 1.0 --max_steps -1 --warmup_steps 0 --eval_all_checkpoints --no_cuda --overwrite_cache --seed 42
    --fp16_opt_level O1 --local_rank -1
"""


def test_the_whole_old_command_parses_and_means_the_same():
    model, data, training = parse_arguments(TYPES, [*shlex.split(RUN_COMMAND), *shlex.split(REMAINING_FLAGS)])
    assert (model.model_type, model.filter_sizes, model.filter_num) == ("bert_cnn", "3,4,5", 256)
    assert (model.lstm_layers, model.lstm_hidden_size, model.lstm_dropout) == (1, 512, 0.1)
    assert (model.gru_layers, model.gru_hidden_size, model.gru_dropout) == (1, 512, 0.1)
    assert (model.do_lower_case, model.config_name, model.cache_dir) == (True, None, None)
    assert (data.data_dir, data.max_seq_length, data.overwrite_cache) == ("./dataset/THUNews/5_5000", 512, True)
    assert (training.per_device_train_batch_size, training.per_device_eval_batch_size) == (2, 16)
    assert (training.use_cpu, training.eval_strategy.value, training.overwrite_output_dir) == (True, "steps", True)
    assert training.eval_all_checkpoints
    assert training.learning_rate == 2e-5


def test_the_old_command_has_42_flags_and_each_is_known_or_answered():
    words = shlex.split(RUN_COMMAND) + shlex.split(REMAINING_FLAGS) + ["--fp16"]
    flags = {word.removeprefix("--").split("=")[0] for word in words if word.startswith("--")}
    assert len(flags) == 42
    assert flags <= KNOWN | set(LEGACY_FLAGS)


def test_every_replacement_is_a_flag_of_today():
    assert {legacy.new for legacy in LEGACY_FLAGS.values() if legacy.new} <= KNOWN


def test_no_flag_of_today_is_called_old_unless_transformers_itself_will_drop_it():
    parents = {field.name for field in dataclasses.fields(TrainingArguments)}
    assert {name for name in LEGACY_FLAGS if name in KNOWN & parents} == {
        "gradient_checkpointing",
        "gradient_checkpointing_kwargs",
    }


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--evaluation_strategy", "epoch"], ["--eval_strategy=epoch"]),
        (["--evaluation_strategy=epoch", "--seed", "1"], ["--eval_strategy=epoch", "--seed", "1"]),
        (["--warmup_ratio", "0.1"], ["--warmup_steps=0.1"]),
        (["--no_cuda"], ["--use_cpu=true"]),
        (["--no_cuda", "False", "--do_train"], ["--do_train"]),
        (["--no-cuda"], ["--use_cpu=true"]),
        (["--group_by_length"], ["--train_sampling_strategy=group_by_length"]),
        (["--fp16_opt_level", "O1", "--do_eval"], ["--do_eval"]),
        (["--save_safetensors", "--do_eval"], ["--do_eval"]),
        (["--gradient_checkpointing"], ["--activation_checkpointing=true"]),
        (["--do_train", "--seed=2"], ["--do_train", "--seed=2"]),
    ],
)
def test_old_flags_become_new_ones(argv, expected):
    assert translate_legacy_flags(argv)[0] == expected


def test_every_change_is_told_in_one_line_that_names_both_flags():
    _, notices = translate_legacy_flags(["--per_gpu_eval_batch_size=4", "--logging_dir", "runs"])
    assert notices[0] == "--per_gpu_eval_batch_size is now --per_device_eval_batch_size."
    assert "TENSORBOARD_LOGGING_DIR" in notices[1]
    assert all("\n" not in notice for notice in notices)


def test_values_are_never_taken_for_old_flags():
    assert translate_legacy_flags(["--run_name", "no_cuda"]) == (["--run_name", "no_cuda"], [])
