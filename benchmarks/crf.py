"""What a CRF costs: ``LinearChainCRF`` against ``torchcrf.CRF``, likelihood with its gradient, and the best tags.

Both have the same weights and see the same rows, whose lengths differ; they take turns.

    python benchmarks/crf.py                           # four shapes; --small takes the first alone
    python benchmarks/crf.py --blocks                  # and our likelihood in blocks, which is for CUDA
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import torch
from interleave import calm_clock, interleave, ratios, write_json
from tables import Table, print_tables
from torch.utils._python_dispatch import TorchDispatchMode
from torchcrf import CRF

from hf_ext.models.crf import LinearChainCRF
from hf_ext.models.crf_likelihood import find_log_likelihood
from hf_ext.models.crf_posterior import Scores
from hf_ext.models.crf_words import find_words

SHAPES = [(32, 128, 9), (32, 512, 9), (64, 128, 31), (8, 512, 61)]  # rows, words, tags
TARGETS = {"train": (7.0, 8.0, 10.0, 15.0), "decode": (4.0, 4.5, 2.0, 4.0)}  # times torchcrf's speed, by shape
VIEWS = (
    *("view", "_unsafe_view", "expand", "transpose", "permute", "t", "select", "slice"),
    *("unsqueeze", "squeeze", "unbind", "alias", "detach"),
)
WAITS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal")
Arms = dict[str, Callable[[], object]]


class CountOperations(TorchDispatchMode):
    """Count operations but for views, and among them those that make the host wait for a device."""

    operations = waits = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the name and run it."""
        name = function.overloadpacket.__name__
        self.operations += name not in VIEWS
        self.waits += name in WAITS
        return function(*args, **(kwargs or {}))


def build_arms(rows: int, words: int, tags: int, *, blocks: bool) -> tuple[Arms, Arms]:
    """Give the arms that train and those that decode."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    theirs = CRF(tags, batch_first=True).to(device)
    ours = LinearChainCRF(tags, batch_first=True).to(device)
    ours.load_state_dict(theirs.state_dict())
    emissions = torch.randn(rows, words, tags, device=device, requires_grad=True)
    gold = torch.randint(tags, (rows, words), device=device)
    lengths = torch.randint(words // 4, words + 1, (rows, 1), device=device)
    lengths[0] = words
    mask = torch.arange(words, device=device) < lengths

    def in_blocks() -> torch.Tensor:
        scores = Scores(emissions, ours.start_transitions, ours.transitions, ours.end_transitions)
        return find_log_likelihood(scores, gold, find_words(mask), blocked=True).sum()

    def train(likelihood: Callable[[], torch.Tensor]) -> None:
        emissions.grad = None
        (-likelihood()).backward()

    def decode(crf: CRF) -> None:
        with torch.no_grad():
            crf.decode(emissions, mask)

    training: Arms = {
        "torchcrf": lambda: train(lambda: theirs(emissions, gold, mask)),
        "ours": lambda: train(lambda: ours(emissions, gold, mask)),
    }
    if blocks:
        training["ours in blocks"] = lambda: train(in_blocks)
    return training, {"torchcrf": lambda: decode(theirs), "ours": lambda: decode(ours)}


def measure(arms: Arms, repetitions: int) -> dict[str, dict[str, float]]:
    """Time the arms in turns and count what each one does."""
    seconds = interleave(arms, repetitions=repetitions, warmup=2, clock=calm_clock())
    compared, table = ratios(seconds, baseline="torchcrf"), {}
    for name, arm in arms.items():
        with CountOperations() as counted:
            arm()
        table[name] = {
            "median_s": statistics.median(seconds[name]),
            "times_torchcrf": 1 / compared[name],
            "operations": counted.operations,
            "waits": counted.waits,
        }
    return table


def make_tables(results: dict[str, Any]) -> list[Table]:
    """Lay out the figures, a row for each work, shape and arm."""
    columns = ["work", "rows, words, tags", "arm", "ms", "times torchcrf's speed", "asked", "operations", "waits"]
    rows = []
    for work, targets in TARGETS.items():
        for shape, asked in zip(SHAPES, targets, strict=True):
            for arm, row in results.get(f"{work} {shape}", {}).items():
                figures = row["median_s"] * 1e3, row["times_torchcrf"]
                target = f"{asked:g}" if arm == "ours" else None
                size = ", ".join(map(str, shape))
                rows.append((work, size, arm, *figures, target, int(row["operations"]), int(row["waits"])))
    return [Table("A step of each, medians", columns, rows)]


def main() -> None:
    """Read the flags, measure, print Markdown, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the first shape alone")
    parser.add_argument("--blocks", action="store_true", help="an arm more: our likelihood in blocks")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    results: dict[str, Any] = {}
    for shape in SHAPES[: 1 if args.small else None]:
        for work, arms in zip(TARGETS, build_arms(*shape, blocks=args.blocks), strict=True):
            results[f"{work} {shape}"] = measure(arms, args.repetitions)
            print(f"{work} {shape}: {results[f'{work} {shape}']['ours']['times_torchcrf']:.1f} times", flush=True)
    tables = make_tables(results)
    print_tables(tables)
    write_json(args.output, results, tables=tables)


if __name__ == "__main__":
    main()
