"""What the vocabulary projection at masked positions saves: time and memory of a step of masked language modelling.

The same random model with its stock head and after ``project_masked_only``, on the same batch, in turns. A step is
forward and backward; the optimizer's part is the same for both and left out.

    python benchmarks/pretraining.py                    # --small takes two small layers, in seconds
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from typing import Any

import torch
from adversarial import peak_bytes
from interleave import calm_clock, interleave, report, write_json
from tables import Table, print_tables
from transformers import BertConfig, BertForMaskedLM

from hf_ext.models.masked_head import project_masked_only

# layers, width, vocabulary, rows, tokens, asked speed-up
SHAPES = {
    "6 x 384": (6, 384, 30522, 16, 128, 1.8),
    "BERT-base": (12, 768, 21128, 4, 128, 1.12),
    "2 x 768": (2, 768, 21128, 8, 256, None),
}
SMALL = {"2 x 96": (2, 96, 30522, 4, 64, None)}
MASKED_SHARE = 0.15
ASKED_MEMORY, ASKED_LOSS, ASKED_GRADIENT = 0.35, 1e-5, 1e-6


def build_models(layers: int, width: int, vocabulary: int) -> dict[str, BertForMaskedLM]:
    """Build the two arms with the same weights, without dropout."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=4 * width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    stock = BertForMaskedLM(config).to("cuda" if torch.cuda.is_available() else "cpu")
    ours = copy.deepcopy(stock)
    project_masked_only(ours)
    return {"dense head": stock, "masked positions": ours}


def build_batch(vocabulary: int, rows: int, tokens: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Build full rows of which each has the same number of masked tokens."""
    ids = torch.randint(5, vocabulary, (rows, tokens), device=device)
    masked = torch.rand(rows, tokens, device=device).argsort(1) < round(MASKED_SHARE * tokens)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.masked_fill(~masked, -100)}


def build_steps(models: dict[str, BertForMaskedLM], batch: dict[str, torch.Tensor]) -> dict[str, Callable[[], Any]]:
    """Give each arm as a function that adds its gradients; without a head there is a floor that no head goes below."""
    dense, masked = models.values()
    positions = batch["labels"].flatten().ne(-100).nonzero().squeeze(1)  # the collator gives them
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    losses: dict[str, Callable[[], torch.Tensor]] = {
        "dense head": lambda: dense(**batch).loss,
        "masked positions": lambda: masked(**batch, masked_positions=positions).loss,
        "encoder alone": lambda: masked.base_model(**inputs)[0].mean(),
    }

    def step(name: str) -> float:
        loss = losses[name]()
        loss.backward()
        return float(loss.detach())

    return {name: lambda name=name: step(name) for name in losses}


def starting_afresh(models: dict[str, BertForMaskedLM], step: Callable[[], Any]) -> Callable[[], Any]:
    """Let a step drop the last one's gradients first, as Trainer does."""

    def fresh() -> None:
        for model in models.values():
            model.zero_grad()
        step()

    return fresh


def measure(shape: tuple[Any, ...], repetitions: int, title: str) -> dict[str, Any]:
    """Compare the arms on one shape and print what was found."""
    layers, width, vocabulary, rows, tokens, asked = shape
    models = build_models(layers, width, vocabulary)
    dense, masked = models.values()
    steps = build_steps(models, build_batch(vocabulary, rows, tokens, dense.device))
    losses = {name: step() for name, step in steps.items() if name != "encoder alone"}
    pairs = zip(dense.parameters(), masked.parameters(), strict=True)
    gradient = max(float((a.grad - b.grad).abs().max()) for a, b in pairs if a.grad is not None and b.grad is not None)
    peaks = {name: peak_bytes(step) / 2**20 for name, step in steps.items()}  # gradients are there before and after
    arms = {name: starting_afresh(models, step) for name, step in steps.items()}
    seconds = interleave(arms, repetitions=repetitions, warmup=1, clock=calm_clock())
    table = report(seconds, baseline="dense head", title=f"\n{title}")
    difference = abs(losses["dense head"] - losses["masked positions"]) / losses["dense head"]
    for name, row in table.items():
        row |= {"faster": 1 / row["ratio"], "peak_mb": peaks[name], "peak": peaks[name] / peaks["dense head"]}
        print(f"{name}: {row['faster']:.2f} times as fast, peak {row['peak_mb']:.0f} MB, {row['peak']:.3f} of it")
    print(
        f"asked: {asked or '–'} times as fast, peak {ASKED_MEMORY}; loss differs by {difference:.0e} (asked "
        f"{ASKED_LOSS:.0e}), gradients by {gradient:.0e} (asked {ASKED_GRADIENT:.0e})",
        flush=True,
    )
    return {"arms": table, "asked": asked, "loss_difference": difference, "gradient_difference": gradient}


def make_tables(results: dict[str, Any]) -> list[Table]:
    """Lay out speed and memory of the masked positions beside the floor that no head goes below."""
    table = []
    for name, found in results.items():
        _, _, vocabulary, rows, tokens, asked = (SHAPES | SMALL)[name]
        ours, floor = found["arms"]["masked positions"], found["arms"]["encoder alone"]
        speeds = ours["faster"], asked and f"{asked:g}", floor["faster"]
        memory = ours["peak"], floor["peak"], found["arms"]["dense head"]["peak_mb"]
        differences = (f"{found[f'{what}_difference']:.1g}" for what in ("loss", "gradient"))
        table.append((f"{name}, {rows} x {tokens}, {vocabulary:,}", *speeds, *memory, *differences))
    shape = "layers x width, rows x tokens, vocabulary"
    speed = ["times the speed of the dense head", "asked", "encoder alone"]
    memory_columns = [f"peak over that of the dense head (asked {ASKED_MEMORY})", "encoder alone", "dense head (MB)"]
    same = [f"loss differs by (asked {ASKED_LOSS:.0e})", f"gradients by (asked {ASKED_GRADIENT:.0e})"]
    return [Table("A step without the optimizer", [shape, *speed, *memory_columns, *same], table)]


def main() -> None:
    """Read the flags, measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="two small layers only")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    results = {}
    for name, shape in (SMALL if args.small else SHAPES).items():
        rows, tokens = shape[3:5]
        results[name] = measure(shape, args.repetitions, f"{name}, {rows} rows of {tokens} tokens")
    tables = make_tables(results)
    print_tables(tables)
    write_json(args.output, results, tables=tables)


if __name__ == "__main__":
    main()
