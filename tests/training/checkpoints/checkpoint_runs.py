"""Tiny runs that can be killed at a named point and resumed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import datasets
import torch
from average_cases import build_rows
from safetensors.torch import load_file
from training_models import tiny_bert
from transformers import TrainerCallback, TrainerState

import hf_ext.training.checkpoints.keeper as keeper
import hf_ext.training.checkpoints.model_folder as model_folder
import hf_ext.training.checkpoints.rotation as rotation
from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.checkpoints.manifest import MANIFEST
from hf_ext.training.epoch_seed import EpochSeed

STEPS, EVERY = 8, 2  # six steps are an epoch
STOPPING = {
    "eval_strategy": "steps",
    "eval_steps": EVERY,
    "load_best_model_at_end": True,
    "early_stopping_patience": 2,
    "learning_rate": 0.2,  # so that it gets worse
    "save_total_limit": 2,
}
BY_EPOCH = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True, "save_total_limit": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"save_total_limit": 1},
    "fgm": {"adversarial": "fgm", "layerwise_lr_decay": 0.9},
    "ema": {"ema_decay": 0.6, "save_total_limit": 1},
    "stopping": STOPPING,
    "epochs": BY_EPOCH,
    "masks": {"remove_unused_columns": False},
    "stream": {"save_total_limit": 2},
    "workers": {"dataloader_num_workers": 1},
    "accumulated": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2},
}


def stream():
    """Twelve rows in another order in every pass."""
    return datasets.IterableDataset.from_generator(lambda: iter(build_rows())).shuffle(seed=1, buffer_size=8)


def build_trainer(folder, variant="plain", *, callbacks=(), **changes) -> ExtTrainer:
    """Build the trainer of a variant, with the same weights every time."""
    settings = {
        "output_dir": str(folder),
        "use_cpu": True,
        "disable_tqdm": True,
        "max_steps": STEPS,
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 2,
        "save_strategy": "steps",
        "save_steps": EVERY,
        **VARIANTS[variant],
    }
    args = ExtTrainingArguments(**{**settings, **changes})
    torch.manual_seed(0)
    if variant == "masks":
        model, parts = _masked_parts()
        callbacks = [*callbacks, EpochSeed(parts["data_collator"])]
    else:
        model = tiny_bert()
        parts = {"train_dataset": stream() if variant == "stream" else build_rows(), "eval_dataset": build_rows()}
    return ExtTrainer(model, args, callbacks=list(callbacks), **parts)


def train(folder, variant="plain", *, resume=None, callbacks=(), **changes) -> ExtTrainer:
    """Train a variant to its end, or on from a checkpoint, and save the model."""
    trainer = build_trainer(folder, variant, callbacks=callbacks, **changes)
    trainer.train(resume_from_checkpoint=resume)
    trainer.save_model()
    return trainer


def same_weights(one: Path, other: Path) -> bool:
    """Tell whether the models in two folders are bitwise equal."""
    left, right = (load_file(folder / "model.safetensors") for folder in (one, other))
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def checkpoint_names(folder: Path) -> list[str]:
    """Give the names of the checkpoints in a folder."""
    return sorted(path.name for path in folder.glob("checkpoint-*"))


# --- points to be killed at -------------------------------------------------------------------------------------------


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def kill_before(owner: Any, name: str, call: int) -> None:
    _wrap(owner, name, call, before=lambda *args, **kwargs: die())


def kill_after(owner: Any, name: str, call: int, first=lambda *args, **kwargs: None) -> None:
    def end(*args, **kwargs):
        first(*args, **kwargs)
        die()

    _wrap(owner, name, call, after=end)


def _wrap(owner: Any, name: str, call: int, *, before=None, after=None) -> None:
    """Do something before or after the n-th call of a function; there is no way back, this is a child."""
    function, calls = getattr(owner, name), [0]

    def wrapped(*args, **kwargs):
        calls[0] += 1
        if before is not None and calls[0] == call:
            before(*args, **kwargs)
        answer = function(*args, **kwargs)
        if after is not None and calls[0] == call:
            after(*args, **kwargs)
        return answer

    setattr(owner, name, wrapped)


def _kill_at_manifest_rename(call: int) -> None:
    replace, calls = os.replace, [0]

    def wrapped(source, target):
        if Path(target).name == MANIFEST:
            calls[0] += 1
            if calls[0] == call:
                die()
        replace(source, target)

    os.replace = wrapped


def _kill_half_deleted(call: int) -> None:
    def half(folder, *args, **kwargs):
        next(Path(folder).glob("*.safetensors")).unlink()
        die()

    _wrap(rotation.shutil, "rmtree", call, before=half)


def _half_model(self, output_dir=None, *args, **kwargs):
    truncate(Path(output_dir) / "model.safetensors")


def _half_optimizer(self, output_dir):
    truncate(Path(output_dir) / "optimizer.pt")


POINTS = {
    "before the first checkpoint": lambda: kill_before(ExtTrainer, "training_step", 2),
    "after the first checkpoint": lambda: kill_before(ExtTrainer, "training_step", 3),
    "in a step": lambda: kill_after(ExtTrainer, "training_step", 4),
    "at the end of an epoch": lambda: kill_after(ExtTrainer, "training_step", 6),
    "in the second epoch": lambda: kill_before(ExtTrainer, "training_step", 8),
    "before the model": lambda: kill_before(ExtTrainer, "save_model", 2),
    "in the model": lambda: kill_after(ExtTrainer, "save_model", 2, _half_model),
    "after the model": lambda: kill_after(ExtTrainer, "save_model", 2),
    "in the optimizer": lambda: kill_after(ExtTrainer, "_save_optimizer_and_scheduler", 2, _half_optimizer),
    "after the optimizer": lambda: kill_after(ExtTrainer, "_save_optimizer_and_scheduler", 2),
    "before the random numbers": lambda: kill_before(ExtTrainer, "_save_rng_state", 3),
    "after the random numbers": lambda: kill_after(ExtTrainer, "_save_rng_state", 2),
    "before the state": lambda: kill_before(TrainerState, "save_to_json", 3),
    "after the state": lambda: kill_after(TrainerState, "save_to_json", 2),
    "before the commit": lambda: kill_before(keeper, "write_manifest", 2),
    "in the commit": lambda: _kill_at_manifest_rename(2),
    "after the commit": lambda: kill_after(keeper, "write_manifest", 2),
    "before a deletion": lambda: kill_before(rotation.shutil, "rmtree", 1),
    "in a deletion": lambda: _kill_half_deleted(1),
    "after a deletion": lambda: kill_after(keeper, "rotate", 2),
    "after the last checkpoint": lambda: kill_after(keeper, "rotate", STEPS // EVERY),
    "in the final model": lambda: kill_before(model_folder, "sync", 3),
}


class Signalled(TrainerCallback):
    """Send a signal to this process in a step."""

    def __init__(self, step: int, number: int = signal.SIGTERM, *, rank: int = 0) -> None:
        self.step, self.number, self.rank = step, number, rank

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step + 1 == self.step and args.process_index == self.rank:
            os.kill(os.getpid(), self.number)


def _masked_parts() -> tuple[Any, dict[str, Any]]:
    """Give a masked language model, and the rows and the collator that masks them anew in every epoch."""
    from test_epoch_seed import TOKENIZER, Recorder, Rows
    from transformers import BertConfig, BertForMaskedLM

    rows = Rows()
    rows.rows = rows.rows * 2
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForMaskedLM(BertConfig(vocab_size=len(TOKENIZER), max_position_embeddings=16, **sizes))
    return model, {"train_dataset": rows, "eval_dataset": Rows(), "data_collator": Recorder()}
