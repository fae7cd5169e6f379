"""The parts of ``train_tokenizer.py`` put together: tokenizers loaded by name, words counted, a vocabulary learned."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import sys
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hf_ext.data.pretraining.segmenters import DEFAULT_SEGMENTER, Segmenter, load_segmenter
from hf_ext.data.text_lines import TextLines
from hf_ext.errors import UserError
from hf_ext.progress import with_bar
from hf_ext.tokenization.arguments import TokenizerArguments
from hf_ext.tokenization.blueprint import Blueprint
from hf_ext.tokenization.kinds import VocabularyRequest
from hf_ext.tokenization.text_cutting import WordCutter
from hf_ext.tokenization.word_counts import WordCounts

logger = logging.getLogger(__name__)

TRIAL = "天天"  # what tells whether a pre-tokenizer keeps Chinese characters together


def start_tokenizer_session() -> None:
    """Keep the libraries quiet; there is no device and no model."""
    import datasets
    import transformers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    datasets.utils.logging.set_verbosity_warning()
    transformers.utils.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()


def check_tokenizer_folder(arguments: TokenizerArguments) -> None:
    """Make the folder; refuse one that cannot be written or that holds something already.

    Raises:
        UserError: Unless ``--overwrite_output_dir`` allows the second.
    """
    folder = Path(arguments.output_dir)
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        what = "cannot be written to" if existing.is_dir() else "is a file, not a folder"
        raise UserError(what, where=str(existing), fix="name another --output_dir")
    if folder.is_dir() and any(folder.iterdir()) and not arguments.overwrite_output_dir:
        raise UserError(
            "the output folder is not empty",
            where=str(folder),
            fix="write into it with --overwrite_output_dir, or name another --output_dir",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot be made ({error.strerror})", where=str(folder), fix="name another --output_dir"
        ) from None


def load_tokenizer(name: str, arguments: TokenizerArguments, *, flag: str) -> PreTrainedTokenizerBase:
    """Load a fast tokenizer from a folder or from the Hub.

    Raises:
        UserError: If there is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            name, cache_dir=arguments.cache_dir, token=arguments.token, trust_remote_code=arguments.trust_remote_code
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"no tokenizer can be loaded from {name!r} ({reason})", fix=f"check --{flag}") from None
    if not tokenizer.is_fast:
        raise UserError(f"{name!r} is not a fast tokenizer", fix=f"give --{flag} one with a tokenizer.json")
    return tokenizer


def draw_blueprint(arguments: TokenizerArguments) -> Blueprint:
    """Take the settings from the flags, or from the tokenizer that is to be learned anew or extended.

    Raises:
        UserError: If that tokenizer cannot be loaded or its kind cannot be learned.
    """
    for flag in ("from_tokenizer", "merge_into"):
        name = getattr(arguments, flag)
        if name:
            return Blueprint.from_tokenizer(load_tokenizer(name, arguments, flag=flag))
    return Blueprint.from_arguments(arguments)


def count_words(lines: TextLines, blueprint: Blueprint, arguments: TokenizerArguments) -> WordCounts:
    """Read the corpus once and count the words that the tokenizer will see.

    Raises:
        UserError: If a file cannot be read, there is no text, or the segmenter is missing.
    """
    cutter = WordCutter(blueprint.backend, find_segmenter(blueprint, arguments))
    budget = max(int(arguments.count_budget * blueprint.kind.budget_share), 1)
    counts = WordCounts(budget, seed=lines.arguments.seed)
    counts.count(cutter(line) for line in with_bar(lines, "count words", unit="lines"))
    if not counts.words and counts.rate < 1:
        raise UserError(f"--count_budget {arguments.count_budget} has no room for words", fix="raise it")
    if not counts.words:
        source = lines.arguments.train_file or lines.arguments.dataset_name
        raise UserError("no words in the text", where=source, fix="check the text column and the normalisation")
    if counts.rate < 1:
        logger.info(
            "One occurrence of a word in %d was counted, to keep within --count_budget %d.",
            round(1 / counts.rate),
            arguments.count_budget,
        )
    return counts


def find_segmenter(blueprint: Blueprint, arguments: TokenizerArguments) -> Segmenter | None:
    """Choose what cuts Chinese text while learning; nothing where each character is a word anyway.

    One that nobody has named loads its dictionary when the first Chinese text comes.

    Raises:
        UserError: If a segmenter is named that is not there.
    """
    name = arguments.segmenter
    if name not in ("auto", "none"):
        return load_segmenter(name)
    apart = len(WordCutter(blueprint.backend)(TRIAL)) > 1
    if name == "none" or apart or importlib.util.find_spec(DEFAULT_SEGMENTER) is None:
        return None
    load = functools.cache(load_segmenter)
    return lambda text: load(DEFAULT_SEGMENTER)(text)


def request_vocabulary(blueprint: Blueprint, arguments: TokenizerArguments) -> VocabularyRequest:
    """Say what is asked of the vocabulary."""
    return VocabularyRequest(
        size=arguments.vocab_size,
        special_tokens=blueprint.special_tokens,
        unknown=blueprint.unknown,
        min_frequency=arguments.min_frequency,
        coverage=arguments.character_coverage,
        progress=sys.stderr.isatty(),
    )
