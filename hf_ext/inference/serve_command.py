"""Try a saved model on a small web page, on this machine only unless asked otherwise.

python -m hf_ext.inference.serve outputs/mine
python -m hf_ext.inference.serve outputs/tagger --port 8080
"""

from __future__ import annotations

import logging
from pathlib import Path

from hf_ext.inference.command_line import CommandLine, leave_out_bars, loading_options, positive
from hf_ext.inference.preconditions import require_extra

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"


def main(argv: list[str]) -> None:
    """Serve the model that a command line names until Ctrl+C; help and mistakes are answered before torch is loaded.

    Raises:
        UserError: If gradio is missing, the model cannot be loaded, or the port is taken.
    """
    arguments = build_command_line().parse_args(argv)
    require_extra("serve", what="the page")
    from hf_ext.inference.predictor import Predictor
    from hf_ext.inference.serve import start_page

    leave_out_bars()
    predictor = Predictor.from_pretrained(arguments.model, **loading_options(arguments))
    name = Path(arguments.model).resolve().name if Path(arguments.model).exists() else arguments.model
    page, address = start_page(predictor, name, host=arguments.host, port=arguments.port)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if arguments.host != LOOPBACK:
        logger.warning("Whoever reaches %s can use this page, without a password.", arguments.host)
    logger.info("The page is at %s (Ctrl+C ends it).", address)
    page.block_thread()


def build_command_line() -> CommandLine:
    """Make the parser."""
    parser = CommandLine(__doc__)
    parser.add_loading_flags()
    parser.add_argument("--host", default=LOOPBACK, help="Address to listen on; 0.0.0.0 lets others in.")
    parser.add_argument("--port", type=positive, help="Port; unset takes the first free one from 7860 on.")
    return parser
