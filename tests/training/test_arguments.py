"""ExtTrainingArguments: defaults, checks in one line, and the guard of the output folder."""

from __future__ import annotations

import copy
import re
import subprocess
import sys

import pytest
import torch
from transformers import HfArgumentParser, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainingArguments, check_output_dir
from hf_ext.training.adversarial.methods import ADVERSARIES
from hf_ext.training.argument_groups import ARGUMENT_GROUPS
from hf_ext.training.losses.registry import LOSSES

CHANGED = {
    "restore_callback_states_from_checkpoint": True,
    "logging_nan_inf_filter": False,
    "hub_strategy": "end",
    "ddp_timeout": 300,
}


def parse(*argv):
    return HfArgumentParser((ExtTrainingArguments,)).parse_args_into_dataclasses(list(argv))[0]


def defaults(cls):
    return {name: field.default for name, field in cls.__dataclass_fields__.items()}


def test_only_the_documented_defaults_differ_from_the_parent():
    ours, theirs = defaults(ExtTrainingArguments), defaults(TrainingArguments)
    assert {name: ours[name] for name in theirs if ours[name] is not theirs[name]} == CHANGED


@pytest.mark.parametrize("name", CHANGED)
def test_every_changed_default_is_in_the_docstring(name):
    assert f"``{name}``" in ExtTrainingArguments.__doc__


def test_every_field_of_ours_has_a_help():
    own = ExtTrainingArguments.__dataclass_fields__.keys() - TrainingArguments.__dataclass_fields__.keys()
    in_groups = {name for group in ARGUMENT_GROUPS for name in group.__dataclass_fields__}
    assert own <= in_groups
    assert all(ExtTrainingArguments.__dataclass_fields__[name].metadata["help"] for name in own)


@pytest.mark.parametrize(("flag", "known"), [("adversarial", ADVERSARIES), ("loss", LOSSES)])
def test_the_help_of_a_choice_names_every_member(flag, known):
    words = re.findall(r"\w+", ExtTrainingArguments.__dataclass_fields__[flag].metadata["help"])
    assert [word for word in words if word in known] == list(known)


def test_the_groups_of_flags_are_read_without_torch():
    code = "import sys, hf_ext.training.argument_groups; print({'torch', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_command_line_sets_our_flags(tmp_path):
    args = parse(
        *("--output_dir", str(tmp_path), "--overwrite_output_dir", "--eval_strategy", "epoch"),
        *("--early_stopping_patience", "3", "--early_stopping_threshold", "1e-3", "--eval_all_checkpoints"),
        *("--stop_on_nonfinite_loss", "False", "--no_restore_callback_states_from_checkpoint"),
    )
    assert args.overwrite_output_dir
    assert (args.early_stopping_patience, args.early_stopping_threshold) == (3, 1e-3)
    assert args.eval_all_checkpoints
    assert not args.stop_on_nonfinite_loss
    assert not args.restore_callback_states_from_checkpoint


@pytest.mark.parametrize("name", ["mse", "mae", "rmse", "eval_rmse", "loss", "eval_loss", "hinge_loss"])
def test_smaller_is_better_for_errors_and_losses(arguments, name):
    assert arguments(metric_for_best_model=name).greater_is_better is False


@pytest.mark.parametrize("name", ["f1_weighted", "eval_f1_weighted", "pearson", "accuracy"])
def test_greater_is_better_for_scores(arguments, name):
    assert arguments(metric_for_best_model=name).greater_is_better is True


def test_what_the_user_says_about_the_direction_stands(arguments):
    assert arguments(metric_for_best_model="mse", greater_is_better=True).greater_is_better is True


def test_early_stopping_alone_watches_the_loss(arguments):
    args = arguments(early_stopping_patience=2, eval_strategy="epoch")
    assert (args.metric_for_best_model, args.greater_is_better) == ("loss", False)


def test_early_stopping_without_evaluation_says_what_to_add(arguments):
    with pytest.raises(ValueError, match="add --eval_strategy epoch"):
        arguments(early_stopping_patience=2)


@pytest.mark.parametrize(
    "name", ["gradient_accumulation_steps", "per_device_train_batch_size", "per_device_eval_batch_size"]
)
@pytest.mark.parametrize("value", [0, -1])
def test_counts_below_one_are_refused_by_name(arguments, name, value):
    with pytest.raises(ValueError, match=f"^--{name} must be at least 1, got {value}.$"):
        arguments(**{name: value})


@pytest.mark.parametrize("name", ["seed", "data_seed"])
@pytest.mark.parametrize("value", [-1, 2**32, 10**30])
def test_seeds_that_no_generator_takes_are_refused_by_name(arguments, name, value):
    with pytest.raises(ValueError, match=f"^--{name} must be from 0 to 2\\*\\*32 - 1, got {value}.$"):
        arguments(**{name: value})


def test_patience_below_one_is_refused(arguments):
    with pytest.raises(ValueError, match="--early_stopping_patience must be at least 1"):
        arguments(early_stopping_patience=0, eval_strategy="epoch")


@pytest.mark.skipif(torch.accelerator.is_available(), reason="for machines without an accelerator")
@pytest.mark.parametrize("name", ["bf16", "bf16_full_eval"])
def test_bf16_without_an_accelerator_runs_on_the_cpu(arguments, name):
    assert arguments(use_cpu=False, **{name: True}).use_cpu


def test_uploads_during_training_are_refused_since_they_hold_the_token(arguments):
    with pytest.raises(ValueError, match="use --hub_strategy end"):
        arguments(push_to_hub=True, hub_strategy="every_save")
    assert arguments(push_to_hub=True).push_to_hub


def test_the_hub_token_is_in_no_text_form(arguments):
    args = arguments(hub_token="hf_secret")
    texts = [repr(args), str(args), args.to_json_string(), str(args.to_sanitized_dict())]
    assert not any("hf_secret" in text for text in texts)
    assert copy.deepcopy(args).hub_token == "hf_secret"


@pytest.mark.parametrize("name", ["checkpoint-500", "model.safetensors", "pytorch_model.bin"])
def test_training_over_an_earlier_run_is_refused_with_three_remedies(arguments, tmp_path, name):
    folder = tmp_path / "out"
    (folder / name).mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        check_output_dir(arguments(do_train=True))
    message = str(caught.value)
    assert "\n" not in message
    assert name in message
    assert str(folder) in message
    assert all(flag in message for flag in ("--resume_from_checkpoint", "--overwrite_output_dir", "--output_dir"))


@pytest.mark.parametrize(
    "changes",
    [
        {"do_train": False, "do_predict": True},
        {"do_train": True, "overwrite_output_dir": True},
        {"do_train": True, "resume_from_checkpoint": "true"},
    ],
)
def test_an_earlier_run_is_no_obstacle_to_evaluation_resume_or_overwriting(arguments, tmp_path, changes):
    (tmp_path / "out" / "checkpoint-500").mkdir(parents=True)
    check_output_dir(arguments(**changes))


@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_or_missing_folder_is_fine(arguments, tmp_path, exists):
    if exists:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "run.log").write_text("")
    check_output_dir(arguments(do_train=True))


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_without_an_accelerator_processes_form_one_group_on_the_cpu(arguments):
    assert arguments(use_cpu=False).use_cpu


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_train_epochs": 0, "max_steps": -1}, "--num_train_epochs must be positive"),
        ({"num_train_epochs": -1, "max_steps": -1}, "--num_train_epochs must be positive"),
        ({"learning_rate": -1.0}, "--learning_rate must not be negative"),
        ({"load_best_model_at_end": True, "save_strategy": "no"}, "needs evaluations and checkpoints"),
        ({"prediction_loss_only": True, "do_predict": True}, "leaves nothing to write"),
        ({"seed": -1}, "--seed must be from 0"),
        ({"dataloader_num_workers": -1}, "--dataloader_num_workers must not be negative"),
        ({"eval_all_checkpoints": True}, "--eval_all_checkpoints needs --do_eval"),
    ],
)
def test_flags_out_of_range_or_without_effect_are_refused(arguments, changes, words):
    with pytest.raises(ValueError, match=words):
        arguments(**changes)


def test_steps_alone_decide_the_length_of_a_run(arguments):
    assert arguments(max_steps=3, num_train_epochs=0).max_steps == 3


@pytest.mark.parametrize(("word", "value"), [("true", True), ("last", True), ("False", None), ("c-3", "c-3")])
def test_resume_takes_words(arguments, word, value):
    assert arguments(resume_from_checkpoint=word).resume_from_checkpoint == value


@pytest.mark.parametrize(
    ("word", "words"), [("true", "no checkpoint to resume from"), ("nope/c-3", "not a checkpoint")]
)
def test_a_checkpoint_that_is_not_there_is_refused_before_the_data_are_read(arguments, word, words):
    with pytest.raises(UserError, match=words):
        check_output_dir(arguments(do_train=True, resume_from_checkpoint=word))


@pytest.mark.parametrize("below", ["", "deeper"])
def test_an_output_folder_that_is_a_file_is_refused(arguments, tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: is a file, not a folder – name another --output_dir"):
        check_output_dir(arguments(output_dir=str(tmp_path / "file" / below), do_predict=True))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name",
    [
        "learning_rate",
        "head_learning_rate",
        "adversarial_epsilon",
        "adversarial_start",
        "focal_gamma",
        "rdrop_alpha",
        "weight_decay",
        "warmup_steps",
        "num_train_epochs",
        "label_smoothing_factor",
        "early_stopping_threshold",
    ],
)
def test_no_number_is_nan_or_infinite(arguments, name, value):
    with pytest.raises(ValueError, match=f"--{name} must .*, got {value}"):
        arguments(**{name: value})


@pytest.mark.parametrize("rate", [float("inf"), True])
def test_a_rate_of_the_mapping_is_a_finite_number(arguments, rate):
    with pytest.raises(ValueError, match="the rate of 'embed' must be a finite number"):
        arguments(learning_rate_mapping={"embed": rate})


def test_infinity_stays_the_word_for_gradients_that_are_not_clipped(arguments):
    assert arguments(max_grad_norm=float("inf")).max_grad_norm == float("inf")


@pytest.mark.parametrize(
    "wrong", [{"weight_decay": -1.0}, {"early_stopping_threshold": -0.1}, {"label_smoothing_factor": 1.5}]
)
def test_numbers_that_torch_would_take_without_a_word_are_refused(arguments, wrong):
    with pytest.raises(ValueError, match=f"--{next(iter(wrong))} must"):
        arguments(**wrong)


def test_an_attack_that_would_never_begin_is_refused(arguments):
    with pytest.raises(ValueError, match="--adversarial_start 2 is not before the end of --num_train_epochs 2"):
        arguments(adversarial="fgm", adversarial_start=2, num_train_epochs=2, max_steps=-1)
    arguments(adversarial="fgm", adversarial_start=2, num_train_epochs=2.5, max_steps=-1)
    arguments(adversarial="fgm", adversarial_start=0.5, num_train_epochs=0.5, max_steps=-1)


@pytest.mark.parametrize(
    ("given", "warning"),
    [
        ({"adversarial_epsilon": 0.5}, "--adversarial_epsilon does nothing without --adversarial."),
        ({"adversarial": "fgm", "adversarial_epsilon": 0.5}, ""),
        ({"loss": "dice", "focal_gamma": 3.0}, "--focal_gamma does nothing without --loss focal."),
        ({"loss": "focal", "focal_gamma": 3.0}, ""),
        ({"ema_save": False}, "--ema_save does nothing without --ema_decay."),
        ({"average_checkpoints_by": "best"}, "--average_checkpoints_by does nothing without --average_checkpoints."),
        (
            {"early_stopping_threshold": 0.1},
            "--early_stopping_threshold does nothing without --early_stopping_patience.",
        ),
        ({"adversarial": None}, ""),
    ],
)
def test_a_flag_that_does_nothing_by_itself_is_named(arguments, caplog, given, warning):
    arguments(**given)
    assert "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("hf_ext")) == warning
