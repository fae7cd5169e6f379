"""Tiny models and data that every test can afford; nothing touches the network."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from reviews import review_rows
from transformers import BertConfig, BertModel

from hf_ext.tokenization import build_tokenizer


def pytest_make_parametrize_id(config, val, argname):
    """Bytes stay out of a test's name: gzip writes the second into them, and two workers then disagree."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items):
    """Write into the report of a test which promise it holds."""
    for item in items:
        promise = item.get_closest_marker("promise")
        if promise is not None:
            item.user_properties.append(("promise", promise.args[0]))


def pytest_terminal_summary(terminalreporter, config):
    """Show how much was tried for each promise, where ``make stress`` asks for them all."""
    if "promise" not in config.option.markexpr:
        return
    figures = {}  # promise -> cases, failed tests, seconds
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        said = dict(getattr(report, "user_properties", ()))
        if "promise" in said and hasattr(report, "duration"):  # tests that were left out are listed too
            figure = figures.setdefault(said["promise"], [0, 0, 0.0])
            count = said.get("cases", 1) if report.when == "call" else 0
            figure[0] += count
            figure[1] += int(report.failed)
            figure[2] += report.duration
    terminalreporter.section("what was tried")
    terminalreporter.line(f"{'':42} {'cases':>7} {'failed':>7} {'seconds':>8}")
    for promise, (cases, failed, seconds) in sorted(figures.items()):
        terminalreporter.line(f"{promise:42} {cases:7} {failed:7} {seconds:8.0f}")


@pytest.fixture(scope="session", autouse=True)
def _few_threads():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> str:
    """The folder of a two-layer BERT encoder with a word tokenizer."""
    folder = tmp_path_factory.mktemp("tiny_bert")
    tokenizer = build_tokenizer([row["text"] for row in review_rows(60)], level="word", min_count=1)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
