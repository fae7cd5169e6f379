"""Does a method help? The same run with and without it, over several seeds, compared pair by pair.

    python benchmarks/seed_study.py examples/banking77.yaml --seeds 5 \
        --arm plain --arm "fgm --adversarial fgm" -- --max_train_samples 2000

Every seed runs all arms, one after the other, so that slow hours of the machine hit all of them. The first arm is
the one that the others are compared with. Prints a markdown table and writes every figure as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

# two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def main(argv: list[str]) -> None:
    """Run what is still missing in the output file, then print the table."""
    options, common = read_options(argv)
    arms = dict(split_arm(text) for text in options.arm)
    path = Path(options.output)
    done = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for name, flags in arms.items():
            scores = done.setdefault(name, {})
            if str(seed) not in scores:
                scores[str(seed)] = run(options, [*common, *flags], path.with_suffix(""), name, seed)
                path.write_text(json.dumps(done, indent=2), encoding="utf-8")
    print(table(done, options.metric))


def read_options(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split the command line at ``--``: ours before it, the flags of every run after it."""
    ours, _, common = "\0".join(argv).partition("\0--\0")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="YAML file of the run")
    parser.add_argument("--script", default="run_classification.py")
    parser.add_argument("--arm", action="append", required=True, help="a name and its flags; the first is the base")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first_seed", type=int, default=42)
    parser.add_argument("--metric", default="predict_f1_weighted")
    parser.add_argument("--output", default="outputs/seed_study.json")
    return parser.parse_args(ours.split("\0")), common.split("\0") if common else []


def split_arm(text: str) -> tuple[str, list[str]]:
    """Split "name --flag value" into the name and the flags."""
    name, *flags = shlex.split(text)
    return name, flags


def run(options: argparse.Namespace, flags: list[str], folder: Path, arm: str, seed: int) -> dict[str, float]:
    """Run one arm with one seed and give its metric and its seconds."""
    target = folder / f"{arm}-{seed}"
    words = [options.script, options.config, *flags, "--seed", str(seed), "--output_dir", str(target)]
    words += ["--overwrite_output_dir", "true", "--save_strategy", "no", "--load_best_model_at_end", "false"]
    started = time.monotonic()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    results = json.loads((target / "all_results.json").read_text(encoding="utf-8"))
    for weights in target.glob("*.safetensors"):
        weights.unlink()
    return {options.metric: results[options.metric], "seconds": time.monotonic() - started}


def table(done: dict[str, dict[str, dict[str, float]]], metric: str) -> str:
    """Give mean, spread and the paired difference to the first arm, with its 95 % interval, as markdown."""
    base, *_ = done
    lines = [
        f"| arm | seeds | {metric}, mean | standard deviation | difference to {base} (95 % interval) | wins | time |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, scores in done.items():
        values = [entry[metric] for entry in scores.values()]
        pairs = [(scores[seed][metric] - done[base][seed][metric]) for seed in scores if seed in done[base]]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        ratio = statistics.median(scores[seed]["seconds"] / done[base][seed]["seconds"] for seed in scores)
        cells = [name, str(len(values)), f"{statistics.mean(values):.4f}", f"{spread:.4f}"]
        wins = f"{sum(pair > 0 for pair in pairs)} of {len(pairs)}"
        cells += ["–", "–", "1"] if name == base else [interval(pairs), wins, f"{ratio:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def interval(pairs: list[float]) -> str:
    """Give the mean of paired differences and its 95 % interval."""
    mean = statistics.mean(pairs)
    if len(pairs) < 2:
        return f"{mean:+.4f}"
    half = T_QUANTILES[min(len(pairs) - 2, len(T_QUANTILES) - 1)] * statistics.stdev(pairs) / math.sqrt(len(pairs))
    return f"{mean:+.4f} ± {half:.4f}"


if __name__ == "__main__":
    main(sys.argv[1:])
