"""What adversarial training costs: time, memory, traffic between processes, waits for the device.

Every arm trains the same random model through ``ExtTrainer.training_step`` and the same optimizer; the arms take turns.

    python benchmarks/adversarial.py                      # the whole table; --small takes the first shape alone
    python benchmarks/adversarial.py --only traffic       # bytes exchanged by 2 processes
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from interleave import calm_clock, interleave, ratios, write_json
from tables import Table, print_tables
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertConfig, BertForSequenceClassification, PrinterCallback, TrainerCallback

from hf_ext.training import ExtTrainer, ExtTrainingArguments

SIZES = {
    "MiniLM": {"num_hidden_layers": 6, "hidden_size": 384, "intermediate_size": 1536, "vocab_size": 30522},
    "BERT-base-zh": {"num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 3072, "vocab_size": 21128},
    "tiny": {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "vocab_size": 500},
}
SETUPS = [("MiniLM", 32, 24), ("MiniLM", 16, 128), ("BERT-base-zh", 16, 64)]  # rows, tokens
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two plain passes": {},
    "fgm": {"adversarial": "fgm"},
    "fgm, fraction .5": {"adversarial": "fgm", "adversarial_fraction": 0.5},
    "pgd, 3 steps": {"adversarial": "pgd", "adversarial_steps": 3},
    "freelb, 2 steps": {"adversarial": "freelb", "adversarial_steps": 2},
    "fgm_weight": {"adversarial": "fgm_weight"},
    "usual snippet": {},
}
WAITS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal")


class UsualSnippet(ExtTrainer):
    """FGM as it is copied around, see ``tests/training/adversarial_cases.py``."""

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Attack along the table's ``.grad`` after the step."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        inputs = self._prepare_inputs(inputs)
        table: Any = self.accelerator.unwrap_model(model).get_input_embeddings().weight
        backup = table.data.clone()
        norm = torch.norm(table.grad)
        if norm != 0 and not torch.isnan(norm):
            table.data.add_(table.grad / norm)
        self.accelerator.backward(self.compute_loss(model, inputs))
        table.data = backup
        return loss


class CountWaits(TorchDispatchMode):
    """Count the operations that make the host wait for a device."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the name and run it."""
        self.count += function.overloadpacket.__name__ in WAITS
        return function(*args, **(kwargs or {}))


def build_model(size: str) -> BertForSequenceClassification:
    """Build a random classifier of a known size."""
    torch.manual_seed(0)
    heads = max(SIZES[size]["hidden_size"] // 32, 1)
    return BertForSequenceClassification(BertConfig(**SIZES[size], num_attention_heads=heads, num_labels=3))


def build_batch(size: str, rows: int, tokens: int) -> dict[str, torch.Tensor]:
    """Build random rows of full length."""
    ids = torch.randint(5, SIZES[size]["vocab_size"], (rows, tokens))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.arange(rows) % 3}


def build_trainer(arm: str, model: nn.Module, folder: str, **settings: Any) -> ExtTrainer:
    """Build the trainer of one arm."""
    args = ExtTrainingArguments(output_dir=folder, disable_tqdm=True, save_strategy="no", **ARMS[arm], **settings)
    return (UsualSnippet if arm == "usual snippet" else ExtTrainer)(model, args)


def build_steps(size: str, rows: int, tokens: int, folder: str) -> dict[str, Callable[[], None]]:
    """Give each arm as a function that makes one optimizer step; all share model and optimizer."""
    model = build_model(size)
    trainers = {arm: build_trainer(arm, model, folder) for arm in ARMS}
    model.to(trainers["plain"].args.device).train()
    batch = build_batch(size, rows, tokens)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)

    def step(arm: str) -> None:
        trainer = trainers[arm]
        for _ in range(2 if arm == "two plain passes" else 1):
            trainer.training_step(model, dict(batch))
        optimizer.step()
        optimizer.zero_grad()
        if trainer.adversarial is not None:
            trainer.adversarial.attack.remove()

    for trainer in trainers.values():
        trainer.current_gradient_accumulation_steps = 1
        trainer.loss_scale.settle(batch)
    return {arm: lambda arm=arm: step(arm) for arm in ARMS}


def peak_bytes(step: Callable[[], None]) -> int:
    """Give how far allocations rise during one step."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events: Any = profiler.profiler.kineto_results.events()
    live = peak = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def count_waits(step: Callable[[], None]) -> int:
    """Count the waits of one step."""
    with CountWaits() as waits:
        step()
    return waits.count


def measure(size: str, rows: int, tokens: int, repetitions: int) -> dict[str, Any]:
    """Measure time, extra memory and waits of all arms on one model and one shape of batch."""
    with tempfile.TemporaryDirectory() as folder:
        steps = build_steps(size, rows, tokens, folder)
        seconds = interleave(steps, repetitions=repetitions, warmup=1, clock=calm_clock())
        peaks = {arm: peak_bytes(step) for arm, step in steps.items()}
        waits = {arm: count_waits(step) for arm, step in steps.items()}
    unit = rows * tokens * SIZES[size]["hidden_size"] * 4  # one B x T x H tensor of float32
    to_plain, to_two = ratios(seconds, baseline="plain"), ratios(seconds, baseline="two plain passes")
    return {
        arm: {
            "seconds": sorted(seconds[arm])[repetitions // 2],
            "to_plain": to_plain[arm],
            "to_two_passes": to_two[arm],
            "extra_BTH": (peaks[arm] - peaks["two plain passes"]) / unit,
            "waits": waits[arm],
        }
        for arm in ARMS
    }


# --- traffic: 2 processes ---------------------------------------------------------------------------------------------


class CountBytes(TrainerCallback):
    """Count what DDP exchanges."""

    def __init__(self) -> None:
        self.bytes = 0
        self.trainer: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at every bucket on its way."""

        def count(_, bucket):  # bare: DDP reads annotations, and wants no strings
            self.bytes += bucket.buffer().nbytes
            return allreduce_hook(None, bucket)

        self.trainer.model_wrapped.register_comm_hook(None, count)


def exchanged_bytes(arm: str) -> int:
    """Train for three steps of two micro-batches and give the bytes that this process exchanged."""
    counter, batch = CountBytes(), build_batch("tiny", 12, 8)
    rows = [{name: value[i] for name, value in batch.items()} for i in range(12)]
    with tempfile.TemporaryDirectory() as folder:
        settings = {"max_steps": 3, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
        trainer = build_trainer(arm, build_model("tiny"), folder, **settings)
        trainer.train_dataset, counter.trainer = rows, trainer
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(counter)
        trainer.train()
    return counter.bytes


def traffic_of_this_process(path: str) -> None:
    """Write the bytes of every arm to a file; for a process of torchrun."""
    found = {arm: exchanged_bytes(arm) for arm in ARMS if arm != "two plain passes"}
    if torch.distributed.get_rank() == 0:
        Path(path).write_text(json.dumps(found), encoding="utf-8")
    torch.distributed.destroy_process_group()


def measure_traffic() -> dict[str, float]:
    """Give the bytes exchanged by 2 gloo processes, over those of plain training."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traffic.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--rdzv_backend=c10d"]
        command += ["--rdzv_endpoint=localhost:0", __file__, "--traffic_file", str(path)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        subprocess.run(command, env=environment, check=True, timeout=300, stdout=subprocess.DEVNULL)
        found = json.loads(path.read_text(encoding="utf-8"))
    return {arm: value / found["plain"] for arm, value in found.items()}


def main() -> None:
    """Read the flags, measure, print Markdown, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the first shape alone")
    parser.add_argument("--only", choices=["time", "traffic"], help="one part instead of both")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--output", help="JSON file")
    parser.add_argument("--traffic_file", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.traffic_file:
        traffic_of_this_process(args.traffic_file)
        return
    results: dict[str, Any] = {}
    for size, rows, tokens in [] if args.only == "traffic" else SETUPS[: 1 if args.small else None]:
        results[f"{size}, {rows} rows of {tokens} tokens"] = measure(size, rows, tokens, args.repetitions)
    if args.only != "time":
        results["traffic"] = measure_traffic()
    tables = make_tables(results)
    print_tables(tables)
    write_json(args.output, results, tables=tables)


def make_tables(results: dict[str, Any]) -> list[Table]:
    """Lay out time, memory and waits for each shape, and the traffic."""
    columns = ["arm", "ms", "to plain", "to two passes", "extra memory (B·T·H)", "waits"]
    tables = []
    for title, found in results.items():
        if title == "traffic":
            rows = [(arm, f"{value:.2f}") for arm, value in found.items()]
            tables.append(Table("Two processes", ["arm", "bytes exchanged, to plain"], rows))
            continue
        times = ("to_plain", "to_two_passes")
        rows = [
            (arm, row["seconds"] * 1e3, *(row[name] for name in times), f"{row['extra_BTH']:.1f}", row["waits"])
            for arm, row in found.items()
        ]
        tables.append(Table(title, columns, rows))
    return tables


if __name__ == "__main__":
    main()
