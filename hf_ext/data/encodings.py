"""Text files as lines, whatever their encoding: UTF-8, UTF-16 or GB18030, gzipped or not."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from hf_ext.errors import UserError

CHUNK = 1 << 20  # bytes read at a time
CONTROLS = bytes({*range(32)} - {*b"\t\n\f\r"})
MOST_CONTROLS = 0.01  # of the bytes of a text; UTF-16 read as GB18030 has far more


class TextFile:
    """A text file that gives its lines as often as asked, each with its ``\\n``, in constant memory.

    UTF-8 with or without byte order mark, UTF-16 with one, else GB18030 when every byte decodes. Line ends of
    all systems become ``\\n``; NUL characters are left out and counted.

    Args:
        path: The file; a name that ends in ``.gz`` is unpacked.

    Raises:
        UserError: If no encoding fits, naming line and byte of the first fault.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.encoding = detect_encoding(path)
        self.notes = [f"{path}: read as gb18030"] if self.encoding == "gb18030" else []

    def __iter__(self) -> Iterator[str]:
        nuls = 0
        with open_bytes(self.path) as stream, io.TextIOWrapper(stream, encoding=self.encoding) as text:
            for line in text:
                if "\0" in line:
                    nuls += line.count("\0")
                    line = line.replace("\0", "")
                yield line
        note = f"{self.path}: {nuls} NUL characters left out"
        if nuls and note not in self.notes:
            self.notes.append(note)

    def first_line(self) -> str:
        """Give the first line that is not blank, without its end; an empty text when there is none."""
        return next((line.rstrip("\n") for line in self if line.strip()), "")


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unpacking gzip by extension."""
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def detect_encoding(path: Path) -> str:
    """Name the encoding of a text file by decoding all of it.

    Raises:
        UserError: If no encoding fits, naming line and byte of the first fault, if the file cannot be unpacked, or if
            only GB18030 fits and the outcome is no text.
    """
    try:
        with open_bytes(path) as stream:
            head = stream.read(2)
        if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            encoding, codec = "utf-16", "UTF-16"
        else:
            encoding, codec = "utf-8", "UTF-8 or GB18030"
        fault = _first_fault(path, encoding)
        if fault is None:
            return "utf-8-sig" if encoding == "utf-8" else encoding  # drops a byte order mark
        if encoding == "utf-8" and _first_fault(path, "gb18030") is None:
            _check_controls(path)
            return "gb18030"
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot be read ({error})", where=str(path), fix="check the file") from None
    offset, line = fault
    raise UserError(f"byte {offset} is not {codec}", where=f"{path}:{line}", fix="save the file as UTF-8")


def _check_controls(path: Path) -> None:
    """Refuse what decodes by chance: of almost any even number of bytes GB18030 makes some Chinese characters."""
    size = controls = 0
    with open_bytes(path) as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            controls += len(chunk) - len(chunk.translate(None, CONTROLS))
    if controls > MOST_CONTROLS * size:
        what = f"{controls:,} of {size:,} bytes are control characters, as in UTF-16 without a byte order mark"
        raise UserError(what, where=str(path), fix="save the file as UTF-8")


def _first_fault(path: Path, encoding: str) -> tuple[int, int] | None:
    """Find the byte offset (from 0) and the line (from 1) of the first fault, or None."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, lines = 0, 1
    with open_bytes(path) as stream:
        while True:
            chunk = stream.read(CHUNK)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                start = max(offset - pending + error.start, 0)
                return start, lines + chunk.count(b"\n", 0, max(start - offset, 0))
            if not chunk:
                return None
            offset += len(chunk)
            lines += chunk.count(b"\n")
