"""TensorBoard's files of a run that only evaluates lie where those of a training do: in its output folder."""

from __future__ import annotations

import os

from transformers import Trainer
from transformers.integrations import TensorBoardCallback
from transformers.integrations.integration_utils import default_logdir


def keep_tensorboard_in_output(trainer: Trainer) -> None:
    """Name the folder of TensorBoard from the start.

    transformers chooses ``output_dir/runs/...`` when a training begins; without one TensorBoard itself would choose
    ``runs`` in the working directory. The environment variable ``TENSORBOARD_LOGGING_DIR`` is heard as ever.
    """
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = os.path.join(trainer.args.output_dir or ".", default_logdir())
