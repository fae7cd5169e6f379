"""What the groups of an optimizer are: shown at the start, logged by name, and compared when a run is resumed."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hf_ext.errors import UserError

logger = logging.getLogger(__name__)

PARAMETER_GROUPS_JSON = "parameter_groups.json"
FIX = "resume with the flags of that run, or start anew without --resume_from_checkpoint"


class GroupRecord:
    """The groups of one optimizer as they were made.

    Args:
        groups: From ``parameter_groups``, with ``name``, ``lr``, ``weight_decay`` and ``params``.
        names: ``id(parameter)`` to its name.
    """

    def __init__(self, groups: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> None:
        self.groups = [
            {
                "name": group["name"],
                "learning_rate": group["lr"],
                "weight_decay": group["weight_decay"],
                "size": sum(parameter.numel() for parameter in group["params"]),
                "parameters": [names[id(parameter)] for parameter in group["params"]],
            }
            for group in groups
        ]
        self._current: list[float] = []

    def table(self) -> str:
        """Lay the groups out as text, one a line, with the number of weights and tensors, rate and weight decay."""
        rows = [("group", "weights", "tensors", "rate", "weight decay")]
        for group in self.groups:
            numbers = (f"{group['size']:,}", str(len(group["parameters"])))
            rows.append((group["name"], *numbers, f"{group['learning_rate']:g}", f"{group['weight_decay']:g}"))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = []
        for row in rows:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
        return "\n".join(lines)

    def note(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Keep the rates of this moment for ``with_rates``: when Trainer logs, its scheduler has gone on already."""
        groups = optimizer.param_groups if optimizer is not None and self._has_several_rates() else []
        self._current = [float(group["lr"]) for group in groups]

    def with_rates(self, logs: dict[str, float]) -> dict[str, float]:
        """Set ``learning_rate/<name>`` beside ``learning_rate``, once a rate, if there is more than one.

        The names are those of the groups; of a group and its twin without decay, the group's.
        """
        if "learning_rate" in logs and len(self._current) == len(self.groups):
            named: dict[float, tuple[str, float]] = {}
            for group, rate in zip(self.groups, self._current, strict=True):
                named.setdefault(group["learning_rate"], (group["name"], rate))
            logs.update({f"learning_rate/{name}": rate for name, rate in named.values()})
        return logs

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the groups into a checkpoint, as ``parameter_groups.json``."""
        path = Path(folder) / PARAMETER_GROUPS_JSON
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(json.dumps({"groups": self.groups}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, path)

    def check(self, folder: str | os.PathLike[str]) -> None:
        """Compare with the groups of a checkpoint: an optimizer's state fits no other groups.

        Torch compares nothing but the sizes, and Trainer goes on with the checkpoint's rates whatever is asked for.

        Raises:
            UserError: If anything differs; it names the first difference.
        """
        path = Path(folder) / PARAMETER_GROUPS_JSON
        if not path.is_file():
            logger.warning("%s is not there, so the parameter groups of the checkpoint cannot be compared.", path)
            return
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))["groups"]
            difference = first_difference(saved, self.groups)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError("cannot be read", where=str(path), fix="resume from another checkpoint") from error
        if difference:
            raise UserError(f"the parameter groups of the checkpoint differ: {difference}", where=str(folder), fix=FIX)

    def _has_several_rates(self) -> bool:
        return len({group["learning_rate"] for group in self.groups}) > 1


def first_difference(saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> str | None:
    """Name the first difference between the groups of a checkpoint and those of this run.

    Parameters are compared by name; their sizes are not, since a process may hold but a part of each (FSDP).

    Returns:
        A clause without a full stop, or None if they are equal.
    """
    for before, after in zip(saved, now, strict=False):
        group = f"group {after['name']!r}"
        if before["name"] != after["name"]:
            return f"group {before['name']!r} is now {group}"
        for key, words in (("learning_rate", "learning rate"), ("weight_decay", "weight decay")):
            if before[key] != after[key]:
                return f"the {words} of {group} was {before[key]:g} and is now {after[key]:g}"
        moved = sorted(set(before["parameters"]) ^ set(after["parameters"]))
        if moved:
            place = "was" if moved[0] in before["parameters"] else "is now"
            counts = f"{len(before['parameters'])} parameters then, {len(after['parameters'])} now"
            return f"{moved[0]} {place} in {group} ({counts})"
        if before["parameters"] != after["parameters"]:
            return f"the parameters of {group} stand in another order"
    if len(saved) != len(now):
        longer, word = (saved, "is gone") if len(saved) > len(now) else (now, "is new")
        return f"group {longer[min(len(saved), len(now))]['name']!r} {word}"
    return None
