"""Everything that is logged, one JSON object a line, in a file that is the history of one run."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ext.training.watch.loss_window import LossWindow

TRAIN_LOG = "train_log.jsonl"


class TrainLog(TrainerCallback):
    """Write ``train_log.jsonl`` into the output folder, a line at every logging event from the start of training on.

    A line holds ``step`` (optimizer steps), ``epoch``, ``time`` (ISO 8601, UTC) and what is logged; with the training
    loss also ``loss_step`` (the last step's) and ``loss_mean`` (over ``loss_window`` steps). A number that is not
    finite is null. A run that starts anew replaces the file; one that resumes takes out the lines after its step.

    Args:
        window: Where the losses of the steps are noted.
    """

    def __init__(self, window: LossWindow) -> None:
        self.window = window
        self._path: Path | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the file, or go back in it to the step that is resumed."""
        if not state.is_world_process_zero:
            return
        self._path = Path(args.output_dir or ".") / TRAIN_LOG
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = _lines_until(self._path, state.global_step) if state.global_step else []
        temporary = self._path.with_name(f".{TRAIN_LOG}.tmp")
        temporary.write_text("".join(kept), encoding="utf-8")
        os.replace(temporary, self._path)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append a line; the file is whole after each of them."""
        if self._path is None or not logs:
            return
        entry: dict[str, Any] = {"step": state.global_step, "epoch": logs.get("epoch", state.epoch)}
        entry["time"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry |= logs
        if "loss" in logs:
            entry |= {"loss_step": self.window.last, "loss_mean": self.window.mean}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_plain(entry), ensure_ascii=False, allow_nan=False) + "\n")


def _lines_until(path: Path, step: int) -> list[str]:
    """Give the lines up to a step; one that a kill has cut off is left out."""
    if not path.is_file():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and entry.get("step", 0) <= step:
            kept.append(line + "\n")
    return kept


def _plain(value: Any) -> Any:
    """Give what JSON can say: numbers of torch and NumPy as Python's, null for NaN and infinity, else text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
