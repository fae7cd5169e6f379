"""A Trainer whose gradient is the one asked for, however the batch is cut up."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import EvalLoopOutput, IntervalStrategy

from hf_ext.training.adversarial.methods import build_attack
from hf_ext.training.adversarial.step import AdversarialStep
from hf_ext.training.averages.checkpoint_choice import build_averaging
from hf_ext.training.averages.ema import build_ema
from hf_ext.training.batching.arguments import BUDGET, GROUP
from hf_ext.training.batching.input_order import input_order, sort_by_length
from hf_ext.training.batching.strategy import build_length_sampler, choose_length_strategy
from hf_ext.training.batching.table_rows import hand_out_tables
from hf_ext.training.callbacks import callbacks_from, watch_losses
from hf_ext.training.checkpoints.ended_run import has_ended
from hf_ext.training.checkpoints.interruption import stop_on_sigterm
from hf_ext.training.checkpoints.keeper import CheckpointKeeper
from hf_ext.training.checkpoints.loading import require_all_weights
from hf_ext.training.checkpoints.recovery import find_best_again
from hf_ext.training.compat import require_known_trainer
from hf_ext.training.hub import postpone_push, push
from hf_ext.training.losses.choice import install_loss
from hf_ext.training.losses.mean_weights import MeanWeights
from hf_ext.training.losses.rdrop import build_rdrop
from hf_ext.training.losses.row_count import tell_rows
from hf_ext.training.losses.sampling import balance_labels, build_balanced_sampler
from hf_ext.training.losses.scale import LossScale
from hf_ext.training.optimization.group_record import GroupRecord
from hf_ext.training.optimization.groups import grouped_parameters
from hf_ext.training.shared_streams import check_evaluated_rows, read_stream_in_every_process
from hf_ext.training.stream_position import find_stream_position
from hf_ext.training.tuning.trial_run import run_trial
from hf_ext.training.watch.cost import EVALUATE, PREDICT, TRAIN, RunCost
from hf_ext.training.watch.eval_loss import ExactLoss
from hf_ext.training.watch.loader_checks import check_has_batches, check_has_rows
from hf_ext.training.watch.metric_rows import metric_by_batches
from hf_ext.training.watch.named_losses import NamedLosses
from hf_ext.training.watch.progress import close_progress
from hf_ext.training.watch.tensorboard_folder import keep_tensorboard_in_output

TRAINING_ARGS_JSON = "training_args.json"


class ExtTrainer(Trainer):
    """Train with a truthful loss scale, and with the methods that ``ExtTrainingArguments`` asks for.

    - **Loss scale.** Stock heads that ignore ``num_items_in_batch`` are found out and scaled as the means they are,
      see ``LossScale``; the means of uneven micro-batches count by their items, see ``MeanWeights``.
    - **Batches** by chance, by length or by tokens, see ``batching``; evaluations are read by length and come back in
      the order of the rows, see ``InputOrder``.
    - **Adversarial training.** A step is several calls of Trainer's own ``training_step``, of which only the last
      exchanges gradients, see ``adversarial``.
    - **Learning rates** by part of the model, logged by name and checked on resume, see ``parameter_groups``.
    - **Losses and weights** by name, see ``losses``, and R-Drop, see ``rdrop``.
    - **Metrics** that count batches see each process's own rows, see ``metric_by_batches``.
    - **Evaluation loss.** The same number for every batch size and number of processes, see ``ExactLoss``.
    - **Cost.** Seconds and tokens of training, evaluation and prediction, see ``RunCost``.
    - **Several losses.** Those that a model names are logged by name, see ``NamedLosses``.
    - **Non-finite losses.** The run stops before the weights change and names the rows, see ``LossWatch``.
    - **Averages** of the weights over the steps, see ``ema``, or over checkpoints, see ``CheckpointAveraging``.
    - **Checkpoints** count when they are whole; a run goes on from the newest that is, see ``CheckpointKeeper``.
    - **Searches.** Each trial of ``hyperparameter_search`` is a run of its own, see ``run_trial``.
    - No pickle is left in the model folder, and an upload takes only what ``list_uploads`` names.

    Takes the arguments of ``transformers.Trainer``. With plain ``TrainingArguments`` it corrects and adds nothing else.
    """

    def __init__(
        self,
        model: PreTrainedModel | nn.Module | None = None,
        args: TrainingArguments | None = None,
        *rest: Any,
        **kwargs: Any,
    ) -> None:
        require_known_trainer()
        bound = inspect.signature(Trainer.__init__).bind(self, model, args, *rest, **kwargs)
        if args is not None:
            read_stream_in_every_process(args, bound.arguments.get("train_dataset"))
        self.given = {name: value for name, value in bound.arguments.items() if name not in ("self", "model")}
        own = callbacks_from(args) if args is not None else []
        # in the constructor, not by add_callback: only then is their state part of the checkpoints
        bound.arguments["callbacks"] = own + list(bound.arguments.get("callbacks") or [])
        super().__init__(*bound.args[1:], **bound.kwargs)
        install_loss(self)
        self.cost = RunCost(self)
        self.loss_scale = LossScale(self)
        self.mean_weights = MeanWeights(self, self.loss_scale)
        self.rdrop = build_rdrop(self, self.loss_scale)
        self.balances_labels = balance_labels(self)
        self.named_losses = NamedLosses(self, self.loss_scale)
        self.exact_loss = ExactLoss(self, self.named_losses)
        self.loss_watch = watch_losses(self)
        keep_tensorboard_in_output(self)
        self.averaging = build_averaging(self)
        self.ema = build_ema(self)
        attack = build_attack(self.args, tokenizer=self.processing_class)
        self.adversarial = AdversarialStep(attack, self, self.loss_scale) if attack is not None else None
        self.group_record: GroupRecord | None = None
        self.checkpoints = CheckpointKeeper(self)
        self.sigterm = stop_on_sigterm(self, self.checkpoints)
        self.length_strategy = choose_length_strategy(self)

    # --- training -----------------------------------------------------------------------------------------------------

    def train(
        self, resume_from_checkpoint: str | bool | None = None, trial: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Train as Trainer does; whatever happens, no attack stays on the model and no evaluation sees its average.

        Args:
            resume_from_checkpoint: A folder; True or ``"last"`` for the newest whole checkpoint of the output folder.
            trial: Of ``hyperparameter_search``; it is trained by a trainer of its own, see ``run_trial``.
            *args: As of ``Trainer.train``.
            **kwargs: As of ``Trainer.train``.
        """
        if trial is not None:
            return run_trial(self, trial)
        if self.args.eval_strategy != IntervalStrategy.NO:
            check_evaluated_rows(self.eval_dataset, processes=self.accelerator.num_processes)
        self.named_losses.start_training()
        checkpoint = self.checkpoints.begin(resume_from_checkpoint)
        try:
            with self.cost.phase(TRAIN):
                return super().train(checkpoint, trial, *args, **kwargs)
        finally:
            if self.sigterm is not None:
                self.sigterm.stop()
            close_progress(self)
            if self.adversarial is not None:
                self.adversarial.attack.remove()
            if self.ema is not None:
                self.ema.stop()

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """Begin or resume as Trainer does, but not behind the last step; of a stream, find its pass again."""
        begin = super()._init_training_state(*args, **kwargs)
        given = inspect.signature(Trainer._init_training_state).bind(self, *args, **kwargs).arguments
        checkpoint = given["resume_from_checkpoint"]
        find_best_again(self.state, checkpoint)
        if checkpoint is not None and has_ended(self, checkpoint, given["max_steps"]):
            return given["num_train_epochs"], 0
        epochs, batches = find_stream_position(self, checkpoint) or begin
        return epochs, 0 if self.args.ignore_data_skip else batches

    def get_train_dataloader(self) -> DataLoader:
        """Build the loader as Trainer does; one that would give no batch is refused in one line."""
        check_has_rows(self.train_dataset)
        loader = super().get_train_dataloader()
        check_has_batches(loader, self.train_dataset, self.args)
        return loader

    def _remove_unused_columns(self, dataset: Any, description: str | None = None) -> Any:
        """Remove columns as Trainer does; a collator that takes tables gets the rows as such."""
        return hand_out_tables(super()._remove_unused_columns(dataset, description), self.data_collator)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        """Shuffle the rows as Trainer does, draw every label equally often, or bring similar lengths together."""
        rows = self.train_dataset if train_dataset is None else train_dataset
        balanced = build_balanced_sampler(self.args, self.model, rows) if self.balances_labels else None
        if self.length_strategy in (GROUP, BUDGET):
            return build_length_sampler(self, self.length_strategy, rows, balanced)
        return balanced or super()._get_train_sampler(train_dataset)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, Tensor | int | None]:
        """Fetch the micro-batches of one optimizer step; the first of them settles the loss scale."""
        batches, num_items_in_batch = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            self.loss_scale.settle(batches[0])
            tell_rows(self, batches)
            if self.adversarial is not None:
                self.adversarial.count_rows(batches)
        if not self.model_accepts_loss_kwargs and self.compute_loss_func is None:
            num_items_in_batch = None
        self.mean_weights.prepare(batches, num_items_in_batch)
        return batches, num_items_in_batch

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Add one micro-batch's gradient, adversarial passes included; the loss given back is the clean one."""
        step, batch = super().training_step, inputs
        self.named_losses.start_step()
        self.mean_weights.begin_micro_batch(inputs)
        self.cost.see(inputs)
        if self.rdrop is not None:
            batch, num_items_in_batch = self.rdrop.double(inputs, num_items_in_batch)
        if self.adversarial is not None:
            loss = self.adversarial.run(step, model, batch, num_items_in_batch)
        else:
            loss = step(model, batch, num_items_in_batch)
        if self.loss_watch is not None:
            self.loss_watch.see(inputs, loss)
        return loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """Compute the loss as Trainer does, weighted as the running adversarial pass counts."""
        labels = inputs.get("labels")  # Trainer takes them out
        own = self.adversarial.own_loss(model, inputs, num_items_in_batch) if self.adversarial is not None else None
        loss, outputs = own or super().compute_loss(
            model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch
        )
        self.named_losses.see(outputs, num_items_in_batch, training=model.training)
        if self.rdrop is not None and model.training and own is None:
            loss = loss + self.rdrop.penalty(outputs, labels, num_items_in_batch)
        if self.adversarial is not None:
            loss = self.adversarial.weigh(loss, outputs)
        if model.training:
            loss = self.mean_weights.weigh(loss, by_rows=own is not None)
        return (loss, outputs) if return_outputs else loss

    # --- evaluation ---------------------------------------------------------------------------------------------------

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluate or predict as Trainer does, with a loss in which every item counts once, see ``ExactLoss``."""
        check_evaluated_rows(dataloader.dataset, processes=self.accelerator.num_processes)
        average = self.ema.evaluating(self.model) if self.ema is not None else nullcontext()
        phase = self.cost.phase(PREDICT if description == "Prediction" else EVALUATE)
        metric, loss = metric_by_batches(self, description), self.exact_loss.measured()
        with phase, average, metric, loss, input_order(self, dataloader) as order:
            output = super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
        self.exact_loss.write_into(output.metrics, metric_key_prefix)
        return order.restore_output(output)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Predict one batch; without training before, its labels settle the scale of the evaluation loss."""
        self.loss_scale.settle(inputs)
        self.cost.see(inputs)
        found = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        self.exact_loss.add(model, inputs, found[0])
        return found

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        """Read the rows by length; ``evaluation_loop`` brings them back to their order, which Trainer does not."""
        groups = getattr(self.compute_metrics, "row_groups", ())
        by_length = sort_by_length(eval_dataset, column=self.args.length_column_name, groups=groups)
        if by_length is not None:
            return by_length
        strategy = self.args.train_sampling_strategy
        self.args.train_sampling_strategy = "random"
        try:
            return super()._get_eval_sampler(eval_dataset)
        finally:
            self.args.train_sampling_strategy = strategy

    # --- optimizer ----------------------------------------------------------------------------------------------------

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make Trainer's optimizer with a rate for every part of the model, see ``parameter_groups``."""
        with grouped_parameters(self, model):
            return super().create_optimizer(model)

    def _get_learning_rate(self) -> float:
        """Read the rate to log, and note those of all groups at the same moment."""
        if self.group_record is not None:
            self.group_record.note(self.optimizer)
        return super()._get_learning_rate()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as Trainer does, each named loss beside ``loss`` and each rate by its name beside ``learning_rate``."""
        logs = self.named_losses.with_losses(logs)
        super().log(self.group_record.with_rates(logs) if self.group_record is not None else logs, start_time)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Save as Trainer does, the average of the weights, and what the optimizer's groups are."""
        super()._save_optimizer_and_scheduler(output_dir)
        if self.ema is not None and self.args.should_save:
            self.ema.average.save(Path(output_dir))
        if self.group_record is not None and self.args.should_save:
            self.group_record.save(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load as Trainer does, and the average of the weights, once the groups are known to be this run's."""
        if self.group_record is not None and checkpoint is not None:
            self.group_record.check(checkpoint)
        if self.ema is not None and checkpoint is not None:
            self.ema.restore(checkpoint, self.model)
        super()._load_optimizer_and_scheduler(checkpoint)

    # --- files --------------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save as Trainer does; the checkpoint counts, and older ones go, only when all of it is on the disk."""
        with self.checkpoints.saving(trial):
            super()._save_checkpoint(model, trial)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Refuse a checkpoint that lacks weights of this model or has others, where Trainer warns."""
        require_all_weights(self, load_result)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Save as Trainer does, with the arguments as JSON instead of a pickle that holds the Hub token."""
        folder = Path(output_dir or self.args.output_dir or ".")
        if not self.args.should_save:
            super()._save(str(folder), state_dict)
            return
        with self.checkpoints.place_for_model(folder) as place:
            super()._save(str(place), state_dict)
            (place / TRAINING_ARGS_NAME).unlink(missing_ok=True)
            (place / TRAINING_ARGS_JSON).write_text(self.checkpoints.arguments_text(), encoding="utf-8")

    def push_to_hub(self, *args: Any, **kwargs: Any) -> Any:
        """Upload model, tokenizer, card and results, where Trainer uploads the whole folder; see ``push``."""
        return push(self, *args, **kwargs)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Upload nothing while training, where Trainer uploads the whole folder with a pickle of the arguments."""
        postpone_push(self)
