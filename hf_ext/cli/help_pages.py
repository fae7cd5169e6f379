"""What ``--help`` and ``--help_all`` show: the flags in chapters, in the order in which a user meets them."""

from __future__ import annotations

import dataclasses
import re
import shutil
import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

USAGE = "usage: {program} [settings.yaml | settings.json] [--flag value ...]"
NARROWEST, WIDEST = 60, 120  # columns
FLAG_COLUMNS = 32
MOST_CHOICES = 8  # more of them are listed by --help_all only
SENTENCE_END = re.compile(r"(?<=[^.][^.][.!?])\s+(?=[A-Z`\'])")  # not behind e.g.
REST = "The other arguments of transformers' Trainer"

# The arguments of transformers that most runs need, in chapters; the others are left to --help_all.
COMMON: dict[str, tuple[str, ...]] = {
    "What to do, and where to write it": (
        *("do_train", "do_eval", "do_predict", "output_dir", "overwrite_output_dir", "resume_from_checkpoint"),
        *("seed", "use_cpu", "report_to", "push_to_hub"),
    ),
    "Training: how long, and at which rate": (
        *("num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
        *("learning_rate", "lr_scheduler_type", "warmup_steps", "optim", "weight_decay", "max_grad_norm"),
        *("label_smoothing_factor", "precision", "bf16", "fp16", "torch_compile", "activation_checkpointing"),
        "dataloader_num_workers",
    ),
    "Evaluation and checkpoints: how often, and which one is kept": (
        *("per_device_eval_batch_size", "eval_strategy", "eval_steps", "save_strategy", "save_steps"),
        *("save_total_limit", "load_best_model_at_end", "metric_for_best_model", "greater_is_better", "logging_steps"),
    ),
}
FIRST_CHAPTER, *OTHER_CHAPTERS = COMMON


class HelpPage:
    """The help of a script.

    Args:
        types: Its argument dataclasses; one that reads data comes first in the help, training last.
        description: The script's docstring: a sentence, and commands in indented lines.
        defaults: Values that stand in for the dataclasses' own.
        scratch_defaults: More of them for runs that name no pretrained model.
    """

    def __init__(
        self, types: Sequence[type], description: str, defaults: Mapping[str, Any], scratch_defaults: Mapping[str, Any]
    ) -> None:
        self.types = sorted(types, key=lambda kind: "train_file" not in kind.__dataclass_fields__)  # type: ignore[attr-defined]
        self.description = description
        self.defaults = defaults
        self.scratch_defaults = scratch_defaults

    def write(self, actions: Mapping[str, Action], *, program: str, everything: bool = False) -> str:
        """Write the page, as wide as the terminal.

        Args:
            actions: The flags of the parser by name.
            program: What the user called.
            everything: Whether the arguments that few runs need are shown too, and help texts in full.
        """
        width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
        lines = self.description.strip().splitlines()
        chapters = [USAGE.format(program=program), *map(textwrap.TextWrapper(width).fill, lines[:1])]
        for title, names in self._chapters(actions, everything=everything):
            entries = [self._entry(actions[name], width, everything=everything) for name in names if name in actions]
            if entries:
                chapters.append("\n".join([*textwrap.wrap(title, width), *entries]))
        examples = [_example(line, width) for line in lines if line.startswith("    ")]
        if examples:
            chapters.append("\n".join(["Examples", *examples]))
        return "\n\n".join(chapters) + "\n"

    def _chapters(self, actions: Mapping[str, Action], *, everything: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
        common = {name for names in COMMON.values() for name in names} | {"help", "help_all"}
        yield FIRST_CHAPTER, COMMON[FIRST_CHAPTER] if "do_train" in actions else ()
        late: list[tuple[str, tuple[str, ...]]] = []  # of training: the methods in front of transformers' own
        for kind in self.types:
            trains = "do_train" in kind.__dataclass_fields__  # type: ignore[attr-defined]
            for owner, names in _by_owner(kind).items():
                shown = tuple(name for name in names if name not in common or not trains)
                if not trains:
                    yield _title(owner), shown
                elif owner.__name__ != "TrainingArguments":
                    late.insert(0, (_title(owner), shown))
                elif everything:
                    late.append((REST, shown))
        yield from ((title, COMMON[title]) for title in OTHER_CHAPTERS if "do_train" in actions)
        yield from late
        yield "Help", ("help", "help_all")

    def _entry(self, action: Action, width: int, *, everything: bool) -> str:
        head = f"  --{action.dest}{_metavar(action)}"
        text = _explain(action, everything=everything)
        default = self._default(action) if action.default != SUPPRESS else ""
        text = f"{text} (default: {default})" if default else text
        lines = textwrap.wrap(text, width - FLAG_COLUMNS) or [""]
        if len(head) < FLAG_COLUMNS - 1:
            lines[0] = head.ljust(FLAG_COLUMNS) + lines[0]
            return "\n".join([lines[0], *(" " * FLAG_COLUMNS + line for line in lines[1:])])
        return "\n".join([head, *(" " * FLAG_COLUMNS + line for line in lines)])

    def _default(self, action: Action) -> str:
        shown = _show(self.defaults.get(action.dest, action.default))
        if shown == "on":
            shown = f"on; off by --no_{action.dest}"
        scratch = _show(self.scratch_defaults.get(action.dest))
        if scratch and scratch != shown:
            shown = f"{shown}; {scratch} from scratch" if shown else f"{scratch} from scratch"
        return shown


def _by_owner(kind: type) -> dict[type, list[str]]:
    """Sort the fields of a dataclass by the class that names them first."""
    bases = [base for base in reversed(kind.__mro__) if dataclasses.is_dataclass(base)]
    owners: dict[type, list[str]] = {base: [] for base in bases}
    for name in kind.__dataclass_fields__:  # type: ignore[attr-defined]
        owners[next(base for base in bases if name in base.__annotations__)].append(name)
    return owners


def _title(owner: type) -> str:
    """Make ``Loss: what is minimised`` of ``LossArguments`` and its docstring."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", owner.__name__.removesuffix("Arguments")).capitalize()
    said = (owner.__doc__ or "").strip().splitlines()[0].rstrip(".")
    return f"{name}: {said[:1].lower()}{said[1:]}"


def _metavar(action: Action) -> str:
    kind = getattr(action.type, "__name__", "")
    if action.nargs in (0, "?"):
        return ""
    word = {"int": "N", "float": "X", "string_to_bool": "true|false"}.get(kind, "TEXT")
    if action.choices is not None:
        word = "CHOICE"
    return f" {word} ..." if action.nargs == "+" else f" {word}"


def _explain(action: Action, *, everything: bool) -> str:
    text = " ".join((action.help or "").replace("%%", "%").split())
    if not everything:
        text = SENTENCE_END.split(text)[0]
    choices = [str(choice) for choice in action.choices or ()]
    if choices and (everything or len(choices) <= MOST_CHOICES) and not all(choice in text for choice in choices):
        text = f"{text} [{' | '.join(choices)}]"
    return text


def _example(line: str, width: int) -> str:
    """Set a command below its remark, and break it where it is too long."""
    command, _, remark = line.partition(" # ")
    lines = textwrap.wrap(" ".join(command.split()), width - 6, break_long_words=False, break_on_hyphens=False)
    shown = "  " + " \\\n      ".join(lines)
    return f"  # {remark}\n{shown}" if remark else shown


def _show(value: Any) -> str:
    value = getattr(value, "value", value)  # an enumeration shows its word
    if value is None or value is False or value in ("", []):
        return ""
    if value is True:
        return "on"
    return repr(value) if isinstance(value, str) and not value.strip() else str(value)
