"""The YAML file that says what ``--tune`` may try for which flag; read and checked without torch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from hf_ext.cli.parsing import ScriptArgumentParser, as_words
from hf_ext.cli.settings_file import read_settings
from hf_ext.errors import UserError, did_you_mean
from hf_ext.models.checkpoint_arguments import CheckpointArguments
from hf_ext.training.argument_groups import (
    AdversarialArguments,
    LossArguments,
    OptimizationArguments,
    RegularizationArguments,
)
from hf_ext.training.lora_arguments import LoraArguments
from hf_ext.training.tuning.space import Choices, NumberRange, SearchSpace, Value

# of transformers' own arguments those that decide what is learned; the others say where, how fast and how often
TRAINING_FLAGS = (
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "num_train_epochs", "max_steps"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "max_grad_norm", "label_smoothing_factor"),
    *("optim", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "neftune_noise_alpha"),
)
TRAINING_GROUPS = (
    *(AdversarialArguments, OptimizationArguments, LossArguments, RegularizationArguments, LoraArguments),
)
# which checkpoint it is, and what tokenizer and features are made with before the search begins
FIXED_MODEL_FLAGS = (set(CheckpointArguments.__dataclass_fields__) - {"freeze_encoder"}) | {
    *("embedding_file", "vocab_size", "min_token_count", "do_lower_case", "tokenizer_level", "character_encoder"),
}
RANGE_KEYS = ("low", "high", "log", "step")


def searchable_flags(types: tuple[type, ...]) -> set[str]:
    """Name the flags of some argument dataclasses that a search may choose."""
    names: set[str] = set()
    for kind in types:
        fields = set(kind.__dataclass_fields__)  # type: ignore[attr-defined]
        if issubclass(kind, CheckpointArguments):
            names |= fields - FIXED_MODEL_FLAGS
        elif "do_train" in fields:
            names |= {name for group in TRAINING_GROUPS for name in group.__dataclass_fields__}
            names |= fields.intersection(TRAINING_FLAGS)
    return names


def read_space(path: Path, parser: ScriptArgumentParser, given: Mapping[str, Any]) -> SearchSpace:
    """Read what may be tried for each flag, and try every choice and both ends of every range on the command line.

    Args:
        path: The file: a flag a line, with a list of choices or ``{low, high, log, step}``.
        parser: Of the command.
        given: The settings of the run beside which the values stand.

    Raises:
        UserError: In one line with file and line: for a name that is no flag or is not searched, an empty range, a
            value that the flag does not take.
    """
    settings, lines = read_settings(path), _read_lines(path)
    space = {}
    for name, written in settings.items():
        with _blame_line(path, lines.get(name), name):
            _check_name(name, parser)
            space[name] = _read_part(written)
    plain = {name: value for name, value in given.items() if name not in space}
    first = {name: part.extremes[0] for name, part in space.items()}
    for name, part in space.items():
        with _blame_line(path, lines.get(name), name):
            for value in part.extremes:
                _try_value(parser, plain, first, {name: value})
    return space


def _check_name(name: str, parser: ScriptArgumentParser) -> None:
    known = searchable_flags(tuple(parser.dataclass_types))
    if name in known:
        return
    if name in parser.actions:
        fix = "set it on the command line; docs/choosing.md lists what is searched"
        raise UserError("this flag is not searched: it decides what is read, where, or how often", fix=fix)
    raise UserError("there is no such flag", fix=did_you_mean(name, known))


def _read_part(written: Any) -> Choices | NumberRange:
    """Turn what stands behind a flag into choices or a range.

    Raises:
        UserError: If it is neither.
        ValueError: If it is empty, or its numbers contradict one another.
    """
    if isinstance(written, list):
        return Choices(tuple(_as_choice(value) for value in written))
    if not isinstance(written, dict):
        fix = "write a list, e.g. [1, 2], or a range, e.g. {low: 1.0, high: 2.0}"
        raise UserError(f"{written!r} is neither choices nor a range", fix=fix)
    for key in written:
        if key not in RANGE_KEYS:
            raise UserError(f"a range has no {key!r}", fix=did_you_mean(str(key), RANGE_KEYS))
    if not isinstance(written.get("log", False), bool):
        raise UserError(f"log is true or false, got {written['log']!r}")
    for key in ("low", "high"):
        if written.get(key) is None:
            raise UserError(f"the range has no {key}", fix="write e.g. {low: 1e-5, high: 1e-4, log: true}")
    step = written.get("step")
    return NumberRange(
        _as_number(written["low"]),
        _as_number(written["high"]),
        log=written.get("log", False),
        step=None if step is None else _as_number(step),
    )


def _as_choice(value: Any) -> Value:
    """Take a list as the text that its flag reads (``[3, 4]`` as ``3,4``)."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UserError(f"{value!r} is no choice", fix="write numbers or words")


def _as_number(value: Any) -> int | float:
    """Read a number; YAML takes ``1e-5``, which has no point, for a word."""
    if isinstance(value, bool):
        raise UserError(f"{value!r} is no number")
    if isinstance(value, int):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"{value!r} is no number") from None


def _try_value(
    parser: ScriptArgumentParser, plain: Mapping[str, Any], first: Mapping[str, Value], value: Mapping[str, Value]
) -> None:
    """Fill the dataclasses with a value by itself or, if that fails, beside the first values of the other flags.

    Raises:
        UserError: If both fail.
    """
    for others in (first, {}):
        try:
            _fill(parser, {**plain, **others, **value})
            return
        except UserError as error:
            refusal = error
    raise refusal


def _fill(parser: ScriptArgumentParser, settings: Mapping[str, Any]) -> None:
    before, where = logging.root.manager.disable, parser.where
    logging.disable()  # what is worth saying of a value is said in its trial
    parser.where = ""  # the line of the file stands before it
    try:
        words, _ = parser.read_words(as_words(settings, parser.actions))
        parser.fill(words)
    finally:
        logging.disable(before)
        parser.where = where


@contextmanager
def _blame_line(path: Path, line: int | None, name: str) -> Iterator[None]:
    try:
        yield
    except (UserError, ValueError) as error:
        place = str(path) if line is None else f"{path}:{line}"
        raise UserError(f"{name}: {error}", where=place) from error


def _read_lines(path: Path) -> dict[str, int]:
    """Give the line of each flag; JSON is read as the YAML that it nearly is, or not at all."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return {}
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return {key.value: key.start_mark.line + 1 for key, _ in pairs}
