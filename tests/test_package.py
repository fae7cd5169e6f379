"""The package as a whole: light to import, documented, free of pickles, its floors held."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import hf_ext

ROOT = Path(hf_ext.__file__).parent
MODULES = sorted(module.name for module in pkgutil.walk_packages([str(ROOT)], "hf_ext."))


def test_importing_the_package_loads_neither_torch_nor_scikit_learn():
    heavy = "{'torch', 'sklearn', 'transformers', 'datasets', 'pandas'}"
    code = f"import sys, hf_ext, hf_ext.errors; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", hf_ext.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert inspect.getdoc(getattr(hf_ext, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = hf_ext.Nonsense
    assert "ExtTrainer" in dir(hf_ext)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_and_public_function_is_documented_and_annotated(name):
    tree = ast.parse(Path(inspect.getsourcefile(importlib.import_module(name))).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not tree.body, name
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            inner = isinstance(node, ast.FunctionDef) and (not _is_public(tree, node) or _is_setter(node))
            assert inner or ast.get_docstring(node), f"{name}.{node.name} has no docstring"
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            assert node.returns is not None, f"{name}.{node.name} does not say what it returns"


def _is_public(tree: ast.Module, function: ast.FunctionDef) -> bool:
    """Tell whether a function stands at the top of a module or of a public class."""
    homes = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))]
    return any(function in home.body for home in homes)


def _is_setter(function: ast.FunctionDef) -> bool:
    return any(isinstance(mark, ast.Attribute) and mark.attr == "setter" for mark in function.decorator_list)


def test_no_module_writes_or_reads_pickles():
    for path in ROOT.rglob("*.py"):
        imported = {
            alias.name.partition(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
        }
        assert not imported & {"pickle", "joblib", "dill", "shelve", "marshal"}, path
        assert "torch.load(" not in path.read_text(encoding="utf-8"), path


def test_no_file_outgrows_the_wall():
    longest = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert max(longest.values()) <= 350, max(longest, key=longest.__getitem__)


def test_tests_are_at_least_as_long_as_the_library():
    tests = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in Path(__file__).parent.rglob("*.py"))
    library = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.rglob("*.py"))
    assert tests >= library
