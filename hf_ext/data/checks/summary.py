"""A report of data in few lines: a table of the splits, and what is worth a look, counts in front."""

from __future__ import annotations

from collections.abc import Sequence

from hf_ext.data.checks.report import DataReport

ALL_CLEAR = "Nothing odd was found."


def summarise(report: DataReport) -> str:
    """Write a report for the screen; file names stand last, so that columns are straight whatever their letters."""
    tables = [_lay_out(_figures(report))] if report.splits else []
    if report.remarks:
        tables.append("\n".join(report.remarks))
    if report.findings:
        amounts = [[finding.amount, finding.remark] for finding in report.findings]
        tables.append(f"Worth a look:\n{_lay_out(amounts)}")
    else:
        tables.append(ALL_CLEAR)
    return "\n\n".join(tables)


def _figures(report: DataReport) -> list[list[str]]:
    """Give a header and a row for each split, of the figures that are whole numbers."""
    figures = [figure for split in report.splits.values() for figure in split.items()]
    names = list(dict.fromkeys(name for name, value in figures if isinstance(value, int)))
    rows = [["", *(name.replace("_", " ") for name in names), ""]]
    for split, values in report.splits.items():
        rows.append([split, *(f"{values[name]:,}" if name in values else "-" for name in names), values["source"]])
    return rows


def _lay_out(rows: Sequence[Sequence[str]]) -> str:
    """Put cells under one another: numbers on the right, the last column as it comes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        *cells, last = row
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[:-1], strict=True)]
        lines.append("  ".join([*padded, last]).rstrip())
    return "\n".join(lines)
