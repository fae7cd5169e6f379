"""--help and mistakes are answered before torch is loaded, and never otherwise than afterwards."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from hf_ext.cli.command_lines import CLASSIFICATION, TAGGING
from hf_ext.cli.parsing import ScriptArgumentParser
from hf_ext.cli.quick_start import check_command_line, outline_training_arguments
from hf_ext.data.arguments import DataArguments
from hf_ext.data.text_lines_arguments import TextLinesArguments
from hf_ext.errors import UserError
from hf_ext.models.arguments import ModelArguments
from hf_ext.tokenization.arguments import TokenizerArguments
from hf_ext.training.arguments import ExtTrainingArguments

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("run_classification", "run_ner", "run_continue_pretrain", "train_tokenizer")
NUMBERED = {"train_tokenizer": "vocab_size"}  # a flag that takes a number; of the others it is the learning rate
HEAVY = {"torch", "sklearn", "transformers", "datasets", "pandas", "pyarrow", "accelerate"}
# Each command line in turn, in one process: what it says, its status, and what is loaded by then.
ASK = """
import contextlib, io, json, runpy, sys
script, heavy, *cases = json.loads(sys.argv[1])
for case in cases:
    sys.argv = [script, *case]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        print(json.dumps([end.code, said.getvalue(), sorted(set(heavy) & set(sys.modules))]))
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_answer_before_anything_heavy_is_loaded(script, tmp_path):
    number = NUMBERED.get(script, "learning_rate")
    (tmp_path / "wrong.yaml").write_text(f"{number}: many\n", encoding="utf-8")
    cases = {
        ("--help",): (0, "Examples"),
        ("--help_all",): (0, "--help_all"),
        (f"--{number}x", "1"): (2, f"there is no argument '{number}x' – did you mean '{number}'?"),
        (f"--{number}", "many"): (2, "value: 'many'"),
        ("wrong.yaml",): (2, "wrong.yaml: argument"),
        ("none.yaml",): (2, "none.yaml: no such file"),
        ("--do_train", "--train_file", "none.txt")[script == "train_tokenizer" :]: (2, "none.txt: no such file"),
    }
    asked = json.dumps([str(ROOT / f"{script}.py"), sorted(HEAVY), *cases])
    done = subprocess.run(
        [sys.executable, "-c", ASK, asked],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases), done.stderr
    for (status, said, loaded), (expected_status, expected) in zip(answers, cases.values(), strict=True):
        assert (status, loaded) == (expected_status, []), said
        assert expected in said
        assert status == 0 or said.count("\n") == 1


# --- quick and slow ask the same -------------------------------------------------------------------------------------

WORDS = ["1", "0", "-1", "2e-5", "0.5", "true", "False", "no", "x", "", "epoch", "steps", "a,b", "cosine", "{}", "nan"]
OLD = ["--evaluation_strategy", "--no_cuda", "--group_by_length", "--warmup_ratio", "--fp16_opt_level", "--adafactor"]
STRAY = [
    "--lerning_rate",
    "--",
    "-x",
    "stray",
    "--no_such",
    "--learn",
    "--num_train",
    "--do",
    "--no_do_train",
    "--config",
]


@pytest.fixture(scope="module", params=[CLASSIFICATION, TAGGING], ids=lambda line: line.name)
def parsers(request):
    """Give the parser that is asked before the imports, and the one that is asked after."""
    line = request.param
    settings = {"defaults": line.defaults, "scratch_defaults": line.scratch_defaults}
    return tuple(
        ScriptArgumentParser([*line.types, training], **settings)
        for training in (outline_training_arguments(), ExtTrainingArguments)
    )


def draw_command_line(draw, flags, folder):
    """Draw a few words that may be right or wrong; sometimes a file of settings in front."""
    words = []
    if draw.random() < 0.3:
        path = folder / f"{draw.randrange(10**9)}.{draw.choice(['yaml', 'json', 'txt'])}"
        settings = {draw.choice(flags).removeprefix("--"): draw.choice([*WORDS, 1, 0.5, True, None, ["a", "b"]])}
        path.write_text(json.dumps(settings), encoding="utf-8")
        words.append(str(path if draw.random() < 0.9 else path.with_name("none.yaml")))
    for _ in range(draw.randint(0, 4)):
        flag = draw.choice([draw.choice(flags), draw.choice(flags), draw.choice(flags), draw.choice(OLD + STRAY)])
        if draw.random() < 0.2:
            flag = flag.replace("_", "-")
        if draw.random() < 0.1:
            flag = flag[: draw.randint(4, 40)]
        value = draw.choice(WORDS)
        words += draw.choice([[flag], [flag, value], [f"{flag}={value}"]])
    return words


def answer(parser, words, *, fills):
    """Give what a parser makes of a command line: words and notices, or the message of the refusal."""
    try:
        read = parser.read_words(words)
        if fills:
            parser.fill(read[0])
    except UserError as error:
        return str(error)
    return read


@pytest.mark.slow
def test_quick_and_slow_parser_say_the_same_of_hundreds_of_command_lines(parsers, tmp_path):
    quick, slow = parsers
    flags = sorted(option for action in slow._actions for option in action.option_strings)
    # the help leaves; a configuration of parallelism is an object that no word makes
    flags = [flag for flag in flags if not flag.startswith(("-h", "--help", "--parallelism"))]
    draw, refused = random.Random(0), 0
    for _ in range(200):
        words = draw_command_line(draw, flags, tmp_path)
        found, expected = (answer(parser, words, fills=False) for parser in parsers)
        assert found == expected, words
        refused += isinstance(found, str)
        filled = answer(quick, words, fills=True)
        if isinstance(filled, str):  # then the slow one refuses it, too, and for the same reason
            assert answer(slow, words, fills=True) == filled, words
    assert 30 < refused < 170


# --- files -----------------------------------------------------------------------------------------------------------


def check(*argv, types=(ModelArguments, DataArguments)):
    check_command_line(types, None, argv=list(argv), trains=TokenizerArguments not in types)


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--do_train", "--train_file", "none.csv"], "none.csv: no such file – check --train_file"),
        (["--do_eval", "--validation_file", "none.csv"], "none.csv: no such file – check --validation_file"),
        (["--do_predict", "--test_file", "none.csv"], "none.csv: no such file – check --test_file"),
        (["--do_train", "--data_dir", "none"], "none: no such folder – check --data_dir"),
        (["--do_train", "--train_file", "rows.csv", "--label_file", "x"], "x: no such file – check --label_file"),
    ],
)
def test_a_missing_file_is_named_with_its_flag(argv, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("text,label\na,b\n", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        check(*argv)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"hf_ext: error: {named}\n"


@pytest.mark.parametrize(
    "argv",
    [
        ["--do_train", "--train_file", "a,b.csv"],
        ["--do_train", "--test_file", "none.csv"],
        ["--do_train"],
        ["--model_name_or_path", "none"],
        [],
    ],
    ids=["a comma in a name", "a file that is not read", "demo", "a model of the Hub", "nothing"],
)
def test_what_may_be_right_is_left_to_the_run(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.csv").write_text("text,label\na,b\n", encoding="utf-8")
    check(*argv)
    assert capsys.readouterr() == ("", "")


def test_several_files_and_patterns_of_a_corpus(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a\n", encoding="utf-8")
    types = (TextLinesArguments, TokenizerArguments)
    check("--train_file", "a.txt, b/*.txt,hf://x/y.txt,.", types=types)
    with pytest.raises(SystemExit):
        check("--train_file", "a.txt,b.txt", types=types)
    assert "b.txt: no such file – check --train_file" in capsys.readouterr().err


def test_the_quick_look_says_nothing_of_old_flags_which_the_run_says(caplog, capsys):
    check("--evaluation_strategy", "epoch")
    assert not caplog.records
    assert capsys.readouterr() == ("", "")
