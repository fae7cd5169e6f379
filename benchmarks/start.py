"""What a script takes to answer: its help, a wrong flag, a missing file; against what the official one imports first.

    python benchmarks/start.py --output outputs/start.json
    python benchmarks/start.py --small                       # two repetitions

Every measurement is a process of its own, and the arms take turns. CPU seconds are counted, which other programs on the
machine hardly change; once the files have been read before, they are about what a user waits. The arm ``official`` is
Python with the imports that the official ``run_classification.py`` makes before it looks at its command line.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from interleave import interleave, report, write_json
from tables import Table

ROOT = Path(__file__).resolve().parents[1]
OFFICIAL = """
import datasets, evaluate, numpy, transformers
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding
from transformers import EvalPrediction, HfArgumentParser, Trainer, TrainingArguments, default_data_collator, set_seed
from transformers.trainer_utils import get_last_checkpoint
"""
ASKED = 0.25  # of the official imports, at most
CASES = {
    "help": ["--help"],
    "every flag": ["--help_all"],
    "wrong flag": ["--lerning_rate", "1"],
    "missing file": ["--do_train", "--train_file", "missing.csv"],
}


def main(argv: list[str] | None = None) -> None:
    """Time all arms and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--small", action="store_true", help="two repetitions")
    parser.add_argument("--output", help="JSON file of the results")
    args = parser.parse_args(argv)

    arms: dict[str, Callable[[], object]] = {
        "official": partial(run, "-c", OFFICIAL),
        "python alone": partial(run, "-c", ""),
        "hf-ext, help": partial(run, "-m", "hf_ext", "--help"),
        **{f"classification, {name}": partial(run, "run_classification.py", *words) for name, words in CASES.items()},
        "ner, help": partial(run, "run_ner.py", "--help"),
        "pretraining, help": partial(run, "run_continue_pretrain.py", "--help"),
        "tokenizer, help": partial(run, "train_tokenizer.py", "--help"),
    }
    seconds = interleave(arms, repetitions=2 if args.small else args.repetitions, warmup=1, clock=children_seconds)
    table = report(seconds, baseline="official", title="CPU seconds from the command to the answer")
    worst = max(figures["ratio"] for name, figures in table.items() if name != "official")
    print(f"asked: at most {ASKED} of the official imports; found: at most {worst:.3f}")
    rows = [(name, figures["median_s"], figures["ratio"]) for name, figures in table.items()]
    asked = Table("CPU seconds from the command to the answer", ["arm", "CPU seconds", "to `official`"], rows)
    write_json(args.output, {"arms": table, "asked": ASKED, "worst": worst}, tables=[asked])


def run(*words: str) -> None:
    """Run Python with these words in the repository; its answer is thrown away."""
    subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False)


def children_seconds() -> float:
    """Give the CPU seconds of all processes that were started and have ended."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
