"""Put the floors together for the scripts: saved schema, demo data, tokenizer, model."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import cast

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.data.arguments import DataArguments
from hf_ext.data.classification import ClassificationData
from hf_ext.data.demo import prepare_demo
from hf_ext.errors import UserError, did_you_mean
from hf_ext.evaluation.metrics import metric_names
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.encoders import RecurrentEncoder, set_word_vectors
from hf_ext.models.freezing import freeze_encoder
from hf_ext.models.loading import load_config, load_sequence_classifier
from hf_ext.models.schema import LabelSchema, TaskSchema, has_classifier, labels_of_head
from hf_ext.tokenization import build_tokenizer, read_word_vectors
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
    """Refuse a ``metric_for_best_model`` that no evaluation will give, before hours are spent on the first one.

    Raises:
        UserError: Naming the nearest figure; metrics that ``metric_name`` loads are not known beforehand.
    """
    wanted = (args.metric_for_best_model or "loss").removeprefix("eval_")
    known = ("loss", *metric_names(labels.problem_type))
    if wanted not in known and not arguments.metric_name:
        raise UserError(f"--metric_for_best_model {wanted}: there is no such metric", fix=did_you_mean(wanted, known))


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
    try:
        config = load_config(arguments)
    except ValueError as error:
        raise UserError(str(error), fix="check --model_name_or_path") from error
    if config is None:
        return None
    if not trains and not has_classifier(config):
        raise UserError(
            f"{arguments.model_name_or_path!r} holds no trained classifier to evaluate or predict with",
            fix="add --do_train, or name a model that was trained for classification",
        )
    return TaskSchema.from_config(config) or labels_of_head(config)


def load_tokenizer(arguments: ModelArguments, data: ClassificationData) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer, or build one from the training texts when the model starts from scratch.

    Raises:
        UserError: If no tokenizer can be loaded from the name given, there is nothing to build one from, or the
            training texts hold no token.
    """
    name = arguments.tokenizer_name or arguments.model_name_or_path
    if name is None and "train" not in data.splits:
        raise UserError(
            "there is no model to evaluate or predict with",
            fix="name a saved one by --model_name_or_path or --do_train",
        )
    try:
        if name is None:
            return build_tokenizer(
                data.training_texts(),
                level=arguments.tokenizer_level,
                vocab_size=arguments.vocab_size,
                min_count=arguments.min_token_count,
                lower_case=arguments.do_lower_case,
                model_max_length=max(data.schema.text.max_length, 512),
            )
        return AutoTokenizer.from_pretrained(
            name,
            cache_dir=arguments.cache_dir,
            use_fast=arguments.use_fast_tokenizer,
            revision=arguments.model_revision,
            token=arguments.token,
            trust_remote_code=arguments.trust_remote_code,
            **({"do_lower_case": True} if arguments.do_lower_case else {}),
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"no tokenizer could be loaded from {name!r} ({str(error).strip().splitlines()[0]})"
            if name
            else str(error),
            fix="check --tokenizer_name and --model_name_or_path" if name else "check the text column",
        ) from error


def load_classifier(
    arguments: ModelArguments, schema: TaskSchema, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """Load or build the classifier, put word vectors in, and freeze what was asked for.

    Raises:
        UserError: If the model, the vectors and the schema do not fit together; the message says what differs.
    """
    vectors: dict = {}
    if arguments.embedding_file and arguments.from_scratch:
        vectors, width = read_word_vectors(arguments.embedding_file, tokenizer.get_vocab())
        arguments = dataclasses.replace(arguments, embedding_size=width)
        logger.info("%d of %d tokens have a vector in %s.", len(vectors), len(tokenizer), arguments.embedding_file)
    try:
        model = load_sequence_classifier(
            arguments, schema, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id or 0
        )
        _compare_vocabulary(model, tokenizer)
        if vectors:
            set_word_vectors(cast(RecurrentEncoder, model.encoder), vectors)
        if arguments.freeze_encoder:
            frozen = freeze_encoder(model, arguments.freeze_encoder)
            logger.info("%s parameters of the encoder are frozen.", f"{frozen:,}")
    except ValueError as error:
        raise UserError(str(error)) from error
    return model


def _compare_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = getattr(model.get_input_embeddings(), "num_embeddings", None)
    if rows is not None and len(tokenizer) > rows:
        logger.warning(
            "This tokenizer has %d tokens, the model knows %d; any other would stop the run: check --tokenizer_name.",
            len(tokenizer),
            rows,
        )
