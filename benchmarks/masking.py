"""What masking a batch costs, and how much of each row is masked: ours against the collators of transformers.

All arms get the same tokens. Rows come as dictionaries of lists, as a data set gives them, or as one Arrow table, as an
``ExtTrainer`` hands them over. Times are those of the processor. The mask rates are those of rows of 512 characters of
Chinese, where transformers takes for a word what stands between two offsets that do not touch.

    python benchmarks/masking.py                        # made-up words; --small takes the first shape alone
    python benchmarks/masking.py --text FILE            # Chinese text, cut into words by the extra zh
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from datasets.formatting import query_table
from interleave import interleave, report, write_json
from tables import Table, print_tables
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerBase

from hf_ext.data.pretraining.collator import MaskingCollator
from hf_ext.data.pretraining.segmenters import load_segmenter
from hf_ext.tokenization import build_tokenizer

SHAPES = [(32, 128), (32, 512), (8, 2048)]  # rows, tokens
BASELINE = "transformers, whole words"
RATE_ROWS, RATE_EPOCHS = 32, 10
Row = dict[str, Any]


def make_words(count: int) -> list[str]:
    """Make up Chinese words, of one to four characters as often as a segmenter finds them."""
    random = np.random.default_rng(0)
    lengths = random.choice([1, 2, 3, 4], p=[0.45, 0.45, 0.06, 0.04], size=count)
    return ["".join(map(chr, random.integers(0x4E00, 0x4E00 + 5000, length))) for length in lengths]


def read_words(path: str) -> list[str]:
    """Cut a Chinese text into words."""
    segment = load_segmenter("rjieba")
    lines = Path(path).read_text(encoding="utf-8").split()
    return [word for line in lines for word in segment(line)]


def cut_rows(words: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, rows: int, size: int) -> Iterator[Row]:
    """Cut a text, each of whose characters is a token, into rows with their special tokens."""
    texts = itertools.cycle(words)
    for number in range(rows):
        pieces: list[str] = []
        while sum(map(len, pieces)) < size - 2:
            pieces.append(next(texts))
        text = "".join(pieces)[: size - 2]
        starts = [at == 0 for piece in pieces for at in range(len(piece))][: size - 2]
        ids = [tokenizer.cls_token_id, *tokenizer.convert_tokens_to_ids(list(text)), tokenizer.sep_token_id]
        offsets = [(0, 0), *((at, at + 1) for at in range(size - 2)), (0, 0)]
        yield {
            "input_ids": ids,
            "word_starts": [True, *starts, True],
            "row": number,
            "offset_mapping": offsets,
            "special_tokens_mask": [1] + [0] * (size - 2) + [1],
            "attention_mask": [1] * size,
        }


def build_arms(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> dict[str, Callable[[], object]]:
    """Give the arms; each makes a batch from fresh dictionaries, as a data set would give them."""
    theirs = {
        "whole words": (DataCollatorForLanguageModeling(tokenizer, whole_word_mask=True), True),
        "tokens": (DataCollatorForLanguageModeling(tokenizer), False),
    }
    spaced = [spread_words(row) for row in rows]

    def run_theirs(collate: Callable[[list[Row]], object], with_offsets: bool) -> object:
        names = ["input_ids", "special_tokens_mask", "attention_mask", *(["offset_mapping"] if with_offsets else [])]
        return collate([{name: row[name] for name in names} for row in spaced])

    kept = ("input_ids", "word_starts", "row")
    stored = datasets.Dataset.from_list([{name: row[name] for name in kept} for row in rows])
    table = query_table(stored.data, range(len(rows)))
    arms: dict[str, Callable[[], object]] = {
        f"transformers, {name}": lambda arm=arm: run_theirs(*arm)  # type: ignore[misc]
        for name, arm in theirs.items()
    }
    for name, masking in (("whole words", "whole_word"), ("spans", "span"), ("tokens", "token")):
        collate = MaskingCollator(tokenizer, masking=masking)
        arms[f"ours, {name}, lists"] = lambda collate=collate: collate(
            [{key: row[key] for key in kept} for row in rows]
        )  # type: ignore[misc]
        arms[f"ours, {name}, a table"] = lambda collate=collate: collate(table)  # type: ignore[misc]
    return arms


def spread_words(row: Row) -> Row:
    """Move words apart, so that transformers finds as many as there are."""
    shift = np.cumsum(row["word_starts"])
    offsets = [(int(begin + by), int(end + by)) for (begin, end), by in zip(row["offset_mapping"], shift, strict=True)]
    return {**row, "offset_mapping": [(0, 0), *offsets[1:-1], (0, 0)]}


def measure_rates(words: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, dict[str, float]]:
    """Find the smallest and the largest share of a row's tokens that is masked, and the mean, in percent."""
    rows = list(cut_rows(words, tokenizer, rows=RATE_ROWS, size=512))
    found = {
        name: [] for name in (BASELINE, "transformers, tokens", "ours, whole words", "ours, spans", "ours, tokens")
    }
    names = ("input_ids", "special_tokens_mask", "attention_mask")
    for name, whole in ((BASELINE, True), ("transformers, tokens", False)):
        theirs = DataCollatorForLanguageModeling(tokenizer, whole_word_mask=whole)
        kept = [*names, "offset_mapping"] if whole else names
        for _ in range(RATE_EPOCHS):
            found[name].append(theirs([{key: row[key] for key in kept} for row in rows])["labels"])
    for name, masking in (("whole words", "whole_word"), ("spans", "span"), ("tokens", "token")):
        collate = MaskingCollator(tokenizer, masking=masking)
        for epoch in range(RATE_EPOCHS):
            collate.set_epoch(epoch)
            found[f"ours, {name}"].append(collate(rows)["labels"])
    table = {}
    for name, labels in found.items():
        shares = (torch.cat(labels) != -100).float().sum(1) / 510 * 100
        table[name] = {"min": shares.min().item(), "mean": shares.mean().item(), "max": shares.max().item()}
    return table


def make_tables(results: dict[str, Any]) -> list[Table]:
    """Lay out times by shape, and how much of a row is masked."""
    times = results["times"]
    arms = [name for name in next(iter(times.values())) if name != BASELINE]
    rows = [[name, *(shape[name]["times_the_speed"] for shape in times.values())] for name in arms]
    for arm in (BASELINE, "ours, whole words, a table"):
        rows.append([f"{arm}: ms", *(shape[arm]["median_s"] * 1e3 for shape in times.values())])
    rates = [
        [name, *(f"{found[key]:.1f}" for key in ("min", "mean", "max"))] for name, found in results["rates"].items()
    ]
    title = f"Percent of the tokens masked, by row, {RATE_ROWS * RATE_EPOCHS} rows of 512 Chinese characters (15 asked)"
    return [
        Table(f"Times the speed of {BASELINE} (asked of ours, whole words: 20)", ["rows x tokens", *times], rows),
        Table(title, ["arm", "smallest", "mean", "largest"], rates),
    ]


def main() -> None:
    """Read the flags, measure, print the tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the first shape alone")
    parser.add_argument("--text", help="a Chinese text file; made-up words otherwise")
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="Random token replacement")  # transformers' whole words know no 80/10/10
    words = read_words(args.text) if args.text else make_words(200_000)
    tokenizer = build_tokenizer(["".join(words)], level="character", min_count=1, vocab_size=21128)
    normalize = tokenizer.backend_tokenizer.normalizer.normalize_str
    words = ["".join(normalize(word).split()) for word in words]
    results: dict[str, Any] = {"times": {}, "rates": measure_rates(words, tokenizer)}
    for rows, size in SHAPES[: 1 if args.small else None]:
        batch = list(cut_rows(words, tokenizer, rows=rows, size=size))
        seconds = interleave(build_arms(batch, tokenizer), repetitions=args.repetitions, clock=time.process_time)
        table = report(seconds, baseline=BASELINE, title=f"\n{rows} rows of {size} tokens")
        for figures in table.values():
            figures["times_the_speed"] = 1 / figures["ratio"]
        results["times"][f"{rows}x{size}"] = table
    tables = make_tables(results)
    print_tables(tables)
    write_json(args.output, results, tables=tables)


if __name__ == "__main__":
    main()
