"""Put the floors together for ``run_ner.py``: saved schema, demo data, tokenizer, model, the rate of its CRF."""

from __future__ import annotations

import logging
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.cli.building import build_model, check_metric_name, load_tokenizer, read_saved_config
from hf_ext.data.tagging import TaggingData, TaggingDataArguments
from hf_ext.data.tagging.demo import prepare_tagging_demo
from hf_ext.errors import UserError
from hf_ext.evaluation.entities import EntityCounts, SpanReader
from hf_ext.models.encoders import RecurrentEncoder
from hf_ext.models.tagger_arguments import TaggerArguments
from hf_ext.models.tagger_loading import load_tagger
from hf_ext.models.tagging_schema import TaggingSchema, has_tagger, tags_of_head
from hf_ext.tokenization import put_space_before_words
from hf_ext.training.arguments import ExtTrainingArguments

logger = logging.getLogger(__name__)

DEMO_FOLDER = Path("outputs/ner_demo_data")
CRF_RATE_FACTOR = 25.0  # transitions start at nothing; at an encoder's rate they hardly move
ENTITY_FIGURES = ("precision", "recall", "f1", "number")  # of each type, with --return_entity_level_metrics
JOINT_FIGURES = ("sentence_accuracy", "both_right", "sentence_loss", "tag_loss")
CHOOSE_OWN_RATES = ("muon", "galore", "lomo", "apollo")  # optimizers that take no rates by part of the model


def use_demo_data(arguments: TaggingDataArguments, folder: Path = DEMO_FOLDER) -> None:
    """Fill in the demo's files when no data is named, and say so."""
    files = prepare_tagging_demo(folder)
    arguments.train_file, arguments.validation_file = str(files["train"]), str(files["validation"])
    arguments.test_file = str(files["test"])
    logger.info("No data is given: using the demo data (names in Chinese news, 3 types) in %s.", folder)


def load_saved_schema(arguments: TaggerArguments, *, trains: bool) -> TaggingSchema | None:
    """Read what a saved tagger knows of its data; None for a plain encoder and from scratch.

    A tagger that hf_ext has not saved brings its tags, and their scheme as the names tell it.

    Args:
        arguments: Which model.
        trains: Whether this run trains it.

    Raises:
        UserError: If ``model_name_or_path`` cannot be read, or is an encoder without a tagger that this run would
            not train either: its answers would be random.
    """
    config = read_saved_config(arguments, trains=trains, has_head=has_tagger, head="tagger", task="tagging words")
    return None if config is None else TaggingSchema.from_config(config) or tags_of_head(config)


def check_best_metric(args: ExtTrainingArguments, schema: TaggingSchema, arguments: TaggingDataArguments) -> None:
    """Refuse a ``metric_for_best_model`` that no evaluation of these tags will give.

    Raises:
        UserError: Naming the nearest figure.
    """
    known = [*EntityCounts(schema.scheme).scores()]
    if arguments.return_entity_level_metrics:
        types = SpanReader(schema.tags, schema.scheme).types
        known += [f"{name or '_'}_{figure}" for name in types for figure in ENTITY_FIGURES]
    check_metric_name(args, [*known, *(JOINT_FIGURES if schema.sentence_labels else ())])


def check_choosing(args: ExtTrainingArguments) -> None:
    """Refuse what only a classifier can fit.

    Raises:
        UserError: If thresholds or a temperature are asked for.
    """
    for name in ("tune_thresholds", "calibrate"):
        if getattr(args, name):
            raise UserError(f"--{name} is for classifiers, not for taggers", fix="leave it out")


def fit_characters(arguments: TaggerArguments, data: TaggingData) -> None:
    """Let the schema know the characters of the training words where a character encoder is asked for."""
    if arguments.character_encoder not in (None, "none") and "train" in data.splits:
        data.fit_characters(min_count=arguments.min_token_count)


def load_word_tokenizer(arguments: TaggerArguments, data: TaggingData) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer, made to read words one by one, or build one whose tokens are the words.

    Raises:
        UserError: If no tokenizer can be loaded from the name given, it cannot tell which word a token is of, there
            is nothing to build one from, or the training sentences hold no word.
    """
    tokenizer = load_tokenizer(arguments, data, longest=data.schema.max_length, level="whole", column="words'")
    if not tokenizer.is_fast:
        raise UserError(
            f"{type(tokenizer).__name__} of {arguments.tokenizer_name or arguments.model_name_or_path!r} is a slow "
            "tokenizer, which cannot tell the word of a token",
            fix="name one with a tokenizer.json by --tokenizer_name, or another model",
        )
    if put_space_before_words(tokenizer):
        logger.info("The tokenizer reads each word as if a blank stood before it (add_prefix_space).")
    return tokenizer


def build_tagger(
    arguments: TaggerArguments,
    schema: TaggingSchema,
    tokenizer: PreTrainedTokenizerBase,
    *,
    label_all_tokens: bool = False,
) -> PreTrainedModel:
    """Load or build the tagger, put word vectors in, and freeze what was asked for.

    Args:
        arguments: Which model.
        schema: Tags, their scheme, sentence labels and characters.
        tokenizer: Its tokenizer.
        label_all_tokens: Whether the run labels every token, which only a stock head can learn.

    Raises:
        UserError: If the model, the vectors and the schema do not fit together; the message says what differs.
    """

    def load(settings: TaggerArguments, **sizes: int) -> PreTrainedModel:
        return load_tagger(settings, schema, **sizes)

    if arguments.embedding_file and not arguments.from_scratch:
        logger.warning("--embedding_file is for taggers from scratch; %s keeps its own.", arguments.model_name_or_path)
    model = build_model(arguments, tokenizer, load)
    if label_all_tokens and hasattr(model, "wants_probabilities"):
        raise UserError(
            "--label_all_tokens is for stock heads; this tagger has one vector for each word",
            fix="leave it out, or take a pretrained encoder with --decoder softmax and nothing else above it",
        )
    return model


def choose_crf_rate(args: ExtTrainingArguments, arguments: TaggerArguments, model: PreTrainedModel) -> None:
    """Let the CRF above a pretrained encoder learn faster than the encoder, unless a flag says how fast.

    ``crf_learning_rate`` becomes 25 times ``learning_rate``. It stays unset from scratch, where one rate serves all;
    beside ``head_learning_rate``, which then holds for the CRF too; where the whole encoder is frozen; and with
    optimizers that choose the rates themselves.
    """
    has_crf = getattr(model, "crf", None) is not None
    pretrained = not isinstance(getattr(model, "encoder", None), RecurrentEncoder) and arguments.freeze_encoder != "all"
    given = args.crf_learning_rate is not None or args.head_learning_rate is not None
    own_rates = any(name in str(args.optim).lower() for name in CHOOSE_OWN_RATES)
    if args.do_train and has_crf and pretrained and not given and not own_rates:
        args.crf_learning_rate = CRF_RATE_FACTOR * args.learning_rate
        logger.info(
            "The CRF learns at %g, %g times --learning_rate; --crf_learning_rate says otherwise.",
            args.crf_learning_rate,
            CRF_RATE_FACTOR,
        )
