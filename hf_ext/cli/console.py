"""``hf-ext``: one console command in front of everything that hf_ext does; its own help loads no library.

hf-ext train-classification --do_train --do_eval
torchrun --nproc_per_node=4 -m hf_ext train-ner examples/wnut17.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

PROGRAM = "hf-ext"
USAGE = f"""usage: {PROGRAM} COMMAND [settings.yaml | settings.json] [--flag value ...]

Fine-tune encoders with Hugging Face, right, fast and kind.

"""
HINT = f"\n{PROGRAM} COMMAND --help lists the flags of a command, {PROGRAM} --version gives the version.\n"


@dataclass(frozen=True)
class Command:
    """One command of the console.

    Attributes:
        purpose: What it does, for the table of commands.
        module: The module whose ``main`` takes the words behind the command.
        line: Its name in ``hf_ext.cli.command_lines``: checked before the module, and torch with it, is loaded.
    """

    purpose: str
    module: str
    line: str = ""

    def run(self, argv: list[str]) -> Any:
        """Import the module and call its ``main``."""
        return import_module(self.module).main(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Start the command that the first word names, with the words behind it.

    Args:
        argv: The words of the command line; ``sys.argv[1:]`` when unset.
    """
    name, *words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(list_commands())
        return
    if name == "--version":
        from hf_ext import __version__

        sys.stdout.write(f"{PROGRAM} {__version__}\n")
        return
    start(name, words)


def list_commands() -> str:
    """Write what ``hf-ext --help`` shows."""
    width = max(map(len, COMMANDS)) + 2
    rows = [f"  {name.ljust(width)}{command.purpose}\n" for name, command in COMMANDS.items()]
    return USAGE + "".join(rows) + HINT


def start(name: str, words: Sequence[str]) -> None:
    """Run one command as a script of its own; its messages and its help bear its name.

    Args:
        name: The command; an unknown one ends the program with one line and status 2.
        words: What stands behind it.
    """
    from hf_ext.cli.running import run_script

    run_script(_refuse_unknown, [name])
    sys.argv = [f"{PROGRAM} {name}", *words]
    command = COMMANDS[name]
    if command.line:
        getattr(import_module("hf_ext.cli.command_lines"), command.line).check()
    run_script(command.run)


def _refuse_unknown(words: Sequence[str]) -> None:
    from hf_ext.errors import UserError, did_you_mean

    if words[0] not in COMMANDS:
        what = f"there is no command {words[0]!r}"
        raise UserError(what, where="command line", fix=did_you_mean(words[0], COMMANDS))


ROOM = "hf_ext.cli.commands"

COMMANDS = {
    "train-classification": Command(
        "train a classifier or regressor of texts, pairs, rows with columns",
        f"{ROOM}.train_classification",
        "CLASSIFICATION",
    ),
    "train-ner": Command("train a tagger of words: names, slots, parts of speech", f"{ROOM}.train_ner", "TAGGING"),
    "pretrain": Command(
        "pretrain an encoder on plain text, further or from scratch", f"{ROOM}.pretrain", "PRETRAINING"
    ),
    "train-tokenizer": Command(
        "train a tokenizer on text, or teach an old one new words", f"{ROOM}.train_tokenizer", "TOKENIZER"
    ),
    "check": Command("say what is wrong with the data of a run, without the run", "hf_ext.cli.checking"),
    "predict": Command("answer the rows of a file by a saved model", "hf_ext.inference.predict_command"),
    "export": Command("write a saved model as ONNX, compared with the original", "hf_ext.inference.export_command"),
    "serve": Command("try a saved model on a web page of this machine", "hf_ext.inference.serve_command"),
    "env": Command("show versions, devices and extras, for a report of a mistake", f"{ROOM}.env"),
}
