"""What a trial of a search is run with: the command line of the run, with the trial's values in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from transformers import PreTrainedModel
from transformers.trainer_utils import SaveStrategy

from hf_ext.cli.lora_checks import check_lora
from hf_ext.cli.padding import settle_padding
from hf_ext.cli.parsing import ScriptArgumentParser, as_words
from hf_ext.training.arguments import ExtTrainingArguments
from hf_ext.training.tuning.space import SearchSpace, Value
from hf_ext.training.tuning.study import suggest_seeded

Build = Callable[[Any, ExtTrainingArguments], PreTrainedModel]


class TrialSettings:
    """The two questions that Trainer's search has of a trial: which model, and which arguments.

    Both are answered from the same words that ``best.yaml`` of the trial would hold, so that a run by itself is the
    trial again.

    Args:
        parser: Of the command.
        given: The settings of the run, by flag.
        space: What is searched.
        args: The training arguments of the run.
        build: Builds the model of a run from its model and training arguments; it may change the latter.
    """

    def __init__(
        self,
        parser: ScriptArgumentParser,
        given: Mapping[str, Any],
        space: SearchSpace,
        *,
        args: ExtTrainingArguments,
        build: Build,
    ) -> None:
        self.parser, self.given, self.space, self.args, self.build = parser, given, space, args, build
        self._trial_args = args

    def build_model(self, trial: Any) -> PreTrainedModel:
        """Fill the arguments of a trial, and build its model: the ``model_init`` of Trainer."""
        settings = with_values(self.given, suggest_seeded(self.space, trial, seed=self.args.seed))
        before = logging.root.manager.disable
        logging.disable()  # what is worth saying of the settings is said once, when best.yaml is run
        try:
            words, _ = self.parser.read_words(as_words(settings, self.parser.actions))
            model_args, data_args, args = self.parser.fill(words)
            settle_padding(args, data_args)
            check_lora(args, model_args)
            model = self.build(model_args, args)
        finally:
            logging.disable(before)
        self._trial_args = self._without_outside(args)
        return model

    def give_arguments(self, trial: Any) -> dict[str, Any]:
        """Give every training argument of the trial that was asked for last: the ``hp_space`` of Trainer."""
        return {name: getattr(self._trial_args, name) for name in self._trial_args.__dataclass_fields__}

    def _without_outside(self, args: ExtTrainingArguments) -> ExtTrainingArguments:
        """Leave out trackers and uploads, and checkpoints that the training does not come back to."""
        args.report_to = []
        args.push_to_hub = False
        args.dataloader_pin_memory = self.args.dataloader_pin_memory  # settled with the device
        if not args.load_best_model_at_end and not args.average_checkpoints:
            args.save_strategy = SaveStrategy.NO
        return args


def with_values(given: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """Put the values of a trial into the settings of a run; None is the flag's default."""
    return {name: value for name, value in {**given, **values}.items() if value is not None}
