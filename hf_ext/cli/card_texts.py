"""What a model card says in words: what the model does, how it is used, where it may fail."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
EXAMPLES = {"zh": "这家店的服务很好，下次还会再来。", None: "The service was friendly and quick, we will come back."}
MASKED_EXAMPLES = {"zh": "今天的天气很{mask}。", None: "The weather is very {mask} today."}
MANY_ROWS = 500  # rows, below which a figure is a rough one
WEAK_F1 = 0.5
MOST_NAMED = 10  # labels in a sentence


def hub_name(name: str | None) -> str | None:
    """Give the name of a model if it is one of the Hub, None for a folder and for nothing."""
    if not name or Path(name).exists() or not HUB_NAME.fullmatch(name):
        return None
    return name


def folder_name(folder: Path, hub_model_id: str | None) -> str:
    """Name the model as a reader of the card would load it: from the Hub, or a folder, without where it lies."""
    if hub_model_id:
        return hub_model_id
    return folder.name if folder.is_absolute() or ".." in folder.parts else str(folder)


def is_stock(model: Any) -> bool:
    """Tell whether a model is one of transformers' own, which loads without hf_ext."""
    return type(model).__module__.startswith("transformers.")


def describe_origin(model_name_or_path: str | None, kind: str) -> str:
    """Say how the training began.

    Args:
        model_name_or_path: As the flag has it.
        kind: The class of the model.
    """
    if not model_name_or_path:
        return f"Architecture: `{kind}`, trained from scratch."
    named = hub_name(model_name_or_path)
    if named:
        return f"Architecture: `{kind}`, fine-tuned from [{named}](https://huggingface.co/{named})."
    return f"Architecture: `{kind}`, fine-tuned from the folder `{Path(model_name_or_path).name}`."


def describe_settings(args: Any, extra: Mapping[str, str]) -> dict[str, str]:
    """Give the settings of a training that a reader asks for first.

    Args:
        args: The training arguments.
        extra: More of them, put behind.
    """
    steps = args.gradient_accumulation_steps
    epochs = args.max_steps if args.max_steps > 0 else args.num_train_epochs
    settings = {
        "learning rate": f"{args.learning_rate:g}",
        "schedule": f"{getattr(args.lr_scheduler_type, 'value', args.lr_scheduler_type)}, warmup {args.warmup_steps:g}",
        "optimizer": str(getattr(args.optim, "value", args.optim)),
        "weight decay": f"{args.weight_decay:g}",
        "steps" if args.max_steps > 0 else "epochs": f"{epochs:g}",
        "rows a step": str(args.train_batch_size * args.world_size * steps),
        "precision": "bf16" if args.bf16 else "fp16" if args.fp16 else "fp32",
        "seed": str(args.seed),
    }
    named = {
        "loss": "loss",
        "adversarial": "adversarial training",
        "ema_decay": "average of the weights",
        "lora_r": "rank of LoRA",
    }
    chosen = {words: getattr(args, name, None) for name, words in named.items()}
    return (
        settings | {words: str(value) for words, value in chosen.items() if value not in (None, "none")} | dict(extra)
    )


def describe_limits(metrics: Mapping[str, Mapping[str, float]], more: Sequence[str] = ()) -> list[str]:
    """Say what the model is for and where it may fail.

    Args:
        metrics: Split that was not trained on to figures, with ``samples`` among them.
        more: What the task says.
    """
    limits = ["For text like that it was trained on; text of another kind, time or language needs a test of its own."]
    rows = max((int(figures.get("samples") or 0) for figures in metrics.values()), default=0)
    if 0 < rows < MANY_ROWS:
        limits.append(f"The figures come from {rows:,} rows: they are rough.")
    limits += more
    limits.append("It repeats what its data say, mistakes and prejudice included: let a person decide what matters.")
    return limits


def describe_weakness(f1: Mapping[str, float]) -> list[str]:
    """Name the labels or types with a low F1, the lowest first; nothing where there is none."""
    weak = [f"`{name}`" for name in sorted(f1, key=f1.__getitem__) if f1[name] < WEAK_F1]
    named = ", ".join(weak[:MOST_NAMED]) + (", …" if len(weak) > MOST_NAMED else "")
    return [f"Weak at {named} (F1 below {WEAK_F1})."] if weak else []


def show_stock_pipeline(task: str, folder: str, text: str) -> str:
    """Write Python that asks a model of transformers' own."""
    options = ', aggregation_strategy="simple"' if task == "token-classification" else ""
    lines = ("from transformers import pipeline", "", f"ask = pipeline({task!r}, model={folder!r}{options})")
    return "\n".join((*lines, f"print(ask({text!r}))"))


def show_predictor(task: str, folder: str, text: str) -> str:
    """Write Python that asks a model of ours, whatever its task."""
    lines = ("from hf_ext.inference import Predictor", "", f"predictor = Predictor.from_pretrained({folder!r})")
    return "\n".join((*lines, f"print(predictor({text!r}))"))


def show_script(script: str, folder: str) -> str:
    """Write the command that predicts a file."""
    return f"python {script} --model_name_or_path {folder} --do_predict --test_file new.csv --output_dir outputs/new"
