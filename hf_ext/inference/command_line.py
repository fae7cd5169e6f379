"""The command lines of this room: plain argparse, a mistake in one line."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from hf_ext.errors import UserError

DEVICE_HELP = "Where to compute, e.g. cuda:1 or cpu; unset takes the accelerator that there is."
PRECISION_HELP = "fp32, bf16 or fp16 by autocast, or auto, what the device is fast at."
PRECISIONS = ("fp32", "bf16", "fp16", "auto")


class CommandLine(argparse.ArgumentParser):
    """A parser whose mistakes are ``UserError``s; it takes no abbreviations.

    Args:
        description: What the command does, with examples in indented lines.
    """

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )
        self.add_argument("model", help="Folder of a saved model, or its name on the Hub.")

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises:
            UserError: Always.
        """
        raise UserError(message, where="command line", fix="--help lists the flags")

    def add_loading_flags(self) -> None:
        """Add the flags that say how the model is loaded and computed."""
        self.add_argument("--device", help=DEVICE_HELP)
        self.add_argument("--precision", choices=PRECISIONS, default="fp32", help=PRECISION_HELP)
        self.add_argument("--batch_size", type=positive, default=32, help="Rows that are computed at once.")
        self.add_code_flags()

    def add_code_flags(self) -> None:
        """Add the flags that say which code and which revision of the Hub are loaded."""
        self.add_argument("--model_revision", default="main", help="Branch, tag or commit of the model on the Hub.")
        self.add_argument(
            "--trust_remote_code", action="store_true", help="Run model code that comes with the model itself."
        )


def loading_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Give what ``Predictor.from_pretrained`` takes."""
    return {
        "device": arguments.device,
        "precision": arguments.precision,
        "batch_size": arguments.batch_size,
        "trust_remote_code": arguments.trust_remote_code,
        "revision": arguments.model_revision,
    }


def leave_out_bars() -> None:
    """Switch the bars of transformers and datasets off where nobody looks at them, as the scripts do."""
    if not sys.stderr.isatty():
        import datasets
        import transformers

        datasets.disable_progress_bars()
        transformers.utils.logging.disable_progress_bar()


def positive(text: str) -> int:
    """Read a number of at least 1.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)
