"""A picture of a run, shown where the run is tracked: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.integrations import MLflowCallback, TensorBoardCallback, WandbCallback

from hf_ext.report.house_style import Picture

logger = logging.getLogger(__name__)


def send_picture(trainer: Trainer, name: str, picture: Picture, *, file: Path) -> None:
    """Show a picture in every tracker that ``--report_to`` asks for and that takes pictures.

    A tracker that refuses is named in one line: the run goes on.

    Args:
        trainer: Of the run.
        name: Title of the picture.
        picture: The picture.
        file: Where it lies.
    """
    for callback in trainer.callback_handler.callbacks:
        for kind, send in TRACKERS.items():
            if isinstance(callback, kind):
                try:
                    send(callback, name, picture, file=file, step=trainer.state.global_step)
                except Exception as error:  # whatever a service does: the model is worth more than its picture
                    reason = " ".join(str(error).split())
                    logger.warning("%s was not sent by %s (%s).", file.name, kind.__name__, reason)


def send_to_tensorboard(callback: Any, name: str, picture: Picture, *, file: Path, step: int) -> None:
    """Write the picture beside what the callback logs; without a folder of its own, into ``runs`` beside the file."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(log_dir=callback.logging_dir or str(file.parent / "runs")) as writer:
        writer.add_image(name, picture, step, dataformats="HWC")


def send_to_wandb(callback: Any, name: str, picture: Picture, *, file: Path, step: int) -> None:
    """Log the picture in the callback's run, if it has begun one."""
    if callback._initialized:
        library = callback._wandb
        library.log({name: library.Image(picture), "train/global_step": step})


def send_to_mlflow(callback: Any, name: str, picture: Picture, *, file: Path, step: int) -> None:
    """Log the file as an artifact of the callback's run, which transformers has ended after a training."""
    if callback._initialized:
        run = callback._ml_flow.last_active_run()
        callback._ml_flow.log_artifact(str(file), run_id=run.info.run_id)


TRACKERS: dict[type, Callable[..., None]] = {
    TensorBoardCallback: send_to_tensorboard,
    WandbCallback: send_to_wandb,
    MLflowCallback: send_to_mlflow,
}
