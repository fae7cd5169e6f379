"""What must be so before a model is loaded: the file is there, answers can be written, packages are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from hf_ext.errors import UserError


def check_source(path: str | Path) -> Path:
    """Refuse a file that is not there.

    Raises:
        UserError: If there is no such file.
    """
    if not Path(path).exists():
        raise UserError("no such file", where=str(path), fix="check the path")
    return Path(path)


def check_target(path: str | Path, extensions: Sequence[str], *, what: str) -> Path:
    """Refuse a place where nothing can be written.

    Args:
        path: Where it goes.
        extensions: What its name may end in.
        what: What is written, as the subject of a sentence with its verb, such as ``the exported model is``.

    Raises:
        UserError: If the extension is another one, or there is no such folder.
    """
    path = Path(path)
    if path.suffix not in extensions:
        named = " or ".join(extensions)
        raise UserError(f"{what} {named}", where=str(path), fix="give --output such a name")
    if not path.parent.is_dir():
        raise UserError("no such folder", where=str(path.parent), fix="make it, or check --output")
    return path


def check_answer_file(path: str | Path) -> Path:
    """Refuse a place where no answers can be written, as ``check_target`` does."""
    return check_target(path, ANSWER_EXTENSIONS, what="answers are written as")


def check_onnx_file(path: str | Path) -> Path:
    """Refuse a place where no exported model can be written, as ``check_target`` does."""
    return check_target(path, (".onnx",), what="the exported model is written as")


def require_extra(extra: str, *, what: str) -> None:
    """Refuse to begin without the packages of an extra.

    Args:
        extra: One of ``EXTRAS``.
        what: What needs it.

    Raises:
        UserError: Naming the first package that is missing.
    """
    missing = next((name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None), None)
    if missing is not None:
        raise UserError(f"{what} needs the package {missing}", fix=f"pip install 'hf_ext[{extra}]'")


ANSWER_EXTENSIONS = (".csv", ".jsonl")
EXTRAS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "serve": ("gradio",)}
