"""Notes that count something: a sentence for the log, and its numbers for the report."""

from __future__ import annotations

from typing import Any


class Finding(str):
    """A note like any other, which knows what it has counted.

    It is the text ``source:line: count of total what – fix``, so that it can stand wherever notes are kept.

    Args:
        check: Name of what was looked for, the same in every report, e.g. ``repeated_rows``.
        source: The file.
        count: How often it was found; the attribute ``number``, since texts have a method ``count``.
        what: What was found, as it goes on after the count.
        line: The line of the first place; None where there is none.
        total: Out of how many.
        fix: What can be done, as an imperative clause.
    """

    check: str
    source: str
    line: int | None
    number: int
    total: int | None
    what: str
    fix: str | None

    def __new__(
        cls,
        check: str,
        source: str,
        count: int,
        what: str,
        *,
        line: int | None = None,
        total: int | None = None,
        fix: str | None = None,
    ) -> Finding:
        """Write the sentence."""
        self = super().__new__(cls, f"{_place(source, line)}: {_amount(count, total)} {_advised(what, fix)}")
        self.check, self.source, self.line, self.number = check, source, line, count
        self.total, self.what, self.fix = total, what, fix
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Let it be copied and sent to other processes."""
        return (self.check, self.source, self.number, self.what), {
            "line": self.line,
            "total": self.total,
            "fix": self.fix,
        }

    @property
    def amount(self) -> str:
        """The count, and out of how many: ``3`` or ``3 of 20``."""
        return _amount(self.number, self.total)

    @property
    def remark(self) -> str:
        """The sentence without its count."""
        return f"{_place(self.source, self.line)}: {_advised(self.what, self.fix)}"

    def to_json(self) -> dict[str, Any]:
        """Give what it knows, for a file."""
        return {
            "check": self.check,
            "source": self.source,
            "line": self.line,
            "count": self.number,
            "total": self.total,
            "what": self.what,
            "fix": self.fix,
        }


def _place(source: str, line: int | None) -> str:
    return source if line is None else f"{source}:{line}"


def _amount(count: int, total: int | None) -> str:
    return str(count) if total is None else f"{count} of {total}"


def _advised(what: str, fix: str | None) -> str:
    return f"{what} – {fix}" if fix else what
