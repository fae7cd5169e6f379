"""The one exception for mistakes that a user made and a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Say in one line what is wrong, where, and how to fix it.

    The scripts print the message on the main process without a traceback and exit with status 2
    (``--debug`` keeps the traceback). Library code raises it for what came from a file or a flag; a wrong
    call from Python stays an ordinary ``ValueError`` or ``TypeError``.

    Args:
        what: The fault, showing the value that came.
        where: ``file`` or ``file:line``; left out of the message when unknown.
        fix: What to do about it, as an imperative clause.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        message = f"{where}: {what}" if where else what
        super().__init__(f"{message.rstrip('.')} – {fix}" if fix else message)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Name the known word nearest to ``name``, or list some known words when none is near."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    listed = ", ".join(map(repr, known[:20])) + (", …" if len(known) > 20 else "")
    return f"known: {listed}" if known else "none is known"
