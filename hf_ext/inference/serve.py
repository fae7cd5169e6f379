"""A small web page to try a model, on this machine only unless asked otherwise.

python -m hf_ext.inference.serve outputs/mine
python -m hf_ext.inference.serve outputs/tagger --port 8080
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

from hf_ext.errors import UserError
from hf_ext.inference.command_line import CommandLine, leave_out_bars, loading_options, positive
from hf_ext.inference.page import build_page
from hf_ext.inference.predictor import Predictor

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"


def start_page(predictor: Predictor, name: str, *, host: str = LOOPBACK, port: int | None = None) -> tuple[Any, str]:
    """Start the page in a thread of its own.

    Args:
        predictor: The model.
        name: What the page is called.
        host: The address to listen on.
        port: The port; the first free one from 7860 on if missing.

    Returns:
        The page, which ``close()`` ends, and its address.

    Raises:
        UserError: If the port is taken.
    """
    page = build_page(predictor, name)
    import gradio

    # other fonts would be fetched from afar
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            footer_links=[],
            theme=theme,
        )
    except OSError as error:
        raise UserError(f"port {port or 'from 7860 on'} is taken", fix="choose another --port") from error
    return page, address


def check_packages() -> None:
    """Refuse to begin without gradio.

    Raises:
        UserError: Naming the extra.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the page needs the package gradio", fix="pip install 'hf_ext[serve]'")


def main(argv: list[str]) -> None:
    """Serve the model that a command line names until Ctrl+C.

    Raises:
        UserError: If gradio is missing, the model cannot be loaded, or the port is taken.
    """
    parser = CommandLine(__doc__)
    parser.add_loading_flags()
    parser.add_argument("--host", default=LOOPBACK, help="Address to listen on; 0.0.0.0 lets others in.")
    parser.add_argument("--port", type=positive, help="Port; unset takes the first free one from 7860 on.")
    arguments = parser.parse_args(argv)
    check_packages()
    leave_out_bars()
    predictor = Predictor.from_pretrained(arguments.model, **loading_options(arguments))
    name = Path(arguments.model).resolve().name if Path(arguments.model).exists() else arguments.model
    page, address = start_page(predictor, name, host=arguments.host, port=arguments.port)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if arguments.host != LOOPBACK:
        logger.warning("Whoever reaches %s can use this page, without a password.", arguments.host)
    logger.info("The page is at %s (Ctrl+C ends it).", address)
    page.block_thread()


if __name__ == "__main__":
    from hf_ext.cli.running import run_script

    run_script(main)
