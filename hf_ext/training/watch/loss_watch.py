"""Stop before a loss that is not finite does harm, and say which rows it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import DistributedType, gather_object
from safetensors import safe_open
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.training.checkpoints.manifest import DamagedError, verify
from hf_ext.training.checkpoints.rotation import list_checkpoints
from hf_ext.training.watch.batch_rows import count_rows, has_labels, take_rows
from hf_ext.training.watch.loss_window import LossWindow
from hf_ext.training.watch.row_lookup import find_rows, name_row

LISTED_ROWS = 20
SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)
TRAINS_ON = "--stop_on_nonfinite_loss False trains on"


class NonFiniteLossError(UserError):
    """The training loss is NaN or infinite.

    Args:
        what: The fault: step, rows, last good checkpoint.
        fix: What to do about it.
        where: File and lines of the rows, for who knows them.
        rows: The rows of the data set, from 0, that the loss was computed from.
        alone: Those of them whose loss is not finite when they are computed by themselves.
    """

    def __init__(
        self,
        what: str,
        *,
        fix: str,
        where: str | None = None,
        rows: Sequence[int] = (),
        alone: Sequence[int] = (),
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.what, self.fix = what, fix
        self.rows, self.alone = list(rows), list(alone)

    def at(self, where: str) -> NonFiniteLossError:
        """Give the same error with the file and lines that its rows come from."""
        return NonFiniteLossError(self.what, fix=self.fix, where=where, rows=self.rows, alone=self.alone)


class LossWatch(TrainerCallback):
    """Look at the loss of every optimizer step before its gradient is clipped and the weights move.

    One number is read from the device at each step: the mean over all processes, so that all of them stop together.
    Only the loss is judged. Gradients may overflow under fp16, and the scaler then leaves the step out.

    Args:
        trainer: Whose steps they are.
        window: Where the loss of each step is noted.
    """

    def __init__(self, trainer: Trainer, window: LossWindow) -> None:
        self.trainer = trainer
        self.window = window
        self._batches: list[Mapping[str, Any]] = []
        self._losses: list[Tensor] = []

    def see(self, inputs: Mapping[str, Any], loss: Tensor) -> None:
        """Take in one micro-batch after its backward pass.

        Args:
            inputs: The batch as it was collated.
            loss: What ``training_step`` gives back for it.

        Raises:
            NonFiniteLossError: On all processes, at the last micro-batch of a step whose loss is not finite.
        """
        self._batches.append(inputs)
        self._losses.append(loss.detach().float().mean())
        accelerator = self.trainer.accelerator
        if not accelerator.sync_gradients:
            return
        batches, losses = self._batches, torch.stack(self._losses)
        self._batches, self._losses = [], []
        total = losses.sum()
        value = float(accelerator.reduce(total, "mean") if accelerator.num_processes > 1 else total)
        self.window.add(value)
        if not math.isfinite(value):
            finite = losses.isfinite().tolist()
            everywhere = all(finite) and not math.isfinite(float(total))  # only their sum is too large
            bad = [batch for batch, fine in zip(batches, finite, strict=True) if everywhere or not fine]
            raise self._explain(value, bad)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget the micro-batches of a run that was broken off."""
        self._batches, self._losses = [], []

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at ``loss`` and at the final ``train_loss`` too, whatever way they went bad.

        Raises:
            NonFiniteLossError: If one of them is not finite.
        """
        for name in ("loss", "train_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                what = f"the training loss is {value} at step {state.global_step}"
                raise NonFiniteLossError(what, fix=_fix(from_rows=False, weights_finite=True))

    def _explain(self, value: float, batches: list[Mapping[str, Any]]) -> NonFiniteLossError:
        """Find out together with the other processes what was in the batch; every process gives the same answer."""
        trainer = self.trainer
        weights_finite = all(bool(p.detach().isfinite().all()) for p in cast(nn.Module, trainer.model).parameters())
        try:
            mine = self._rows(batches, try_alone=weights_finite)
        except Exception as error:  # the others wait for this process, and the loss is the news
            mine = {"trouble": f"the rows could not be looked up: {type(error).__name__}"}
        found = gather_object([{**mine, "weights_finite": weights_finite}])
        weights_finite = all(one["weights_finite"] for one in found)
        names = {row: name for one in found for row, name in one.get("rows", {}).items()}
        alone = sorted({row for one in found for row in one.get("alone", ())})
        step = trainer.state.global_step
        parts = [f"the training loss is {value} at step {step + 1}"]
        parts += list(dict.fromkeys(one["trouble"] for one in found if "trouble" in one))
        parts += _describe_rows(names, alone)
        if not weights_finite:
            parts.append("the weights were not finite any more before it")
        good = last_good_checkpoint(Path(trainer.args.output_dir or "."), step, check_weights=not weights_finite)
        parts.append("there is no checkpoint yet" if good is None else f"the last good checkpoint is {good}")
        from_rows = bool(alone) and (len(alone) < len(names) or len(names) == 1)  # all of them: hardly the rows' fault
        fix = _fix(from_rows=from_rows, weights_finite=weights_finite)
        return NonFiniteLossError("; ".join(parts), fix=fix, rows=sorted(names), alone=alone)

    def _rows(self, batches: list[Mapping[str, Any]], *, try_alone: bool) -> dict[str, Any]:
        """Name the rows of this process's bad micro-batches, and those that are bad by themselves."""
        trainer, dataset = self.trainer, self.trainer.train_dataset
        pad = getattr(trainer.processing_class, "pad_token_id", None)
        if pad is None:
            pad = getattr(getattr(trainer.model, "config", None), "pad_token_id", None)
        try_alone = try_alone and not (trainer.accelerator.distributed_type in SHARDED and trainer.args.world_size > 1)
        names: dict[int, str] = {}
        alone: set[int] = set()
        for batch in batches:
            found = find_rows(batch, dataset, pad_token_id=pad)
            names |= {row: name_row(dataset, row) for rows in found for row in rows}
            if try_alone:
                alone |= {row for i in self._bad_alone(batch) for row in found[i]}
        answer: dict[str, Any] = {"rows": names, "alone": alone}
        if batches and not any(map(has_labels, batches)):
            answer["trouble"] = "no row of the batch has a label"
        return answer

    def _bad_alone(self, batch: Mapping[str, Any]) -> list[int]:
        """Compute each row by itself, without dropout and without the other processes."""
        trainer = self.trainer
        model = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        rows = [take_rows(batch, slice(i, i + 1)) for i in range(count_rows(batch))]
        try:  # the mean over no label is NaN and says nothing
            return [i for i, row in enumerate(rows) if has_labels(row) and not self._is_finite(model, row)]
        finally:
            for module, training in modes:
                module.training = training

    def _is_finite(self, model: nn.Module, row: dict[str, Any]) -> bool:
        trainer = self.trainer
        inputs = trainer._prepare_inputs(row)
        items = torch.ones((), device=trainer.args.device) if trainer.compute_loss_func is not None else None
        with torch.no_grad(), trainer.compute_loss_context_manager():
            loss = cast(Tensor, trainer.compute_loss(model, inputs, num_items_in_batch=items))
        return bool(loss.isfinite().all())


def last_good_checkpoint(folder: Path, step: int, *, check_weights: bool = False) -> Path | None:
    """Give the newest checkpoint of a run that is what its manifest says.

    Args:
        folder: The output folder.
        step: Checkpoints of later steps are another run's.
        check_weights: Pass over those whose weights are not all finite.
    """
    earlier = [path for number, path in list_checkpoints(folder).items() if number <= step]
    for path in reversed(earlier):
        if _is_whole(path) and (not check_weights or all(map(_holds_finite_weights, path.glob("*.safetensors")))):
            return path
    return None


def _is_whole(checkpoint: Path) -> bool:
    try:
        verify(checkpoint)
    except DamagedError:
        return False
    return True


def _holds_finite_weights(file: Path) -> bool:
    with safe_open(file, framework="pt") as tensors:
        return all(bool(tensors.get_tensor(name).isfinite().all()) for name in tensors.keys())  # noqa: SIM118


def _describe_rows(names: Mapping[int, str], alone: Sequence[int]) -> list[str]:
    if not names:
        return ["the rows in the batch are not found in the training data (streamed, or changed by the collator)"]
    parts = [f"in the batch: training rows {_list([names[row] for row in sorted(names)])}, counted from 0"]
    if alone:
        parts.append(f"bad by themselves: {_list([names[row] for row in alone])}")
    return parts


def _list(names: Sequence[str]) -> str:
    more = len(names) - LISTED_ROWS
    return ", ".join(names[:LISTED_ROWS]) + (f" and {more} more" if more > 0 else "")


def _fix(*, from_rows: bool, weights_finite: bool) -> str:
    if from_rows:
        return f"mend or leave out the rows that are bad by themselves, or train without fp16 ({TRAINS_ON})"
    if not weights_finite:
        return f"lower --learning_rate, or train without fp16, and resume from a good checkpoint ({TRAINS_ON})"
    return f"lower --learning_rate, look for extreme numbers in the data, or train without fp16 ({TRAINS_ON})"
