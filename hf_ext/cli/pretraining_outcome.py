"""What a pretraining run leaves behind: losses and perplexities, how full its rows were, how much was masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from datasets import Dataset
from transformers import Trainer

from hf_ext.cli.card_texts import MASKED_EXAMPLES, is_stock, show_stock_pipeline
from hf_ext.cli.explaining import TaskFacts, guess_language
from hf_ext.cli.outcome import Outcome
from hf_ext.cli.pictures import Pictures
from hf_ext.data.checks.pretraining import inspect_pretraining
from hf_ext.data.checks.report import DataReport
from hf_ext.data.pretraining import PretrainingData
from hf_ext.data.pretraining.figures import count_tokens, measure_mask_rate
from hf_ext.training.pretraining import MASKED_LOSS
from hf_ext.training.watch.train_log import TRAIN_LOG

MAIN_METRICS = ("loss", "perplexity", "mask_rate", "utilisation", "tokens_per_second")


class PretrainingOutcome(Outcome[PretrainingData]):
    """The last step of ``run_continue_pretrain.py``.

    Args:
        args: The run's training arguments.
    """

    task = "fill-mask"
    titles: ClassVar[dict[str, str]] = {"train": "training", "eval": "validation"}
    next_step = "run_classification.py or run_ner.py --model_name_or_path {folder} …"

    def _figures(
        self, trainer: Trainer, data: PretrainingData, split: str, metrics: dict[str, float]
    ) -> dict[str, Any]:
        """Give rows, tokens and masks of a split; of a stream, which is gone when it has been read, nothing."""
        collator: Any = trainer.data_collator
        rows = {"train": trainer.train_dataset, "eval": trainer.eval_dataset}[split]
        if not isinstance(rows, Dataset):
            return {}
        tokens = count_tokens(rows)
        figures = {
            f"{split}_samples": len(rows),
            f"{split}_tokens": tokens,
            f"{split}_utilisation": tokens / (len(rows) * (data.max_length or 1)),
            f"{split}_mask_rate": measure_mask_rate(rows, collator),
        }
        if not (split == "train" and self.args.resume_from_checkpoint):  # its seconds are those of a part of the steps
            per_second = metrics[f"{split}_samples_per_second"] * tokens / len(rows)
            figures[f"{split}_tokens_per_second"] = round(per_second)
        return figures

    def _count(self, data: PretrainingData, split: str) -> int | None:
        return None  # rows are known to the trainer, see ``_figures``

    def _inspect(self, data: PretrainingData) -> DataReport:
        return inspect_pretraining(data)

    def _main_metrics(self, data: PretrainingData) -> Sequence[str]:
        return MAIN_METRICS

    def _draw(self, pictures: Pictures, data: PretrainingData) -> None:
        super()._draw(pictures, data)
        has_pairs = any(MASKED_LOSS in entry for entry in pictures.trainer.state.log_history)
        pictures.draw_perplexity(MASKED_LOSS if has_pairs else "loss")

    def _describe(self, trainer: Trainer, data: PretrainingData, folder: str) -> TaskFacts:
        language = guess_language(data.training_texts())
        model = trainer.accelerator.unwrap_model(trainer.model)
        mask = getattr(trainer.processing_class, "mask_token", None)
        example = MASKED_EXAMPLES[language].format(mask=mask) if mask else None
        asks = example is not None and is_stock(model) and type(model).__name__.endswith("ForMaskedLM")
        return TaskFacts(
            "Fills in masked words; meant as a start for classifiers and taggers of such text.",
            usage=show_stock_pipeline(self.task, folder, str(example)) if asks else "",
            command=f"python run_classification.py --model_name_or_path {folder} --train_file train.csv "
            "--validation_file dev.csv --do_train --do_eval",
            example=example,
            language=language,
        )

    def _extras(self, trainer: Trainer, data: PretrainingData, data_args: Any) -> None:
        """Name the file with the curve where evaluations have been logged while training."""
        log = self.folder / TRAIN_LOG
        if self.args.do_train and self.args.eval_strategy != "no" and log.is_file():
            self.files["perplexity by step"] = log
