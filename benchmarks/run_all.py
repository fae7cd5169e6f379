"""Run every benchmark, each in a process of its own, and put what it found into docs/benchmarks.md.

    python benchmarks/run_all.py                       # make bench: all of them
    python benchmarks/run_all.py padding crf           # these alone
    python benchmarks/run_all.py --small               # whether they run, in a few minutes; the page stays as it is

Each writes outputs/bench/NAME.json as soon as it ends, and the page is rendered then: what is done stays, whatever
happens afterwards. One that fails is named at the end, and the others run all the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from render import FIGURES, PAGE, render

FOLDER = Path(__file__).resolve().parent
MOST_SECONDS = 1200  # for one benchmark

# name of the script -> its flags in make bench; without them a script takes its long version
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "start": ("--repetitions", "2"),
    "optimizer_groups": ("--repetitions", "20"),
    "crf": ("--repetitions", "7"),
    "masking": ("--repetitions", "15"),
    "evaluation": ("--repetitions", "1"),
    "preprocessing": ("--rows", "2000", "--repetitions", "5"),
    "collation": ("--repetitions", "7"),
    "loading": ("--rows", "500", "--steps", "8", "--repetitions", "1"),
    "pretraining": ("--repetitions", "2"),
    "padding": ("--repetitions", "3"),
    "adversarial": ("--small", "--repetitions", "5"),
    "tokenizer_training": ("--small", "--kinds", "wordpiece,bpe,unigram"),
}
STUDIES = ("seed_study",)  # not what something costs, but whether it helps: hours of training on real data


def run(name: str, flags: Sequence[str], folder: Path) -> bool:
    """Run one benchmark and say whether it went well; it has one thread unless ``OMP_NUM_THREADS`` is set."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *flags, "--output", str(folder / f"{name}.json")]
    defaults = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    environment = {**defaults, **os.environ, "PYTHONPATH": str(FOLDER.parent)}
    try:
        return subprocess.run(command, env=environment, timeout=MOST_SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main(argv: list[str] | None = None) -> int:
    """Read the flags, run, render; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all of them if unset")
    parser.add_argument("--small", action="store_true", help="the smallest size of each; the page stays as it is")
    parser.add_argument("--folder", type=Path, default=FIGURES, help="where the JSON files go")
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file with a place for each benchmark")
    args = parser.parse_args(argv)
    unknown = [name for name in args.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"{unknown[0]} is none of {', '.join(BENCHMARKS)}")
    failed = []
    for name in args.names or BENCHMARKS:
        start = time.monotonic()
        print(f"\n=== {name}", flush=True)
        good = run(name, ("--small",) if args.small else BENCHMARKS[name], args.folder)
        print(f"=== {name}: {time.monotonic() - start:.0f} s{'' if good else ', failed'}", flush=True)
        if not good:
            failed.append(name)
        elif not args.small:
            render(args.page, args.folder)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
