"""What training a tokenizer costs in time and memory: counted words against whole lines, for every kind.

Each measurement is a process of its own, so that peaks of memory are its own; the arms take turns.

    python benchmarks/tokenizer_training.py --text corpus.txt
    python benchmarks/tokenizer_training.py --text corpus.txt --kinds unigram --repetitions 3
    python benchmarks/tokenizer_training.py --small                            # 2,000 Chinese reviews, the demo data

The arm ``lines`` is the usual recipe: the trainer of the library tokenizers reads whole lines from an iterator, with
the same normalisation and cuts. The arm ``ours`` is what ``train_tokenizer.py`` does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tables import Table, print_tables
from tokenizers import Tokenizer, models, trainers

from hf_ext.cli.tokenizer_building import count_words, request_vocabulary
from hf_ext.data.demo import find_reviews, read_reviews
from hf_ext.data.text_lines import TextLines, TextLinesArguments
from hf_ext.tokenization.arguments import TokenizerArguments
from hf_ext.tokenization.blueprint import Blueprint
from hf_ext.tokenization.measures import measure

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("wordpiece", "bpe", "byte_bpe", "unigram", "word", "character")
TRAINERS: dict[str, tuple[Any, Any]] = {
    "wordpiece": (models.WordPiece, trainers.WordPieceTrainer),
    "bpe": (models.BPE, trainers.BpeTrainer),
    "byte_bpe": (models.BPE, trainers.BpeTrainer),
    "unigram": (models.Unigram, trainers.UnigramTrainer),
    "word": (models.WordLevel, trainers.WordLevelTrainer),
    "character": (models.WordLevel, trainers.WordLevelTrainer),
}
MEGABYTE = 1e6
SMALL = 2000  # lines


def resident() -> float:
    """Give the resident memory of this process in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MEGABYTE


def train_on_lines(lines: TextLines, arguments: TokenizerArguments) -> Tokenizer:
    """Do as the usual recipe: whole lines into the library's trainer."""
    blueprint = Blueprint.from_arguments(arguments)
    model, trainer = TRAINERS[arguments.kind]
    unknown = {"unk_token": arguments.unk_token}
    backend = Tokenizer(model() if arguments.kind in ("unigram", "byte_bpe") else model(**unknown))
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        if getattr(blueprint.backend, part) is not None:
            setattr(backend, part, getattr(blueprint.backend, part))
    more = unknown if arguments.kind == "unigram" else {"min_frequency": arguments.min_frequency}
    special = list(arguments.special_tokens)
    backend.train_from_iterator(
        lines, trainer(vocab_size=arguments.vocab_size, special_tokens=special, show_progress=False, **more)
    )
    return backend


def run_arm(arm: str, text: str, kind: str, vocab_size: int, segmenter: str) -> dict[str, Any]:
    """Train once in this process and give time, memory and figures on held-out lines."""
    from transformers import PreTrainedTokenizerFast

    lines = TextLines(TextLinesArguments(train_file=text))
    arguments = TokenizerArguments(kind=kind, vocab_size=vocab_size, segmenter=segmenter)
    before, start, worked = resident(), time.perf_counter(), time.process_time()
    if arm == "ours":
        blueprint = Blueprint.from_arguments(arguments)
        counts = count_words(lines, blueprint, arguments)
        tokenizer = blueprint.learn(counts, request_vocabulary(blueprint, arguments))
    else:
        backend = train_on_lines(lines, arguments)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=arguments.unk_token)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {
        "seconds": seconds,
        "cpu_seconds": worked,
        "growth_mb": max(peak - before, 0),
        **measure(tokenizer, lines.held_out).to_json(),
    }


def start(arm: str, text: str, kind: str, args: argparse.Namespace) -> dict[str, Any]:
    """Measure in a process of its own; one that runs out of time or memory is noted as such."""
    command = [sys.executable, __file__, "--text", text, "--arm", arm, "--kinds", kind]
    command += ["--vocab_size", str(args.vocab_size), "--segmenter", args.segmenter]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=args.timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {args.timeout} s"}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def make_tables(results: dict[str, list[dict[str, Any]]]) -> list[Table]:
    """Lay out time, memory and the figures on held-out lines, a row for each kind and arm."""
    columns = ["kind, arm", "s", "CPU s", "growth in MB", "vocabulary", "coverage", "unknown"]
    columns += ["tokens a word", "tokens a character", "bytes a token", "round trip"]
    return [Table("By kind of tokenizer", columns, list(lay_out(results, len(columns))))]


def lay_out(results: dict[str, list[dict[str, Any]]], width: int) -> Iterator[list[str]]:
    """Write the cells of each arm; of one that never ended, why."""
    for name, runs in results.items():
        good = [run for run in runs if "failed" not in run]
        if not good:
            yield [name, runs[0]["failed"], *[""] * (width - 2)]
            continue
        last = good[-1]
        yield [
            name,
            *(f"{statistics.median(run[clock] for run in good):.1f}" for clock in ("seconds", "cpu_seconds")),
            f"{max(run['growth_mb'] for run in good):.0f}",
            str(last["vocab_size"]),
            *(f"{100 * last[share]:.2f} %" for share in ("coverage", "unknown_rate")),
            *(f"{last[figure]:.3f}" for figure in ("tokens_per_word", "tokens_per_character", "bytes_per_token")),
            f"{100 * last['round_trip']:.1f} %",
        ]


def prepare_text(given: str | None, *, small: bool, folder: str) -> str:
    """Give the path of the text: the file that was named, or the reviews of the demo data; the first lines if small."""
    if given and not small:
        return given
    path, most = Path(folder) / "text.txt", SMALL if small else None
    if given:
        with open(given, encoding="utf-8") as source:
            path.write_text("".join(islice(source, most)), encoding="utf-8")
    else:
        path.write_text("".join(f"{text}\n" for text, _ in read_reviews(find_reviews())[:most]), encoding="utf-8")
    return str(path)


def main() -> None:
    """Read the flags, measure, print Markdown, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", help="a text file; the reviews of the demo data if unset")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated")
    parser.add_argument("--arms", default="ours,lines", help="comma-separated")
    parser.add_argument("--arm", help="measure this one here and now")
    parser.add_argument("--vocab_size", type=int, default=8000)
    parser.add_argument("--segmenter", default="auto")
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--timeout", type=int, default=1800, help="seconds for one measurement")
    parser.add_argument("--small", action="store_true", help="the first 2,000 lines")
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    if args.arm:
        print(json.dumps(run_arm(args.arm, args.text, args.kinds, args.vocab_size, args.segmenter)))
        return
    with tempfile.TemporaryDirectory() as folder:
        text = prepare_text(args.text, small=args.small, folder=folder)
        results: dict[str, list[dict[str, Any]]] = {}
        for kind in args.kinds.split(","):
            for _ in range(args.repetitions):
                for arm in args.arms.split(","):
                    results.setdefault(f"{kind}, {arm}", []).append(start(arm, text, kind, args))
    tables = make_tables(results)
    print_tables(tables)
    from interleave import write_json  # imports torch, which the measured processes do without

    write_json(args.output, results, tables=tables)


if __name__ == "__main__":
    main()
