"""Where an encoder of any family keeps its layers and its embeddings."""

from __future__ import annotations

from torch import nn


def layer_stack(encoder: nn.Module) -> tuple[str, list[nn.Module]]:
    """Find the layers of an encoder, the lowest first: its longest list of modules.

    Only lists that lie in no other layer count, so that the experts or convolutions inside one are not taken for
    layers; lists of lists (Funnel's blocks) are read through.

    Args:
        encoder: The encoder without a head.

    Returns:
        The dotted name of the list and its layers; ``""`` and no layer where there is no list. Layers that a family
        applies several times (ALBERT) are there once.
    """
    stacks: list[tuple[str, list[nn.Module]]] = []
    for name, module in encoder.named_modules():
        inside = any(name.startswith(f"{path}.") for path, _ in stacks)
        if isinstance(module, nn.ModuleList) and not inside:
            stacks.append((name, _flatten(module)))
    return max(stacks, key=lambda stack: len(stack[1]), default=("", []))


def embedding_weights(encoder: nn.Module) -> dict[str, nn.Parameter]:
    """Collect what comes before the layers: tables of tokens, positions and segments, their norm and projection.

    By name, not by ``get_input_embeddings()``, which knows the table of tokens alone.

    Args:
        encoder: The encoder without a head.

    Returns:
        Name in the encoder to weight.
    """
    path, _ = layer_stack(encoder)
    named = encoder.named_parameters()
    return {name: weight for name, weight in named if "emb" in name and not (path and name.startswith(f"{path}."))}


def _flatten(modules: nn.ModuleList) -> list[nn.Module]:
    nested = (_flatten(module) if isinstance(module, nn.ModuleList) else [module] for module in modules)
    return [module for inner in nested for module in inner]
