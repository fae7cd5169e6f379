"""Arguments from the command line, from one JSON or YAML file, or from both; the command line wins.

A file is turned into command-line words that stand before the typed ones, so argparse itself settles which value
holds and of which type it is: a typed flag wins even when it repeats a default, and ``1e-5`` in YAML is a number.
"""

from __future__ import annotations

import json
import logging
from argparse import Action
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from transformers import HfArgumentParser

from hf_ext.cli.legacy import translate_legacy_flags
from hf_ext.errors import UserError, did_you_mean

logger = logging.getLogger(__name__)

USAGE = "%(prog)s [settings.yaml | settings.json] [--flag value ...]"
CONFIG_SUFFIXES = (".json", ".yaml", ".yml")
FOREIGN_SUFFIXES = (".py", ".ini", ".cfg", ".conf", ".toml")


class ScriptArgumentParser(HfArgumentParser):
    """An ``HfArgumentParser`` that answers a mistake in one line instead of the wall of all flags."""

    where = "command line"  # what is being read, for messages

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises:
            UserError: Always.
        """
        raise UserError(message, where=self.where, fix="--help lists the flags")


def parse_arguments(
    types: Sequence[type],
    argv: Sequence[str],
    *,
    defaults: Mapping[str, Any] | None = None,
    scratch_defaults: Mapping[str, Any] | None = None,
) -> tuple[Any, ...]:
    """Fill one dataclass of each type from ``argv``, which may name one JSON or YAML file.

    Args:
        types: Argument dataclasses, as for ``HfArgumentParser``.
        argv: The words of the command line, without the program's name.
        defaults: Values that stand in for the dataclasses' own; anything given wins over them.
        scratch_defaults: More of them for runs that name no pretrained model.

    Returns:
        The filled dataclasses, in the order of ``types``.

    Raises:
        UserError: For an unknown flag or key (with the nearest known one), a value of the wrong type, a file that
            cannot be read, or a value that a dataclass refuses.
    """
    parser = ScriptArgumentParser(list(types), allow_abbrev=True, usage=USAGE)  # type: ignore[arg-type]
    actions = {action.dest: action for action in parser._actions}
    config_file, typed = _split_config_file(argv)
    typed, notices = translate_legacy_flags(typed)
    written: list[str] = []
    if config_file is not None:
        settings = _read_settings(config_file)
        written, more = translate_legacy_flags(_as_words(settings, actions))
        _refuse_unknown(written, actions, where=str(config_file))
        notices += more
        parser.where = str(config_file)  # where a value of the wrong type stands
        parser.parse_known_args(written)
        parser.where = "command line"
    for notice in dict.fromkeys(notices):
        logger.warning(notice)
    given = [*written, *typed]
    known, _ = parser.parse_known_args(given)
    stand_ins = dict(defaults or {})
    if getattr(known, "model_name_or_path", None) is None:
        stand_ins |= scratch_defaults or {}
    return _fill(parser, [*_as_words(stand_ins, actions), *given], actions)


def _fill(parser: HfArgumentParser, words: list[str], actions: Mapping[str, Action]) -> tuple[Any, ...]:
    try:
        *filled, rest = parser.parse_args_into_dataclasses(words, return_remaining_strings=True)
    except UserError:
        raise
    # from __post_init__ of a dataclass; the others where a flag asks for a package or a file that is not there
    except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
        raise UserError(" ".join(str(error).split()), where="arguments") from error
    _refuse_unknown(rest, actions, where="command line")
    if rest:
        raise UserError(f"{rest[0]!r} belongs to no flag", where="command line", fix="quote values with spaces")
    return tuple(filled)


def _refuse_unknown(words: Iterable[str], actions: Mapping[str, Action], *, where: str) -> None:
    for word in words:
        name = word.removeprefix("--").partition("=")[0].replace("-", "_")
        if word.startswith("--") and name not in actions and name.removeprefix("no_") not in actions:
            raise UserError(f"there is no argument {name!r}", where=where, fix=did_you_mean(name, actions))


def _split_config_file(argv: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Take the configuration file out of the words: the first one if it is no flag, or the one after ``--config``."""
    words = list(argv)
    if words and not words[0].startswith("-"):
        named = words.pop(0)
    elif "--config" in words:
        position = words.index("--config")
        if position + 1 == len(words):
            raise UserError("--config names no file", where="command line", fix="give a .yaml or .json file")
        named = words[position + 1]
        del words[position : position + 2]
    else:
        return None, words
    path = Path(named)
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        raise UserError(
            f"settings are read from YAML or JSON, not from {path.suffix} files",
            where=named,
            fix="write one `flag: value` a line into a .yaml file, e.g. `learning_rate: 2e-5`, and give that",
        )
    if path.suffix.lower() not in CONFIG_SUFFIXES:
        raise UserError(f"{named!r} is neither a flag nor a .yaml or .json file", where="command line")
    return path, words


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            settings = json.loads(text, object_pairs_hook=lambda pairs: _without_repeats(pairs, path))
        else:
            settings = yaml.safe_load(text)
            _check_repeats(yaml.compose(text, Loader=yaml.SafeLoader), path)
    except FileNotFoundError:
        raise UserError("no such file", where=str(path), fix="check the path of the configuration") from None
    except json.JSONDecodeError as error:
        raise UserError(f"broken JSON ({error.msg})", where=f"{path}:{error.lineno}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"broken YAML ({error.problem})", where=f"{path}:{line}") from None
    except (UnicodeDecodeError, OSError, yaml.YAMLError) as error:
        raise UserError(f"cannot be read ({error})", where=str(path), fix="save it as utf-8 text") from None
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise UserError("holds no settings", where=str(path), fix="write one `flag: value` a line")
    return settings


def _without_repeats(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    settings = dict(pairs)
    if len(settings) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{twice!r} stands there twice", where=str(path), fix="keep one of them")
    return settings


def _check_repeats(node: yaml.Node | None, path: Path) -> None:
    """Refuse a YAML key that stands twice, of which PyYAML would quietly take the last."""
    seen = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value in seen:
            where = f"{path}:{key.start_mark.line + 1}"
            raise UserError(f"{key.value!r} stands there twice", where=where, fix="keep one of them")
        seen.add(key.value)


def _as_words(settings: Mapping[str, Any], actions: Mapping[str, Action]) -> list[str]:
    """Write settings as command-line words; a key that is no flag stays and is refused later."""
    words: list[str] = []
    for key, value in settings.items():
        if value is None:
            continue
        action = actions.get(key)
        if isinstance(value, list) and action is not None and action.nargs == "+":
            words += [f"--{key}", *map(_as_text, value)]
        else:
            words.append(f"--{key}={_as_text(value)}")
    return words


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(_as_text, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
