"""``--help`` and mistakes in a command line, answered before torch is loaded."""

from __future__ import annotations

import glob
import logging
from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

from hf_ext.cli.parsing import ScriptArgumentParser
from hf_ext.cli.running import run_script
from hf_ext.cli.transformers_source import read_training_arguments
from hf_ext.errors import UserError
from hf_ext.training.argument_groups import ARGUMENT_GROUPS

# A flag that names files, and the flag without which they may not be read; None: they always are.
FILE_FLAGS = {
    "data_dir": "do_train",
    "train_file": "do_train",
    "validation_file": "do_eval",
    "test_file": "do_predict",
    "label_file": "do_train",
    "column_file": "do_train",
    "split_indices": "do_train",
}


def check_command_line(
    types: Sequence[type],
    description: str | None,
    *,
    trains: bool = True,
    defaults: Mapping[str, Any] | None = None,
    scratch_defaults: Mapping[str, Any] | None = None,
    argv: Sequence[str] | None = None,
) -> None:
    """Print the help and leave, or leave with one line if the command line is wrong; else do nothing.

    A script calls it above the imports that take seconds. Whatever passes is read again, and checked further, by
    ``parse_arguments``; both use the same parser, so they never disagree.

    Args:
        types: The script's argument dataclasses, without that of training.
        description: The script's docstring.
        trains: Whether the script also takes ``ExtTrainingArguments``.
        defaults: As for ``parse_arguments``.
        scratch_defaults: As for ``parse_arguments``.
        argv: The words of the command line; ``sys.argv[1:]`` when unset.
    """
    outline = outline_training_arguments() if trains else None
    if trains and outline is None:
        return  # another transformers than we know: main() imports it and answers then
    parser = ScriptArgumentParser(
        [*types, outline] if outline else types,
        description=description,
        defaults=defaults,
        scratch_defaults=scratch_defaults,
    )
    run_script(lambda words: _check(parser, words), argv)


def outline_training_arguments() -> type | None:
    """Give a dataclass with the fields of ``ExtTrainingArguments`` and without its checks, or None if that fails."""
    parent = read_training_arguments()
    if parent is None:
        return None
    unchecked = {"__post_init__": lambda self: None}
    return make_dataclass("ExtTrainingArguments", [], bases=(*ARGUMENT_GROUPS, parent), namespace=unchecked)


def _check(parser: ScriptArgumentParser, argv: Sequence[str]) -> None:
    words, _ = parser.read_words(argv)
    logging.disable()  # main() fills them again, and what is worth saying is said there
    try:
        filled = parser.fill(words)
    finally:
        logging.disable(logging.NOTSET)
    given = {name: value for arguments in filled for name, value in vars(arguments).items()}
    for flag, leader in FILE_FLAGS.items():
        if given.get(flag) and given.get(leader, True):
            _check_files(flag, given[flag])
    if given.get("tune"):
        from hf_ext.cli.tuning.space_file import read_space

        read_space(Path(given["tune"]), parser, parser.read_given(argv))


def _check_files(flag: str, named: str) -> None:
    """Refuse a file or folder that is not there; a flag may name several with commas, and patterns."""
    names = [named] if Path(named).exists() else named.split(",")
    for name in map(str.strip, names):
        if name and not glob.has_magic(name) and "://" not in name and not Path(name).expanduser().exists():
            what = "no such folder" if flag == "data_dir" else "no such file"
            raise UserError(what, where=name, fix=f"check --{flag}")
