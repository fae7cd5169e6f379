"""What do many learning-rate groups cost in an optimizer step?

    python benchmarks/optimizer_groups.py --output outputs/optimizer_groups.json

One step of fused AdamW over a BERT of base size with random weights and gradients: in the two groups of Trainer
(decay, no decay), and in those of --layerwise_lr_decay with --head_learning_rate, 28 for 12 layers. Target: 1.10.
"""

from __future__ import annotations

import argparse
import copy
import tempfile

import torch
from interleave import interleave, report, write_json
from tables import Table
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, Trainer

from hf_ext.training import ExtTrainingArguments
from hf_ext.training.optimization.groups import parameter_groups

SMALL = {"vocab_size": 2000, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 256}
TARGET = 1.10
RATES = {"layerwise_lr_decay": 0.9, "head_learning_rate": 1e-3}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="12 layers of width 64 in place of BERT's 768.")
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--output", default=None, help="JSON file for the results.")
    options = parser.parse_args()

    # 1. Model, with a gradient for every weight
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = BertConfig(**(SMALL if options.small else {}), num_labels=3)
    model = BertForSequenceClassification(config).to(device)
    # 2. Arms: one optimizer each, on a copy of its own
    optimizers = {name: build_optimizer(copy.deepcopy(model), rates) for name, rates in [("2", {}), ("28", RATES)]}
    counts = {name: len(optimizer.param_groups) for name, optimizer in optimizers.items()}
    arms = {f"{counts[name]} groups": optimizer.step for name, optimizer in optimizers.items()}
    # 3. Measure
    seconds = interleave(arms, repetitions=options.repetitions, warmup=5)
    size = sum(weight.numel() for weight in model.parameters())
    title = f"Optimizer step, fused AdamW, {size:,} weights on {device}"
    table = report(seconds, baseline="2 groups", title=title)
    ratio = table["28 groups"]["ratio"]
    print(f"28 groups over 2: {ratio:.3f} (target at most {TARGET:.2f})")
    # 4. Keep
    rows = [(name, figures["median_s"] * 1e3, figures["ratio"]) for name, figures in table.items()]
    tables = [Table(title, ["arm", "ms", "time over 2 groups"], rows)]
    write_json(options.output, {"weights": size, "arms": table, "ratio": ratio, "target": TARGET}, tables=tables)


def build_optimizer(model: nn.Module, rates: dict[str, float]) -> torch.optim.Optimizer:
    """Make fused AdamW with our groups, and a gradient for every weight."""
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    with tempfile.TemporaryDirectory() as folder:
        args = ExtTrainingArguments(output_dir=folder, learning_rate=1e-5, weight_decay=0.01, **rates)
        decay_names = Trainer.get_decay_parameter_names(None, model)
        return torch.optim.AdamW(parameter_groups(model, args, decay_names), fused=True)


if __name__ == "__main__":
    main()
