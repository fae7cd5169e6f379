"""Small good files of every kind, broken in a random way that a number decides."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hf_ext.cli.settings_file import read_settings
from hf_ext.data.arguments import DataArguments
from hf_ext.data.files import read_rows
from hf_ext.data.pretraining.documents import DocumentReader
from hf_ext.data.tagging import TaggingDataArguments
from hf_ext.data.tagging.reading import read_sentences

ROWS = [
    {"text": "fine, says “Ann”", "label": "good", "price": "1"},
    {"text": "坏的 product", "label": "poor", "price": "2.5"},
    {"text": 'a "quoted" word', "label": "good", "price": ""},
    {"text": "x" * 30, "label": "so-so", "price": "-1e3"},
]
TAGGED = [
    {"tokens": ["EU", "rejects", "it"], "ner_tags": ["B-ORG", "O", "O"]},
    {"tokens": ["Ann", "²"], "ner_tags": ["B-PER", "O"]},
]
SPANS = [
    {"text": "EU rejects it", "entities": [{"start": 0, "end": 2, "label": "ORG"}]},
    {"text": "Ann", "entities": []},
]
SETTINGS = "do_train: true\nlearning_rate: 2e-5\nseed: 17\ntrain_file: a.csv\nsince: 2024-01-31\nlist: [a, 'b']\n"


def table(delimiter: str) -> bytes:
    """Write the rows as a table with a header, cells in quotation marks where they need them."""
    lines = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
    quoted = [
        ['"' + cell.replace('"', '""') + '"' if set(cell) & {'"', delimiter} else cell for cell in line]
        for line in lines
    ]
    return "".join(delimiter.join(line) + "\n" for line in quoted).encode()


def lines_of(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(rows: list[dict]) -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), made)
    return made.getvalue()


def columns(mark: str) -> bytes:
    sentences = ("\n".join(mark.join(pair) for pair in zip(*row.values(), strict=True)) for row in TAGGED)
    return ("\n\n".join(sentences) + "\n").encode()


def rows_in(path: Path) -> object:
    return read_rows(path, DataArguments())


def sentences_in(path: Path) -> object:
    return read_sentences(path, TaggingDataArguments())


def documents_in(path: Path) -> object:
    return list(DocumentReader().read(path))


# kind: the name of the file, its content, what reads it
KINDS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "csv": ("a.csv", table(","), rows_in),
    "tsv": ("a.tsv", table("\t"), rows_in),
    "lines": ("a.txt", b"good\tfine\npoor\tbad\n", rows_in),
    "csv.gz": ("a.csv.gz", gzip.compress(table(","), mtime=0), rows_in),
    "jsonl": ("a.jsonl", lines_of(ROWS), rows_in),
    "json": ("a.json", json.dumps({"version": 1, "data": ROWS}, indent=1).encode(), rows_in),
    "parquet": ("a.parquet", parquet(ROWS), rows_in),
    "conll": ("a.conll", columns(" "), sentences_in),
    "conll.csv": ("a.csv", columns(","), sentences_in),
    "tags": ("a.json", json.dumps(TAGGED).encode(), sentences_in),
    "spans": ("a.jsonl", lines_of(SPANS), sentences_in),
    "tags.parquet": ("a.parquet", parquet(TAGGED), sentences_in),
    "corpus": ("a.txt", b"One line.\nAnother.\n\nA document.\n", documents_in),
    "corpus.jsonl": ("a.jsonl", lines_of(ROWS), documents_in),
    "corpus.parquet": ("a.parquet", parquet(ROWS), documents_in),
    "yaml": ("a.yaml", SETTINGS.encode(), read_settings),
    "settings.json": ("a.json", b'{"do_train": true, "learning_rate": 2e-5, "seed": 17}', read_settings),
}
ODD = [
    *(
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\r",
        b"\r\n\r",
        b"\x1f",
        b"\x85",
        "\u2028".encode(),
        "²".encode(),
        "\u3000".encode(),
    ),
    *(
        b"\\ud800",
        b'{"\\ud800": 1}',
        b"0x_",
        b"2001-99-99",
        b"NaN",
        b"-Infinity",
        b"null",
        b"{}",
        b"[]",
        b'""',
        b"\t\t",
    ),
    *(b"&a [*a]", b"!!python/object:os.system", b"? [a]", b"<<: 1", b"# ", b"-DOCSTART-", b"PAR1"),
]


def flip(content: bytearray, draw: random.Random) -> None:
    """Flip a bit of some bytes."""
    for _ in range(draw.choice((1, 1, 2, 5))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def cut(content: bytearray, draw: random.Random) -> None:
    """Leave out the end, or a part in the middle."""
    start = draw.randrange(len(content))
    del content[start : draw.choice((len(content), start + draw.randrange(1, 20)))]


def cut_line(content: bytearray, draw: random.Random) -> None:
    """Join two lines, or leave one out."""
    lines = bytes(content).split(b"\n")
    lines.pop(draw.randrange(len(lines)))
    content[:] = draw.choice((b"\n", b"")).join(lines)


def put(content: bytearray, draw: random.Random) -> None:
    """Put something odd in: NULs, quotation marks, separators, odd characters, random bytes."""
    odd = draw.choice(
        (b"\0", b'"', b"'", b",", b";", b"\n", b":", b"{", b"]", draw.randbytes(4), draw.choice(ODD), draw.choice(ODD))
    )
    for _ in range(draw.choice((1, 1, 3))):
        place = draw.randrange(len(content) + 1)
        content[place:place] = odd


def repeat(content: bytearray, draw: random.Random) -> None:
    """Repeat a part of it somewhere else."""
    start, place = draw.randrange(len(content)), draw.randrange(len(content))
    content[place:place] = content[start : start + draw.randrange(1, 60)]


def swell(content: bytearray, draw: random.Random) -> None:
    """Put in very much of one thing: deep nesting, an endless number or word."""
    place = draw.randrange(len(content) + 1)
    content[place:place] = draw.choice((b"[", b'{"a":', b"9", b"x", b"-", b"\n", b'"')) * draw.choice((200, 5000))


def rewrite(content: bytearray, draw: random.Random) -> None:
    """Write it in UTF-16, with or without a mark, or turn it around."""
    text = bytes(content).decode("utf-8", "replace")
    content[:] = draw.choice(
        (text.encode("utf-16"), text.encode("utf-16-le"), bytes(content)[::-1], text.encode("gb18030", "replace"))
    )


FAULTS = [flip, flip, cut, cut_line, put, put, put, repeat, swell, rewrite]


def fuzzed_file(folder: Path, kind: str, number: int) -> Path:
    """Write the broken file of a number and give its path."""
    name, good, _ = KINDS[kind]
    draw = random.Random(f"{kind} {number}")
    content = bytearray(good)
    for _ in range(draw.choice((1, 1, 2, 3))):
        if content:
            draw.choice(FAULTS)(content, draw)
    path = folder / name
    path.write_bytes(content)
    return path
