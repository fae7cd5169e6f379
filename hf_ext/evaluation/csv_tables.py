"""Tables that people open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from hf_ext.evaluation.reports import csv_cell

BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for the old code page of the system


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write rows below a header as csv (RFC 4180) behind a byte order mark; no cell starts a formula."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)  # QUOTE_MINIMAL, \r\n
    writer.writerow(header)
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return BYTE_ORDER_MARK + stream.getvalue()
