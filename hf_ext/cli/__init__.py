"""What the scripts stand on: arguments, session, one-line errors, and the parts put together."""

from hf_ext.cli.parsing import parse_arguments
from hf_ext.cli.running import run_script, start_session

__all__ = ["parse_arguments", "run_script", "start_session"]
