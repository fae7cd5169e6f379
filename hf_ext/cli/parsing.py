"""Arguments from the command line, from one JSON or YAML file, or from both; the command line wins.

A file is turned into command-line words that stand before the typed ones, so argparse itself settles which value
holds and of which type it is: a typed flag wins even when it repeats a default, and ``1e-5`` in YAML is a number.
"""

from __future__ import annotations

import json
import logging
import sys
from argparse import SUPPRESS, Action, Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from hf_ext.cli.help_pages import HelpPage
from hf_ext.cli.legacy import translate_legacy_flags
from hf_ext.cli.settings_file import read_settings, split_settings_file
from hf_ext.cli.transformers_source import load_parser_class
from hf_ext.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from transformers import HfArgumentParser
else:
    HfArgumentParser = load_parser_class()  # the same class, without the import of transformers

logger = logging.getLogger(__name__)

SECRETS = ("hub_token", "token")  # what stands in a file or a list of processes is no secret any more


class ScriptArgumentParser(HfArgumentParser):
    """An ``HfArgumentParser`` with a help in chapters, and mistakes in one line instead of the wall of all flags.

    Args:
        types: Argument dataclasses, as for ``HfArgumentParser``.
        description: The script's docstring, whose first line and examples the help shows.
        defaults: Values that stand in for the dataclasses' own.
        scratch_defaults: More of them for runs that name no pretrained model.
    """

    where = "command line"  # what is being read, for messages

    def __init__(
        self,
        types: Sequence[type],
        *,
        description: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        scratch_defaults: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(list(types), allow_abbrev=True, add_help=False)  # type: ignore[arg-type]
        self.defaults, self.scratch_defaults = dict(defaults or {}), dict(scratch_defaults or {})
        self.page = HelpPage(types, description or "", self.defaults, self.scratch_defaults)
        self.add_argument("-h", "--help", action="help", help="Show the flags that most runs need, in short.")
        self.add_argument(
            *("--help_all", "--help-all"),
            action=_HelpAllAction,
            nargs=0,
            default=SUPPRESS,
            help="Show every flag, with its whole text.",
        )
        self.actions = {action.dest: action for action in reversed(self._actions)}  # by name; --no_x stands behind x

    def format_help(self) -> str:
        """Write what ``--help`` shows."""
        return self.page.write(self.actions, program=self.prog)

    def format_full_help(self) -> str:
        """Write what ``--help_all`` shows."""
        return self.page.write(self.actions, program=self.prog, everything=True)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises:
            UserError: Always.
        """
        raise UserError(message, where=self.where, fix="--help lists the flags")

    def read_words(self, argv: Sequence[str]) -> tuple[list[str], list[str]]:
        """Bring a command line into today's flags, the settings of its file in front.

        Args:
            argv: The words of the command line, without the program's name; they may name one JSON or YAML file.

        Returns:
            The words, with the defaults of the script before them, and one notice for each flag that was renamed.

        Raises:
            UserError: For an unknown flag or key (with the nearest known one), a value of the wrong type, a file that
                cannot be read, a token.
        """
        given, notices = self._read_given(argv)
        known = self.parse_known_args(given)[0]
        scratch = self.scratch_defaults if getattr(known, "model_name_or_path", None) is None else {}
        return [*as_words(self.defaults | scratch, self.actions), *given], notices

    def read_given(self, argv: Sequence[str]) -> dict[str, Any]:
        """Give what a command line and its file set, by flag, without any default.

        Args:
            argv: The words of the command line, without the program's name; they may name one JSON or YAML file.

        Raises:
            UserError: As ``read_words`` does.
        """
        nothing = object()
        settings = Namespace(**dict.fromkeys(self.actions, nothing))
        self.parse_known_args(self._read_given(argv)[0], settings)
        found = {action.dest: getattr(settings, action.dest, nothing) for action in self._actions}
        return {name: value for name, value in found.items() if value is not nothing}

    def _read_given(self, argv: Sequence[str]) -> tuple[list[str], list[str]]:
        file, typed = split_settings_file(argv)
        typed, notices = translate_legacy_flags(typed)
        written: list[str] = []
        if file is not None:
            written, more = translate_legacy_flags(as_words(read_settings(file), self.actions))
            _refuse_unknown(written, self.actions, where=str(file))
            notices += more
            self.where = str(file)  # where a value of the wrong type stands
            _refuse_secrets(self.parse_known_args(written)[0], where=str(file))
            self.where = "command line"
        given = [*written, *typed]
        known, rest = self.parse_known_args(given)
        _refuse_secrets(known, where="command line")
        _refuse_unknown(rest, self.actions, where="command line")
        if rest:
            raise UserError(f"{rest[0]!r} belongs to no flag", where="command line", fix="quote values with spaces")
        return given, list(dict.fromkeys(notices))

    def fill(self, words: Sequence[str]) -> tuple[Any, ...]:
        """Fill one dataclass of each type.

        Raises:
            UserError: For a value that a dataclass refuses.
        """
        try:
            return tuple(self.parse_args_into_dataclasses(list(words)))
        except UserError:
            raise
        # from __post_init__ of a dataclass; the others where a flag asks for a package or a file that is not there
        except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
            raise UserError(" ".join(str(error).split()), where="arguments") from error


class _HelpAllAction(Action):
    """Print the long help and leave, as argparse does for ``--help``."""

    def __call__(self, parser: Any, *_: Any) -> NoReturn:
        sys.stdout.write(parser.format_full_help())
        raise SystemExit(0)


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
    parser = ScriptArgumentParser(types, defaults=defaults, scratch_defaults=scratch_defaults)
    words, notices = parser.read_words(argv)
    for notice in notices:
        logger.warning(notice)
    return parser.fill(words)


def _refuse_secrets(known: Namespace, *, where: str) -> None:
    for name in SECRETS:
        if getattr(known, name, None) is not None:
            fix = "leave it out, and set the environment variable HF_TOKEN or log in once with `hf auth login`"
            raise UserError(f"--{name} would show a token to others", where=where, fix=fix)


def _refuse_unknown(words: Iterable[str], actions: Mapping[str, Action], *, where: str) -> None:
    for word in words:
        name = word.removeprefix("--").partition("=")[0].replace("-", "_")
        if word.startswith("--") and name not in actions and name.removeprefix("no_") not in actions:
            raise UserError(f"there is no argument {name!r}", where=where, fix=did_you_mean(name, actions))


def as_words(settings: Mapping[str, Any], actions: Mapping[str, Action]) -> list[str]:
    """Write settings as command-line words; None is left out, a key that is no flag stays and is refused later."""
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
