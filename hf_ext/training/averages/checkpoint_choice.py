"""Which checkpoints a run ends as the mean of: its last ones or its best."""

from __future__ import annotations

import json
import logging
import math
import re
from pathlib import Path
from typing import Any, cast

from accelerate import PartialState
from accelerate.utils import extract_model_from_parallel
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from hf_ext.errors import UserError
from hf_ext.training.argument_groups import RegularizationArguments
from hf_ext.training.averages.averaging import average_checkpoints, is_peft
from hf_ext.training.averages.ema import require_whole_weights

logger = logging.getLogger(__name__)


class CheckpointAveraging(TrainerCallback):
    """Leave the mean of this run's last or best checkpoints in the model when training ends.

    Only checkpoints of this run count, not what an earlier one left in the same folder; a resumed run is still this
    run: of those that it finds it takes the ones whose log is the beginning of its own. ``best`` goes by the score
    that was logged at the checkpoint's step; of equal scores the later one counts as better.

    Args:
        args: The run's ``average_checkpoints...`` arguments.
    """

    def __init__(self, args: RegularizationArguments) -> None:
        self.count, self.by = cast(int, args.average_checkpoints), args.average_checkpoints_by
        self.steps: set[int] = set()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Adopt the checkpoints of a run that is being resumed.

        Raises:
            UserError: If the run will write fewer checkpoints than are asked for.
            ValueError: In a hyper-parameter search, which trains in folders of its own.
        """
        if state.is_hyper_param_search:
            raise ValueError("--average_checkpoints does not work in a hyper-parameter search; leave it out.")
        self.steps = _steps_written_before(args, state)
        expected = expected_checkpoints(args, state)
        if expected is not None and len(self.steps) + expected < self.count:
            raise UserError(
                f"--average_checkpoints {self.count}: this run ends with {len(self.steps) + expected} checkpoint(s)",
                fix="lower it, train longer, or save more often (--save_strategy steps --save_steps)",
            )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note that this run has written a checkpoint at this step."""
        self.steps.add(state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Choose, average, and say which they were."""
        PartialState().wait_for_everyone()  # the main process may still be deleting old ones
        chosen = self.choose(args, state)
        if len(chosen) < self.count:
            logger.warning(
                "--average_checkpoints %d: only %d can be averaged%s.",
                self.count,
                len(chosen),
                "" if chosen else "; the model keeps its weights",
            )
        if not chosen:
            return
        scores = scores_by_step(args, state)
        names = [f"{name} ({_label(args)} {scores[step]:.6g})" if step in scores else name for step, name in chosen]
        model = extract_model_from_parallel(kwargs["model"], keep_torch_compile=False)
        average_checkpoints(model, [Path(cast(str, args.output_dir), name) for _, name in chosen])
        logger.info("The model is the average of %d checkpoints: %s.", len(chosen), ", ".join(names))

    def choose(self, args: TrainingArguments, state: TrainerState) -> list[tuple[int, str]]:
        """Give (step, folder name) of what is averaged, oldest first."""
        existing = sorted(step for step in self.steps if _folder(args, step).is_dir())
        if self.by == "best":
            scores = scores_by_step(args, state)
            sign = 1 if args.greater_is_better else -1
            existing = [step for step in existing if math.isfinite(scores.get(step, math.nan))]
            existing.sort(key=lambda step: (sign * scores[step], step))
        return [(step, _folder(args, step).name) for step in sorted(existing[-self.count :])]


def expected_checkpoints(args: TrainingArguments, state: TrainerState) -> int | None:
    """Count the checkpoints that this run has yet to leave; None where nobody can know."""
    if args.save_strategy == SaveStrategy.STEPS:
        every = int(state.save_steps)
        found = math.ceil(state.max_steps / every) - state.global_step // every  # the last step is always saved
    elif args.save_strategy == SaveStrategy.EPOCH:
        found = state.num_train_epochs - int(state.epoch or 0)
    else:
        return None
    return min(found, args.save_total_limit) if args.save_total_limit else found


def scores_by_step(args: TrainingArguments, state: TrainerState) -> dict[int, float]:
    """Give the logged score by ``metric_for_best_model`` of each evaluated step; nothing without a metric."""
    if args.metric_for_best_model is None:
        return {}
    name = f"eval_{_label(args)}"
    return {int(entry["step"]): float(entry[name]) for entry in state.log_history if name in entry}


def check_averaging(args: Any) -> None:
    """Refuse training arguments with which there would be too few checkpoints, or no score to choose by.

    Args:
        args: Complete ``ExtTrainingArguments``.

    Raises:
        ValueError: Naming the flag to change.
    """
    wanted = args.average_checkpoints
    if wanted is None:
        return
    if args.save_strategy == SaveStrategy.NO:
        raise ValueError("--average_checkpoints needs checkpoints: add --save_strategy epoch (or steps).")
    if args.save_total_limit and 0 < args.save_total_limit < wanted:
        raise ValueError(
            f"--average_checkpoints {wanted} needs as many checkpoints as that, and --save_total_limit "
            f"{args.save_total_limit} deletes the others; raise it."
        )
    if args.load_best_model_at_end:
        raise ValueError(
            "--average_checkpoints and --load_best_model_at_end both decide the final weights; leave one out "
            "(--average_checkpoints_by best averages the best ones)."
        )
    if args.average_checkpoints_by == "best" and not _scores_each_checkpoint(args):
        raise ValueError(
            "--average_checkpoints_by best needs a score of each checkpoint: add --metric_for_best_model, and evaluate "
            "as often as you save (--eval_strategy epoch --save_strategy epoch)."
        )


def build_averaging(trainer: Trainer) -> CheckpointAveraging | None:
    """Add the averaging of checkpoints to a trainer if its arguments ask for it.

    Raises:
        ValueError: If the weights are not whole in each process, or the model has several adapters.
    """
    args = trainer.args
    if not isinstance(args, RegularizationArguments) or args.average_checkpoints is None:
        return None
    require_whole_weights(trainer, "--average_checkpoints")
    model: Any = trainer.model
    if is_peft(model) and len(model.peft_config) != 1:
        raise ValueError(f"--average_checkpoints averages one adapter, not {len(model.peft_config)}.")
    callback = CheckpointAveraging(args)
    trainer.callback_handler.callbacks.insert(0, callback)  # the others shall see what it did
    return callback


def _folder(args: TrainingArguments, step: int) -> Path:
    return Path(cast(str, args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def _label(args: TrainingArguments) -> str:
    return cast(str, args.metric_for_best_model).removeprefix("eval_")


def _steps_written_before(args: TrainingArguments, state: TrainerState) -> set[int]:
    """Find the checkpoints up to the resumed step whose log is the beginning of this run's."""
    steps = set()
    for path in Path(cast(str, args.output_dir)).glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        number = re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", path.name)
        if number is None or int(number[1]) > state.global_step:
            continue
        try:
            log = json.loads((path / TRAINER_STATE_NAME).read_text(encoding="utf-8"))["log_history"]
        except (OSError, ValueError, KeyError):
            continue  # torn: not one to average
        if _texts(log) == _texts(state.log_history[: len(log)]):
            steps.add(int(number[1]))
    return steps


def _texts(log: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(entry, sort_keys=True) for entry in log]  # as text, since NaN is not equal to itself


def _scores_each_checkpoint(args: Any) -> bool:
    if args.metric_for_best_model is None or args.eval_strategy.value == "no":
        return False
    if args.save_strategy == SaveStrategy.BEST:
        return True
    if args.save_strategy.value != args.eval_strategy.value:
        return False
    ratio = args.save_steps / args.eval_steps if args.save_strategy == SaveStrategy.STEPS else 1
    return math.isclose(ratio, round(ratio))
