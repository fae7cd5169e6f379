"""Put the floors together for ``run_classification.py``: saved schema, demo data, tokenizer, model."""

from __future__ import annotations

import logging
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.cli.building import build_model, check_metric_name, load_tokenizer, read_saved_config
from hf_ext.data.arguments import DataArguments
from hf_ext.data.classification import ClassificationData
from hf_ext.data.demo import prepare_demo
from hf_ext.errors import UserError
from hf_ext.evaluation.metrics import metric_names
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.loading import load_sequence_classifier
from hf_ext.models.schema import LabelSchema, TaskSchema, has_classifier, labels_of_head
from hf_ext.training.arguments import ExtTrainingArguments

logger = logging.getLogger(__name__)

DEMO_FOLDER = Path("outputs/demo_data")
DEMO_LENGTH = 256  # tokens; 97 % of the reviews fit


def use_demo_data(arguments: DataArguments, folder: Path = DEMO_FOLDER) -> None:
    """Fill in the demo's files when no data is named, and say so."""
    files = prepare_demo(folder)
    arguments.train_file, arguments.validation_file = str(files["train"]), str(files["validation"])
    arguments.test_file = str(files["test"])
    arguments.max_seq_length = max(arguments.max_seq_length, DEMO_LENGTH)
    logger.info("No data is given: using the demo data (Chinese product reviews, 2 labels) in %s.", folder)


def check_streaming(arguments: DataArguments, max_steps: int) -> None:
    """Refuse to stream without a number of steps, since nobody knows the length of a stream.

    Raises:
        UserError: If ``streaming`` stands without ``max_steps``.
    """
    if arguments.streaming and max_steps <= 0:
        raise UserError(
            "--streaming has no last row to stop at", fix="add --max_steps, e.g. rows / batch size * epochs"
        )


def check_best_metric(args: ExtTrainingArguments, labels: LabelSchema, arguments: DataArguments) -> None:
    """Refuse a ``metric_for_best_model`` that no evaluation of these labels will give.

    Raises:
        UserError: Naming the nearest figure; metrics that ``metric_name`` loads are not known beforehand.
    """
    if not arguments.metric_name:
        check_metric_name(args, metric_names(labels.problem_type))


def load_saved_schema(arguments: ModelArguments, *, trains: bool) -> TaskSchema | None:
    """Read what a saved model knows of its data; None for a plain encoder and from scratch.

    A classifier that hf_ext has not saved brings its labels only.

    Args:
        arguments: Which model.
        trains: Whether this run trains it.

    Raises:
        UserError: If ``model_name_or_path`` cannot be read, or is an encoder without a classifier that this run
            would not train either: its answers would be random.
    """
    config = read_saved_config(
        arguments, trains=trains, has_head=has_classifier, head="classifier", task="classification"
    )
    return None if config is None else TaskSchema.from_config(config) or labels_of_head(config)


def load_text_tokenizer(arguments: ModelArguments, data: ClassificationData) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer, or build one from the training texts when the model starts from scratch.

    Raises:
        UserError: If no tokenizer can be loaded from the name given, there is nothing to build one from, or the
            training texts hold no token.
    """
    return load_tokenizer(arguments, data, longest=data.schema.text.max_length, level=arguments.tokenizer_level)


def load_classifier(
    arguments: ModelArguments, schema: TaskSchema, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """Load or build the classifier, put word vectors in, and freeze what was asked for.

    Raises:
        UserError: If the model, the vectors and the schema do not fit together; the message says what differs.
    """

    def load(settings: ModelArguments, **sizes: int) -> PreTrainedModel:
        return load_sequence_classifier(settings, schema, **sizes)

    return build_model(arguments, tokenizer, load)
