"""The commands of a page, taken out of its blocks of shell, and run in this process on the few files of a folder."""

from __future__ import annotations

import json
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

from reviews import review_rows
from scripts import ner_files, pretraining_files
from scripts.support import write_csv

from hf_ext.cli.console import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {
    "run_classification.py": "train-classification",
    "run_ner.py": "train-ner",
    "run_continue_pretrain.py": "pretrain",
    "train_tokenizer.py": "train-tokenizer",
}
# folders of the tiny encoder here
ENCODERS = ("bert-base-uncased", "bert-base-chinese", "roberta-base", "answerdotai/ModernBERT-base")
TRAINING = ("train-classification", "train-ner", "pretrain")
SMALL = (
    *("--use_cpu", "--disable_tqdm", "true", "--max_steps", "2", "--max_seq_length", "32", "--cache_dir", "cache"),
    *("--per_device_train_batch_size", "8", "--save_strategy", "no", "--load_best_model_at_end", "false"),
    *("--tune_trials", "2"),
)
# what cannot be had here: a network
LEFT_OUT = {"--push_to_hub": 1, "--hub_model_id": 2}


def shell_lines(text: str) -> list[str]:
    """Give the lines of all blocks of shell, continued ones joined, without remarks."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()]
    return [re.sub(r"\s+# .*", "", line) for line in lines if line.strip() and not line.startswith("#")]


def read_command(line: str) -> tuple[str, list[str]] | None:
    """Tell which command of hf-ext a line starts, and its words; None for another program.

    A launcher is left out: the line is run as one process.
    """
    words = shlex.split(line)
    for i, word in enumerate(words):
        if word in SCRIPTS:
            return SCRIPTS[word], words[i + 1 :]
        if word in ("hf-ext", "hf_ext"):
            return words[i + 1], words[i + 2 :]
        if word == "hf_ext.data.checks":
            return "check", words[i + 1 :]
    return None


def run_small(name: str, words: list[str]) -> None:
    """Run a command in two steps at most, on short rows."""
    kept, skip = [], 0
    for word in words:
        skip = LEFT_OUT.get(word, skip)
        if not skip:
            kept.append(word)
        skip = max(skip - 1, 0)
    import_module(COMMANDS[name].module).main([*kept, *(SMALL if name in TRAINING else ())])


def write_files(folder: Path) -> None:
    """Write the files that the pages name: tables, tagged sentences, texts, an encoder under each of its names."""
    for name, count, offset in (("train", 40, 0), ("dev", 12, 100), ("test", 12, 200), ("new", 12, 300)):
        rows = review_rows(count, offset=offset)
        write_csv(folder / f"{name}.csv", [row | more_columns(row) for row in rows])
        lines = [json.dumps(several_labels(row)) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        sentences = ner_files.chinese(count, offset=offset)
        for extension in ("bmes", "char.bmes", "conll"):
            ner_files.write_columns(folder / f"{name}.{extension}", sentences)
        (folder / f"{name}.txt").write_text("".join("".join(words) + "\n" for words, *_ in sentences), encoding="utf-8")
    documents = pretraining_files.english(40)
    for path in ("notes/a.txt", "corpus/a.txt", "news/a.txt", "corpus.txt"):
        (folder / path).parent.mkdir(exist_ok=True)
        pretraining_files.write_documents(folder / path, documents)
    write_csv(folder / "rows.csv", review_rows(12))
    (folder / "more").mkdir()
    for path in ("more.jsonl", "more/news.jsonl"):
        pretraining_files.write_rows(folder / path, documents[:5])
    (folder / "space.yaml").write_text("learning_rate: {low: 1e-4, high: 1e-2, log: true}\n", encoding="utf-8")
    (folder / "words.txt").write_text("harbour\nlibrary\n", encoding="utf-8")
    for name in ENCODERS:
        pretraining_files.save_tiny_encoder(folder / name)


def several_labels(row: dict[str, str]) -> dict[str, Any]:
    """Give a toy review with any number of labels."""
    held = [*([row["label"]] if row["label"] == "good" else []), *(["book"] if "book" in row["text"] else [])]
    return {"text": row["text"], "labels": held}


def more_columns(row: dict[str, str]) -> dict[str, str]:
    """Give the columns of the guide of classification, made of those of a toy review."""
    said = {"title": row["text"].split()[1], "review": row["text"], "recommended": row["label"]}
    return said | {"department": row["shop"], "age": row["price"]}
