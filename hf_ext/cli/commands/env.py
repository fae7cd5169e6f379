"""Show what a run stands on: versions, devices, and which extras are installed."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from hf_ext import __version__
from hf_ext.errors import UserError

EXTRA = re.compile(r"""^([\w.-]+).*extra == ['"]([\w-]+)['"]""")
PACKAGES = (
    *("torch", "transformers", "tokenizers", "datasets", "accelerate", "safetensors", "huggingface_hub"),
    *("numpy", "pandas", "pyarrow", "scikit-learn", "pytorch-crf", "evaluate"),
)
ABSENT = "not installed"
NOT_INSTALLED = "known once hf_ext itself is installed: pip install ."


def main(argv: list[str]) -> None:
    """Print a table of two columns.

    Raises:
        UserError: If a word stands behind the command.
    """
    if argv:
        raise UserError(f"{argv[0]!r} is not understood", where="command line", fix="hf-ext env takes no flags")
    rows = [*list_versions(), *list_devices(), *list_extras()]
    width = max(len(name) for name, _ in rows) + 2
    sys.stdout.write("".join(f"{name.ljust(width)}{value}\n" for name, value in rows))


def list_versions() -> Iterator[tuple[str, str]]:
    """Give hf_ext, Python, the system and the packages that decide how a run behaves, each with its version."""
    yield "hf_ext", __version__
    yield "python", platform.python_version()
    yield "system", platform.platform(terse=True)
    yield from ((name, _version_of(name)) for name in PACKAGES)


def list_devices() -> Iterator[tuple[str, str]]:
    """Give the processor and each accelerator that torch sees."""
    import torch

    yield "cpu", f"{torch.get_num_threads()} threads for torch"
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{found.name}, {found.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        yield "mps", "available"


def list_extras() -> Iterator[tuple[str, str]]:
    """Give each extra of the installed package with the versions of its packages."""
    extras: dict[str, list[str]] = {}
    for requirement in _requirements():
        found = EXTRA.match(requirement)
        if found is not None:
            extras.setdefault(found[2], []).append(f"{found[1]} {_version_of(found[1])}")
    for extra, packages in extras.items():
        yield f"extra {extra}", ", ".join(packages)
    if not extras:
        yield "extras", NOT_INSTALLED


def _requirements() -> list[str]:
    try:
        return requires("hf_ext") or []
    except PackageNotFoundError:
        return []


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ABSENT
