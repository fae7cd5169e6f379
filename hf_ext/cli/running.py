"""The frame of every script: logging, seeds, one-line errors, exit status."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from hf_ext.errors import UserError

logger = logging.getLogger(__name__)

USER_ERROR_STATUS = 2
NETWORK_HINT = "the Hugging Face Hub cannot be reached"


def run_script(main: Callable[[list[str]], Any], argv: Sequence[str] | None = None) -> None:
    """Call ``main`` with the command line and turn an error into one line on stderr.

    A mistake of the user ends with status 2, anything unexpected with status 1. A bare ``--debug`` keeps the
    traceback (``--debug underflow_overflow`` remains transformers' own option). Under a launcher only the main
    process speaks about a mistake that every process makes.

    Args:
        main: The steps of a script; takes the words of the command line.
        argv: These words; ``sys.argv[1:]`` when unset.
    """
    words, debug = _take_debug_switch(list(sys.argv[1:] if argv is None else argv))
    logging.basicConfig(
        format="%(levelname)s %(message)s", level=logging.INFO if process_rank() == 0 else logging.ERROR
    )
    for client in ("httpx", "httpx2"):  # of older and newer versions of huggingface_hub
        logging.getLogger(client).setLevel(logging.WARNING)
    try:
        main(words)
    except KeyboardInterrupt:
        sys.exit(130)
    except UserError as error:
        _fail(str(error), USER_ERROR_STATUS, debug=debug, speaks=process_rank() == 0)
    except Exception as error:  # the last line of defence: whatever it is, the user reads one line
        message = f"{type(error).__name__}: {_first_line(error)} (--debug shows where)"
        _fail(message, 1, debug=debug, speaks=True)


def process_rank() -> int:
    """Give the rank that the launcher set, 0 without a launcher."""
    return int(os.environ.get("RANK", "0"))


def is_local_main_process() -> bool:
    """Tell whether this process is the first one of its machine."""
    return int(os.environ.get("LOCAL_RANK", "0")) <= 0


def start_session(training_args: Any) -> None:
    """Set log levels and seeds from the training arguments, and say which device this process has."""
    import datasets
    import transformers
    from transformers import enable_full_determinism, set_seed

    level = training_args.get_process_log_level() if training_args.log_level != "passive" else logging.INFO
    level = level if process_rank() == 0 else logging.ERROR
    logging.getLogger().setLevel(level)
    quiet = max(level, logging.WARNING)
    datasets.utils.logging.set_verbosity(quiet)
    transformers.utils.logging.set_verbosity(quiet)
    if training_args.disable_tqdm or not sys.stderr.isatty():  # a bar in a log file is noise
        datasets.disable_progress_bars()
        transformers.utils.logging.disable_progress_bar()
    if training_args.device.type == "cpu":
        training_args.dataloader_pin_memory = False  # nothing to pin for; torch would warn
    if training_args.full_determinism:
        enable_full_determinism(training_args.seed)
    else:
        set_seed(training_args.seed)
    logger.info(
        "Device %s, %d process(es), mixed precision: %s.",
        training_args.device,
        training_args.world_size,
        "bf16" if training_args.bf16 else "fp16" if training_args.fp16 else "off",
    )
    logger.debug("Arguments: %s", training_args)


def _take_debug_switch(words: list[str]) -> tuple[list[str], bool]:
    for position, word in enumerate(words):
        stands_alone = position + 1 == len(words) or words[position + 1].startswith("--")
        if word == "--debug" and stands_alone:
            return words[:position] + words[position + 1 :], True
    return words, False


def _fail(message: str, status: int, *, debug: bool, speaks: bool) -> None:
    if debug:
        traceback.print_exc()
    if speaks:
        sys.stderr.write(f"hf_ext: error: {message}\n")
        sys.stderr.flush()
    sys.exit(status)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"
