"""transformers knows the models and pipelines of hf_ext once ``import hf_ext`` was seen, whichever comes first.

Nothing of transformers, and no torch, is imported for it: parts that are not loaded yet are waited for, and our models
are imported when a configuration of ours is first looked up.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

CONFIGURATIONS, PIPELINES = "transformers.models.auto.configuration_auto", "transformers.pipelines"
OUR_TYPES = ("hf_ext", "hf_ext_recurrent")
OUR_MODELS = tuple(f"hf_ext.models.{name}_classification" for name in ("sequence", "token", "joint"))
OUR_PIPELINES = {
    "text-classification": "hf_ext.inference.pipelines.ExtTextClassificationPipeline",
    "token-classification": "hf_ext.inference.pipelines.ExtTokenClassificationPipeline",
}


def register() -> None:
    """Register with the parts of transformers that are loaded, and with the others when they are."""
    for name, act in ACTIONS.items():
        if name in sys.modules:
            act(sys.modules[name])
    sys.meta_path.insert(0, _Watcher())


class LazyConfigurations(dict):
    """The configurations registered from outside; ours are imported, with the models, when one is asked for."""

    def __contains__(self, model_type: Any) -> bool:
        if model_type in OUR_TYPES:
            for name in OUR_MODELS:
                importlib.import_module(name)
        return super().__contains__(model_type)


def register_configurations(module: ModuleType) -> None:
    """Let ``AutoConfig``, and with it every auto class, find our configurations."""
    known = module.CONFIG_MAPPING
    known._extra_content = LazyConfigurations(known._extra_content)


def register_pipelines(module: ModuleType) -> None:
    """Put our pipelines into the place of the stock ones, by name: they are imported when they are first used."""
    for task, name in OUR_PIPELINES.items():
        module.SUPPORTED_TASKS[task]["impl"] = name


ACTIONS = {CONFIGURATIONS: register_configurations, PIPELINES: register_pipelines}


class _Watcher(MetaPathFinder):
    """Let modules be found as always, and act when those of transformers have been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        act = ACTIONS.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if act else None
        if act is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_act(module: ModuleType) -> None:
            execute(module)
            act(module)

        spec.loader.exec_module = execute_and_act  # type: ignore[method-assign]
        return spec
