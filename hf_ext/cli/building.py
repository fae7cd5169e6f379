"""Put the floors together for the scripts: what every task needs of tokenizer, word vectors and saved models."""

from __future__ import annotations

import dataclasses
import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.errors import UserError, did_you_mean
from hf_ext.models.encoder_arguments import EncoderArguments
from hf_ext.models.encoders import RecurrentEncoder, set_word_vectors
from hf_ext.models.freezing import freeze_encoder
from hf_ext.models.pretrained import load_config
from hf_ext.tokenization import build_tokenizer, read_vector_tokens, read_word_vectors
from hf_ext.tokenization.saved import load_saved_tokenizer
from hf_ext.training.arguments import ExtTrainingArguments

logger = logging.getLogger(__name__)


class TextSource(Protocol):
    """Data that a tokenizer can be built from."""

    splits: Any

    def training_texts(self) -> Iterator[str]:
        """Give every text of the training split."""


def check_metric_name(args: ExtTrainingArguments, known: Sequence[str]) -> None:
    """Refuse a ``metric_for_best_model`` that no evaluation will give, before hours are spent on the first one.

    Args:
        args: The run's training arguments.
        known: The metrics of an evaluation without ``eval_``, the loss left out.

    Raises:
        UserError: Naming the nearest figure.
    """
    wanted, known = (args.metric_for_best_model or "loss").removeprefix("eval_"), ("loss", *known)
    if wanted not in known:
        raise UserError(f"--metric_for_best_model {wanted}: there is no such metric", fix=did_you_mean(wanted, known))


def read_saved_config(
    arguments: EncoderArguments, *, trains: bool, has_head: Callable[[Any], bool], head: str, task: str
) -> Any | None:
    """Read the config of the model that is named; None from scratch.

    Args:
        arguments: Which model.
        trains: Whether this run trains it.
        has_head: Tells from a config whether the checkpoint holds a head of the task.
        head: What such a head is called in a message.
        task: What such a model was trained for.

    Raises:
        UserError: If ``model_name_or_path`` cannot be read, or has no head of the task and this run would not train
            one either: its answers would be random.
    """
    try:
        config = load_config(arguments)
    except ValueError as error:
        raise UserError(str(error), fix="check --model_name_or_path") from error
    if config is not None and not trains and not has_head(config):
        raise UserError(
            f"{arguments.model_name_or_path!r} holds no trained {head} to evaluate or predict with",
            fix=f"add --do_train, or name a model that was trained for {task}",
        )
    return config


def load_tokenizer(
    arguments: EncoderArguments,
    data: TextSource,
    *,
    longest: int,
    level: str,
    column: str = "text",
) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer, or build one from the training texts when the model starts from scratch.

    With given word vectors, the tokens of their file join it: a word that training has not seen is then no unknown one.

    Args:
        arguments: Which model.
        data: Where training texts come from.
        longest: Longest sequence of the run in tokens.
        level: What a token of a tokenizer built here is, see ``build_tokenizer``.
        column: What holds the texts, for a message.

    Raises:
        UserError: If no tokenizer can be loaded from the name given, there is nothing to build one from, or the
            training texts hold no token.
    """
    if arguments.tokenizer_name or arguments.model_name_or_path:
        return load_saved_tokenizer(arguments, **({"do_lower_case": True} if arguments.do_lower_case else {}))
    if "train" not in data.splits:
        raise UserError(
            "there is no model to evaluate or predict with",
            fix="name a saved one by --model_name_or_path or --do_train",
        )
    try:
        return build_tokenizer(
            data.training_texts(),
            level=level,
            vocab_size=arguments.vocab_size,
            min_count=arguments.min_token_count,
            lower_case=arguments.do_lower_case,
            model_max_length=max(longest, 512),
            known_tokens=_vector_tokens(arguments.embedding_file) if arguments.embedding_file else (),
        )
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error), fix=f"check the {column} column") from error


def build_model(
    arguments: EncoderArguments,
    tokenizer: PreTrainedTokenizerBase,
    load: Callable[..., PreTrainedModel],
) -> PreTrainedModel:
    """Load or build a model, put word vectors in, and freeze what was asked for.

    Args:
        arguments: Which model.
        tokenizer: Its tokenizer.
        load: Takes the arguments (with the width of the vectors), ``vocab_size`` and ``pad_token_id``; gives the model.

    Raises:
        UserError: If the model, the vectors and the data do not fit together; the message says what differs.
    """
    vectors: dict = {}
    if arguments.embedding_file and arguments.from_scratch:
        vectors, width = _word_vectors(arguments.embedding_file, tokenizer)
        arguments = dataclasses.replace(arguments, embedding_size=width)
        logger.info("%d of %d tokens have a vector in %s.", len(vectors), len(tokenizer), arguments.embedding_file)
    try:
        model = load(arguments, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id or 0)
        _compare_vocabulary(model, tokenizer)
        if vectors:
            set_word_vectors(cast(RecurrentEncoder, model.encoder), vectors)
        if arguments.freeze_encoder:
            frozen = freeze_encoder(model, arguments.freeze_encoder)
            logger.info("%s parameters of the encoder are frozen.", f"{frozen:,}")
    except ValueError as error:
        raise UserError(str(error)) from error
    return model


def _vector_tokens(path: str) -> list[str]:
    with _blame_file(path):
        return read_vector_tokens(path)


def _word_vectors(path: str, tokenizer: PreTrainedTokenizerBase) -> tuple[dict[int, np.ndarray], int]:
    with _blame_file(path):
        vectors, width = read_word_vectors(path, tokenizer.get_vocab())
    odd = next((number for number, vector in vectors.items() if not np.isfinite(vector).all()), None)
    if odd is not None:
        token = tokenizer.convert_ids_to_tokens(odd)
        raise UserError(
            f"the vector of {token!r} holds a number that is not finite", where=path, fix="correct its line"
        )
    return vectors, width


@contextmanager
def _blame_file(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot be read ({error})", where=path, fix="check --embedding_file") from error


def _compare_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = getattr(model.get_input_embeddings(), "num_embeddings", None)
    if rows is not None and len(tokenizer) > rows:
        logger.warning(
            "This tokenizer has %d tokens, the model knows %d; any other would stop the run: check --tokenizer_name.",
            len(tokenizer),
            rows,
        )
