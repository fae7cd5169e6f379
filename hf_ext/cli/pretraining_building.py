"""Put the floors together for ``run_continue_pretrain.py``: demo, tokenizer, new tokens, model, masks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from hf_ext.cli.building import check_metric_name
from hf_ext.cli.padding import length_multiple
from hf_ext.data.pretraining import MaskingCollator, PretrainingData, PretrainingDataArguments
from hf_ext.data.pretraining.demo import prepare_pretraining_demo
from hf_ext.data.pretraining.figures import count_unknown
from hf_ext.errors import UserError
from hf_ext.models.document_attention import isolates_documents, window_local_layers
from hf_ext.models.freezing import freeze_encoder
from hf_ext.models.masked_head import project_masked_only
from hf_ext.models.positions import first_position
from hf_ext.models.pretrained import load_config
from hf_ext.models.pretraining_arguments import PretrainingModelArguments
from hf_ext.models.pretraining_loading import load_pretraining_model, make_scratch_config
from hf_ext.models.vocabulary_rows import extend_embeddings
from hf_ext.tokenization import build_tokenizer
from hf_ext.tokenization.extension import add_tokens, read_token_list
from hf_ext.tokenization.saved import load_saved_tokenizer
from hf_ext.training.arguments import ExtTrainingArguments
from hf_ext.training.epoch_seed import EpochSeed
from hf_ext.training.new_rows import NewRowsOnly
from hf_ext.training.pretraining import MASKED_LOSS, PAIR_LOSS

logger = logging.getLogger(__name__)

DEMO_FOLDER = Path("outputs/pretraining_demo_data")
DEMO_LENGTH = 64  # tokens; short rows make many steps of little text
MUCH_UNKNOWN = 0.05  # of the tokens
DEMO_SIZES = "hidden_size=128,num_hidden_layers=2,num_attention_heads=2,intermediate_size=512"
# Flags of other tasks: they need the scores of every position, labels of rows, or predictions.
FOREIGN = (
    *("rdrop_alpha", "loss", "class_weights", "weighted_sampling", "label_smoothing_factor", "multitask_alpha"),
    *("tune_thresholds", "calibrate", "bootstrap_samples", "tune"),
)


def use_pretraining_demo(
    model_args: PretrainingModelArguments, data_args: PretrainingDataArguments, folder: Path = DEMO_FOLDER
) -> None:
    """Fill in the demo's text when no data is named, and a small model when none is named either; and say so."""
    data_args.train_file, data_args.document_boundary = str(prepare_pretraining_demo(folder)), "line"
    logger.info("No data is given: using the demo data (Chinese product reviews) in %s.", folder)
    if model_args.from_scratch and not (model_args.model_type or model_args.config_name or model_args.config_overrides):
        model_args.model_type, model_args.config_overrides = "bert", DEMO_SIZES
        data_args.max_seq_length = data_args.max_seq_length or DEMO_LENGTH
        logger.info("No model is given: a small BERT from scratch (%s).", DEMO_SIZES)


def check_pretraining_flags(args: ExtTrainingArguments, data_args: PretrainingDataArguments) -> None:
    """Refuse what makes no sense here, before anything is read; have each process make the batches of a stream itself.

    Else the first process would make them for all and cut them up by rows, which ``masked_positions`` does not survive.

    Raises:
        UserError: For a prediction, a stream without an end, a metric that no evaluation gives, a method that needs
            the scores of all positions.
    """
    if args.do_predict:
        raise UserError("--do_predict: pretraining has nothing to predict", fix="leave it out; --do_eval scores a text")
    for name in FOREIGN:
        if getattr(args, name):
            raise UserError(f"--{name} is not for masked language modelling", fix="leave it out")
    if args.remove_unused_columns:
        raise UserError("--remove_unused_columns would remove what the masks are drawn from", fix="leave it out")
    if args.adversarial == "vat":
        raise UserError("--adversarial vat compares scores of all positions", fix="take fgm, pgd, freelb or awp")
    if data_args.streaming and args.do_train and args.max_steps <= 0:
        raise UserError(
            "--streaming has no last row to stop at", fix="add --max_steps, e.g. rows / batch size * epochs"
        )
    if data_args.streaming:
        loading: Any = args.accelerator_config
        loading.dispatch_batches = False
    names = ["perplexity", *([MASKED_LOSS, PAIR_LOSS] if data_args.has_sentence_pairs else [])]
    check_metric_name(args, names)


def check_model(arguments: PretrainingModelArguments) -> None:
    """Refuse a model, or a list of new tokens, that cannot be read or is not said, before hours of text are read.

    Raises:
        UserError: In one line.
    """
    try:
        if not arguments.from_scratch:
            load_config(arguments)
        elif not (arguments.model_type or arguments.config_name):
            raise UserError(
                "no model is named", fix="pass --model_name_or_path, or from scratch --model_type, e.g. bert"
            )
        else:
            make_scratch_config(arguments, vocab_size=1, pad_token_id=0)  # the vocabulary comes later
        if arguments.add_tokens:
            read_token_list(arguments.add_tokens)
    except UserError:
        raise
    except ValueError as error:
        named = "model_type" if arguments.from_scratch else "model_name_or_path"
        raise UserError(str(error), fix=f"check --{named}") from error


def load_pretraining_tokenizer(arguments: PretrainingModelArguments, data: PretrainingData) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer, or count one from the training text when none is named.

    Raises:
        UserError: If no tokenizer can be loaded from the name given, it has no mask token, there is nothing to build
            one from, or the training text holds no token.
    """
    name = arguments.tokenizer_name or arguments.model_name_or_path
    if name is not None:
        tokenizer = load_saved_tokenizer(arguments)
        if arguments.tokenizer_name and arguments.model_name_or_path:
            _compare_with_own(arguments, tokenizer)
    elif "train" in data.splits:
        tokenizer = build_tokenizer(data.training_texts())
    else:
        raise UserError("there is no model to evaluate", fix="name one by --model_name_or_path, or add --do_train")
    if tokenizer.mask_token is None:
        raise UserError(
            f"the tokenizer of {name!r} has no mask token, so nothing can be masked",
            fix="name a model, or a --tokenizer_name, for masked language modelling",
        )
    return tokenizer


def _compare_with_own(arguments: PretrainingModelArguments, tokenizer: PreTrainedTokenizerBase) -> None:
    """Say where the rows of a model would belong to other tokens than those that they were trained for."""
    try:
        own = load_saved_tokenizer(replace(arguments, tokenizer_name=None)).get_vocab()
    except UserError:
        return  # the model comes without one
    ids = tokenizer.get_vocab()
    moved = sum(ids.get(token) != number for token, number in own.items())
    if moved:
        logger.warning(
            "%d of the %d tokens of %r have another id, or none, in %r: their rows go to other tokens. Keep the "
            "model's own tokenizer and add words by --add_tokens, or train from scratch.",
            moved,
            len(own),
            arguments.model_name_or_path,
            arguments.tokenizer_name,
        )


def extend_tokenizer(arguments: PretrainingModelArguments, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Add the tokens of ``--add_tokens``.

    Returns:
        The old tokens, as ids, that the row of each new one begins as the mean of; empty without the flag.

    Raises:
        UserError: If the file cannot be read, or a token cannot be added.
    """
    if not arguments.add_tokens:
        return {}
    entries = read_token_list(arguments.add_tokens)
    pieces = add_tokens(tokenizer, entries, use_descriptions=arguments.add_tokens_init == "description")
    logger.info("%s: %d tokens, %d of them new.", arguments.add_tokens, len(entries), len(pieces))
    return {token: [] for token in pieces} if arguments.add_tokens_init == "random" else pieces


def build_pretraining_model(
    arguments: PretrainingModelArguments,
    tokenizer: PreTrainedTokenizerBase,
    pieces: dict[str, list[int]],
    *,
    sentence_pairs: bool,
) -> tuple[PreTrainedModel, list[int]]:
    """Load or build the model, give new tokens their rows, and freeze what was asked for.

    Args:
        arguments: Which model.
        tokenizer: With the new tokens.
        pieces: What their rows begin as the mean of.
        sentence_pairs: Whether it needs a head for pairs of sentences.

    Returns:
        The model and the ids of its new tokens.

    Raises:
        UserError: If the model and the flags do not fit together; the message says what differs.
    """
    notes: list[str] = []
    try:
        model = load_pretraining_model(
            arguments,
            sentence_pairs=sentence_pairs,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id or 0,
            notes=notes,
        )
        new_rows = extend_embeddings(model, tokenizer, pieces, multiple_of=arguments.pad_vocab_to_multiple_of)
        if arguments.freeze_encoder:
            frozen = freeze_encoder(model, arguments.freeze_encoder)
            notes.append(f"{frozen:,} parameters of the encoder are frozen.")
    except ValueError as error:
        raise UserError(str(error)) from error
    for note in notes:
        logger.info(note)
    return model, new_rows


def check_tokens(rows: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> None:
    """Say how much of the text the tokenizer does not know, if that is much.

    Raises:
        UserError: If it knows none of the tokens of a split, so that there is nothing to predict.
    """
    for split, found in rows.items():
        unknown, special = count_unknown(found, tokenizer) if isinstance(found, Dataset) else (0.0, 0.0)
        if special == 1:
            raise UserError(
                f"the tokenizer knows nothing of the {split} text: there is no token to predict",
                fix="take a tokenizer for this script, by --tokenizer_name or with another model",
            )
        if unknown > MUCH_UNKNOWN:
            logger.warning(
                "%.0f %% of the tokens of the %s text are unknown to the tokenizer and never predicted; take another, "
                "or add words by --add_tokens.",
                100 * unknown,
                split,
            )


def build_collator(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, data: PretrainingData, args: ExtTrainingArguments
) -> MaskingCollator:
    """Build what masks the rows, and keeps documents of one row apart where the model allows it; say which holds.

    Args:
        tokenizer: Of the model.
        model: Changed as far as it takes to compute scores at masked positions only.
        data: How rows are made and masked.
        args: The training arguments.
    """
    flags = data.arguments
    masked_only = project_masked_only(model)
    if masked_only:
        logger.info("Scores over the vocabulary are computed at the masked positions only.")
    else:
        logger.info("%s computes scores at every position; no shortcut is known for it.", type(model).__name__)
    isolates = False
    if flags.packing != "none" and not flags.has_sentence_pairs:
        window_local_layers(model)
        isolates = isolates_documents(model)
        logger.info(
            "Documents that share a row %s (tried on a small row).",
            "do not see one another"
            if isolates
            else f"see one another: {type(model).__name__} does not keep them apart; --packing none does",
        )
    return MaskingCollator(
        tokenizer,
        masking=flags.masking,
        probability=flags.mlm_probability,
        seed=args.data_seed if args.data_seed is not None else args.seed,
        max_span_length=flags.max_span_length,
        span_probability=flags.span_probability,
        isolate_documents=isolates,
        position_offset=first_position(model),
        pad_to_multiple_of=length_multiple(args),
        max_length=data.max_length if flags.pad_to_max_length else None,
        gives_positions=masked_only,
    )


def build_callbacks(
    arguments: PretrainingModelArguments, collator: MaskingCollator, new_rows: list[int]
) -> list[TrainerCallback]:
    """Build what tells the collator of epochs, and what trains new rows alone at first if that is asked for."""
    callbacks: list[TrainerCallback] = [EpochSeed(collator)]
    if arguments.train_new_rows_steps:
        callbacks.append(NewRowsOnly(new_rows, arguments.train_new_rows_steps))
    return callbacks
