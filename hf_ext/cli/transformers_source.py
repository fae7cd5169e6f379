"""What the parser needs of transformers, read from its source files: importing them would load torch.

``transformers.TrainingArguments`` takes seconds to import and is 114 fields with names, types, defaults and help texts.
These stand in its source as plain assignments, so the installed file is parsed and nothing but the assignments (and the
enumerations that they name) is run. The same file thus says what a flag is called here and when a model is trained.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import importlib.util
import logging
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

# where the enumerations stand that fields of TrainingArguments name, and the other names that they use
ENUM_FILES = ("training_args.py", "trainer_utils.py", "debug_utils.py")
HELPERS = {"log_levels": "utils/logging.py", "trainer_log_levels": "training_args.py"}
FILES = {*ENUM_FILES, *HELPERS.values()}


class ExplicitEnum(str, Enum):  # noqa: UP042 - the base that transformers gives its enumerations
    """A choice among words."""


class Undecided:
    """A default that transformers settles when it is imported; only ``--help`` looks at it."""

    def __str__(self) -> str:
        return "depends on torch"


@cache
def load_parser_class() -> type:
    """Give ``transformers.HfArgumentParser``; its file needs nothing else of transformers.

    Returns:
        The class, from the file alone or, should that file need more one day, from the package.
    """
    try:
        return _run_file("hf_argparser.py").HfArgumentParser
    except (ImportError, OSError, AttributeError):
        from transformers import HfArgumentParser

        return HfArgumentParser


@cache
def read_training_arguments() -> type | None:
    """Give a dataclass with the fields of ``transformers.TrainingArguments``: names, types, defaults, help texts.

    Returns:
        The dataclass, or None if the source is not as expected: then the true class has to be imported.
    """
    try:
        return dataclasses.dataclass(_run_class("TrainingArguments"))
    except (ImportError, OSError, SyntaxError, StopIteration, NameError, TypeError, ValueError, AttributeError):
        return None


def _run_file(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_transformers_{Path(name).stem}", _folder() / name)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _folder() -> Path:
    spec = importlib.util.find_spec("transformers")  # finds, does not import
    if spec is None or not spec.origin:
        raise ImportError("transformers")
    return Path(spec.origin).parent


def _run_class(name: str) -> type:
    """Run the class ``name`` of ``training_args.py`` reduced to its fields."""
    top = {file: ast.parse((_folder() / file).read_text(encoding="utf-8")).body for file in FILES}
    classes = [node for file in ENUM_FILES for node in top[file] if isinstance(node, ast.ClassDef)]
    enums = [node for node in classes if any(_name_of(base) == "ExplicitEnum" for base in node.bases)]
    helpers = [_find_assignment(top[file], helper) for helper, file in HELPERS.items()]
    whole = next(node for node in classes if node.name == name)
    fields = [node for node in whole.body if isinstance(node, ast.AnnAssign)]
    variables = _assigned_names(whole)
    whole.body, whole.decorator_list = list(fields), []
    known: dict[str, Any] = {
        **{kind: str for field in fields for kind in _names_in(field.annotation)},  # unless an enumeration replaces it
        **dict.fromkeys(variables, Undecided()),
        **vars(builtins),
        **{"__name__": __name__, "Any": Any, "Literal": Literal, "ExplicitEnum": ExplicitEnum},
        **{"field": dataclasses.field, "logging": logging},
    }
    module = ast.fix_missing_locations(ast.Module(body=[*enums, *helpers, whole], type_ignores=[]))
    exec(compile(module, "training_args.py", "exec", dont_inherit=True), known)
    return known[name]


def _find_assignment(nodes: list[ast.stmt], name: str) -> ast.Assign:
    return next(node for node in nodes if isinstance(node, ast.Assign) and _name_of(node.targets[0]) == name)


def _assigned_names(node: ast.ClassDef) -> set[str]:
    """Find the variables of a class body, whose values hang on what is installed."""
    return {_name_of(child.targets[0]) for child in ast.walk(node) if isinstance(child, ast.Assign)}


def _names_in(node: ast.expr) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def _name_of(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""
