"""The help: every flag once, in chapters, as wide as the terminal."""

from __future__ import annotations

import dataclasses
import inspect
import re
from argparse import Action

import pytest

from hf_ext.cli.command_lines import CLASSIFICATION, PRETRAINING, TAGGING, TOKENIZER
from hf_ext.cli.help_pages import COMMON, _example, _explain
from hf_ext.cli.parsing import ScriptArgumentParser
from hf_ext.cli.quick_start import outline_training_arguments
from hf_ext.training.argument_groups import ARGUMENT_GROUPS

SCRIPTS = {
    "run_classification": CLASSIFICATION,
    "run_ner": TAGGING,
    "run_continue_pretrain": PRETRAINING,
    "train_tokenizer": TOKENIZER,
}
OWN_TRAINING = {name for group in ARGUMENT_GROUPS for name in inspect.get_annotations(group)}
# ours that only change the default of a flag that few runs need
RARE = {"ddp_timeout", "hub_strategy", "logging_nan_inf_filter", "restore_callback_states_from_checkpoint"}
FLAG = re.compile(r"^  --(\w+)", re.MULTILINE)


def parser_of(script):
    line = SCRIPTS[script]
    return ScriptArgumentParser(
        (*line.types, outline_training_arguments()) if line.trains else line.types,
        description=line.description_for(f"{script}.py"),
        defaults=line.defaults,
        scratch_defaults=line.scratch_defaults,
    )


@pytest.fixture(params=SCRIPTS)
def script(request):
    return request.param


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(script, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    parser = parser_of(script)
    for page in (parser.format_help(), parser.format_full_help()):
        assert max(map(len, page.splitlines())) <= columns
        assert "%%" not in page
        assert "%(" not in page
        assert "==SUPPRESS==" not in page


def test_the_help_has_every_flag_of_ours_and_the_common_ones_once(script):
    shown = FLAG.findall(parser_of(script).format_help())
    own = {field.name for kind in SCRIPTS[script].types for field in dataclasses.fields(kind)}
    if SCRIPTS[script].trains:
        own |= {name for names in COMMON.values() for name in names} | OWN_TRAINING - RARE
        own &= set(parser_of(script).actions)
    assert sorted(shown) == sorted(own | {"help", "help_all"})


def test_the_full_help_has_every_flag_of_the_parser_once(script):
    parser = parser_of(script)
    assert sorted(FLAG.findall(parser.format_full_help())) == sorted(parser.actions)


def test_common_flags_are_arguments_of_training():
    known = outline_training_arguments().__dataclass_fields__
    assert not {name for names in COMMON.values() for name in names} - known.keys()


def test_chapters_come_in_the_order_of_a_user():
    page = parser_of("run_classification").format_help()
    titles = [chapter.splitlines()[0].partition(":")[0] for chapter in page.split("\n\n")]
    assert titles[2] == "What to do, and where to write it"
    found = [title for title in titles if title in ("Source", "Data", "Checkpoint", "Encoder", "Model", "Training")]
    assert found == ["Source", "Data", "Checkpoint", "Encoder", "Model", "Training"]
    assert titles.index("Training") < titles.index("Evaluation and checkpoints") < titles.index("Adversarial")
    assert titles[-2:] == ["Help", "Examples"]


def test_defaults_are_those_of_the_script():
    page = " ".join(parser_of("run_classification").format_help().split())
    assert "(default: outputs/classification)" in page
    assert "(default: 5e-05; 0.001 from scratch)" in page
    assert "(default: on; off by --no_ema_save)" in page
    assert "(default: False" not in page
    assert "(default: None" not in page


def test_the_short_help_gives_the_first_sentence_and_the_full_one_all(monkeypatch):
    action = Action(["--quality"], "quality", help="Share, e.g. Half of 100%%. More text.", choices=["low", "high"])
    assert _explain(action, everything=False) == "Share, e.g. Half of 100%. [low | high]"
    assert _explain(action, everything=True) == "Share, e.g. Half of 100%. More text. [low | high]"


def test_examples_are_commands_that_a_shell_takes():
    assert _example("    python a.py --x      # what it does", 80) == "  # what it does\n  python a.py --x"
    lines = _example("    python a.py " + " ".join(f"--flag{n} value" for n in range(12)), 80).splitlines()
    assert len(lines) > 1
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert max(map(len, lines)) <= 80


def test_each_script_shows_two_commands_at_least(script):
    examples = parser_of(script).format_help().partition("\nExamples\n")[2]
    assert len(re.findall(rf"^  (?:python|torchrun .*) ?{script}\.py", examples, re.MULTILINE)) >= 2


@pytest.mark.parametrize("line", SCRIPTS.values(), ids=lambda line: line.name)
def test_the_console_command_shows_the_same_examples_under_its_own_name(line):
    assert f"hf-ext {line.name} " in line.description_for(f"hf-ext {line.name}")
    shown = line.description_for("run.py")
    assert "hf" not in re.findall(r"^    (\w+)", shown, re.MULTILINE)
    assert "hf_ext" not in shown
