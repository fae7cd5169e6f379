"""The one YAML or JSON file that a command line may name: found among the words, read, checked for repeated keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hf_ext.errors import UserError

CONFIG_SUFFIXES = (".json", ".yaml", ".yml")
FOREIGN_SUFFIXES = (".py", ".ini", ".cfg", ".conf", ".toml")


def split_settings_file(argv: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Take the settings file out of a command line: the first word if it is no flag, or the one after ``--config``.

    Returns:
        The file, None without one, and the other words.

    Raises:
        UserError: If what stands there is no YAML or JSON file.
    """
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


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings, one value or list a flag.

    Raises:
        UserError: If the file is missing, broken or empty, or a key stands there twice; with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            settings = json.loads(text, object_pairs_hook=lambda pairs: _without_repeats(pairs, path))
        else:
            settings = yaml.safe_load(text)
            _check_repeats(yaml.compose(text, Loader=yaml.SafeLoader), path)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError("no such file", where=str(path), fix="check the path of the configuration") from None
    except json.JSONDecodeError as error:
        raise UserError(f"broken JSON ({error.msg})", where=f"{path}:{error.lineno}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"broken YAML ({error.problem})", where=f"{path}:{line}") from None
    except (UnicodeDecodeError, OSError, yaml.YAMLError) as error:
        raise UserError(
            f"cannot be read ({_first_line(error)})", where=str(path), fix="save it as utf-8 text"
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, the 99th of May, endless brackets
        what = f"holds a value that cannot be read ({_first_line(error)})"
        raise UserError(what, where=str(path), fix="put it in quotation marks") from None
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise UserError("holds no settings", where=str(path), fix="write one `flag: value` a line")
    return settings


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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
