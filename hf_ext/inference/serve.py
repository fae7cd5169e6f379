"""A small web page to try a model, on this machine only unless asked otherwise.

python -m hf_ext.inference.serve outputs/mine
python -m hf_ext.inference.serve outputs/tagger --port 8080
"""

from __future__ import annotations

from typing import Any

from hf_ext.errors import UserError
from hf_ext.inference.page import build_page
from hf_ext.inference.predictor import Predictor
from hf_ext.inference.serve_command import LOOPBACK


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


if __name__ == "__main__":
    from hf_ext.cli.running import run_script
    from hf_ext.inference.serve_command import main

    run_script(main)
