"""What the commands stand on: arguments, session, one-line errors, and the parts put together."""

from __future__ import annotations

from hf_ext.lazy import lazy_names

_HOMES = {"parse_arguments": "parsing", "run_script": "running", "start_session": "running"}

__all__ = sorted(_HOMES)
__getattr__ = lazy_names(__name__, _HOMES)
