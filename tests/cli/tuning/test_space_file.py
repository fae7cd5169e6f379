"""The file of a search: what it may hold, and one line with its place for what it may not."""

from __future__ import annotations

import pytest

from hf_ext.cli.command_lines import CLASSIFICATION, TAGGING
from hf_ext.cli.parsing import ScriptArgumentParser
from hf_ext.cli.quick_start import outline_training_arguments
from hf_ext.cli.tuning.space_file import read_space, searchable_flags
from hf_ext.errors import UserError
from hf_ext.training.tuning.space import Choices, NumberRange


def parser_of(command):
    types = (*command.types, outline_training_arguments())
    return ScriptArgumentParser(types, defaults=command.defaults, scratch_defaults=command.scratch_defaults)


def read(path, text, *, command=CLASSIFICATION, **given):
    path.write_text(text, encoding="utf-8")
    return read_space(path, parser_of(command), {"do_train": True, **given})


def test_choices_and_ranges_are_read(tmp_path):
    text = """
learning_rate: {low: 1e-5, high: 1e-3, log: true}
num_train_epochs: {low: 2, high: 6, step: 2}
pooler: [mean, textcnn]
filter_sizes: [[2, 3], "3,4,5"]
ema_decay: [null, 0.999]
"""
    assert read(tmp_path / "space.yaml", text) == {
        "learning_rate": NumberRange(1e-5, 1e-3, log=True),
        "num_train_epochs": NumberRange(2, 6, step=2),
        "pooler": Choices(("mean", "textcnn")),
        "filter_sizes": Choices(("2,3", "3,4,5")),
        "ema_decay": Choices((None, 0.999)),
    }


def test_json_is_read_too(tmp_path):
    assert read(tmp_path / "space.json", '{"weight_decay": [0.0, 0.1]}') == {"weight_decay": Choices((0.0, 0.1))}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("learning_rat: [1]", "no such flag – did you mean 'learning_rate'"),
        ("seed: [1, 2]", "not searched"),
        ("max_seq_length: [64, 128]", "not searched"),
        ("model_name_or_path: [a, b]", "not searched"),
        ("learning_rate: []", "nothing to choose"),
        ("learning_rate: {low: 1e-3, high: 1e-5}", "nothing between"),
        ("learning_rate: {low: 1e-3}", "no high"),
        ("learning_rate: {low: 1e-3, higth: 1}", "did you mean 'high'"),
        ("learning_rate: {low: small, high: 1}", "'small' is no number"),
        ("learning_rate: {low: 1e-5, high: 1, log: 2}", "true or false"),
        ("learning_rate: {low: -1.0, high: 1.0, log: true}", "above 0"),
        ("learning_rate: 1e-3", "neither choices nor a range"),
        ("learning_rate: [{a: 1}]", "is no choice"),
        ("num_train_epochs: [x]", "invalid float value: 'x'"),
        ("per_device_train_batch_size: {low: 0.5, high: 8}", "invalid int value: '0.5'"),
        ("pooler: [mean, medium]", "invalid choice: 'medium'"),
        ("classifier_dropout: {low: 0.1, high: 1.5}", "from 0 to below 1, got 1.5"),
    ],
)
def test_what_cannot_be_searched_is_one_line_with_its_place(tmp_path, line, message):
    path = tmp_path / "space.yaml"
    with pytest.raises(UserError) as caught:
        read(path, f"weight_decay: [0.0, 0.1]\n\n{line}\n")
    told = str(caught.value)
    assert told.startswith(f"{path}:3: {line.partition(':')[0]}: ")
    assert message in told
    assert "\n" not in told


@pytest.mark.parametrize("text", ["", "- 1", "a: [1", "weight_decay: [1]\nweight_decay: [2]"])
def test_a_file_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(UserError, match=r"space\.yaml"):
        read(tmp_path / "space.yaml", text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_space(tmp_path / "none.yaml", parser_of(CLASSIFICATION), {})


def test_a_value_may_need_another_flag_of_the_space(tmp_path):
    """``min_lr_ratio`` is for the cosine; the checks of the training arguments see both."""
    types = CLASSIFICATION.parser()
    path = tmp_path / "space.yaml"
    path.write_text("min_lr_ratio: [0.1, 0.2]\nlr_scheduler_type: [cosine, linear]\n", encoding="utf-8")
    assert set(read_space(path, types, {"output_dir": str(tmp_path)})) == {"min_lr_ratio", "lr_scheduler_type"}
    path.write_text("min_lr_ratio: [0.1, 0.2]\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"space\.yaml:1: min_lr_ratio: .*cosine"):
        read_space(path, types, {"output_dir": str(tmp_path)})


def test_the_values_of_the_run_itself_do_not_stand_in_the_way(tmp_path):
    assert read(tmp_path / "space.yaml", "pooler: [mean]", pooler="max") == {"pooler": Choices(("mean",))}


def test_what_is_searched_is_what_is_learned_and_built():
    classifiers, taggers = (
        searchable_flags(parser_of(command).dataclass_types) for command in (CLASSIFICATION, TAGGING)
    )
    for names in (classifiers, taggers):
        assert {"learning_rate", "adversarial", "layerwise_lr_decay", "ema_decay", "classifier_dropout"} <= names
        assert not names & {"seed", "output_dir", "eval_strategy", "train_file", "model_name_or_path", "bf16", "tune"}
    assert "fusion" in classifiers - taggers
    assert "decoder" in taggers - classifiers
