"""From tokens of documents to the rows of a split, kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from transformers import PreTrainedTokenizerBase

from hf_ext.data.pretraining.arrow_files import load_table, write_table
from hf_ext.data.pretraining.document_splits import DocumentSplit
from hf_ext.data.pretraining.mixing import mix_rows
from hf_ext.data.pretraining.packing import PACKINGS, RowPlan
from hf_ext.data.pretraining.rows import ROWS, TokenTable, build_rows
from hf_ext.data.pretraining.sentence_pairs import PAIR_ROWS, PairPlan, build_pair_rows, plan_pairs
from hf_ext.data.special_tokens import Frame, PairFrame, find_frame, find_pair_frame
from hf_ext.errors import UserError

FORMAT_VERSION = 1  # raise it when the rows of the same tokens change
NO_PAIRS = "none"


@dataclass(frozen=True)
class RowLayout:
    """How rows are made of documents.

    Args:
        max_length: Most tokens in a row, special ones included.
        packing: A name of ``PACKINGS``.
        sentence_pairs: ``next_sentence``, ``sentence_order`` or ``none``.
        seed: Of the order of the rows and of what is drawn for pairs.
        frame: The special tokens around a document, or around the segments of a pair.
    """

    max_length: int
    packing: str
    sentence_pairs: str
    seed: int
    frame: Frame | PairFrame

    @classmethod
    def of_tokenizer(
        cls, tokenizer: PreTrainedTokenizerBase, *, max_length: int, packing: str, sentence_pairs: str, seed: int
    ) -> RowLayout:
        """Take the special tokens from a tokenizer.

        Raises:
            UserError: If they leave no room in a row.
        """
        pairs = sentence_pairs != NO_PAIRS
        frame = find_pair_frame(tokenizer) if pairs else find_frame(tokenizer)
        if max_length < len(frame) + 1 + pairs:
            what = f"--max_seq_length {max_length} leaves no room beside {len(frame)} special tokens"
            raise UserError(what, fix="choose a larger one")
        return cls(max_length, packing, sentence_pairs, seed, frame)


def make_rows(
    split: DocumentSplit, tokens: datasets.Dataset, layout: RowLayout, *, cache_dir: Path, overwrite: bool = False
) -> tuple[datasets.Dataset, list[str]]:
    """Pack the documents of a split, or load what an earlier call has packed in the same way.

    Args:
        split: Which documents, in which proportions.
        tokens: What ``TokenEncoder`` has made of its corpus.
        layout: How rows are made.
        cache_dir: Where they are kept.
        overwrite: Make them again nevertheless.

    Raises:
        UserError: If the documents have no tokens, or too few for pairs.
    """
    key = _cache_key(split, tokens, layout)
    path = cache_dir / f"rows-{key}.arrow"
    loaded = None if overwrite else load_table(path, key)
    if loaded is not None:
        return loaded
    plan_group, join, build, features = _STEPS[type(layout.frame)]
    where = f"{split.source} ({split.name} text)"
    try:
        plans = [plan_group(tokens, group, layout) for group in split.groups]
    except ValueError as error:
        fix = "check --document_boundary, hold out more text, or take --sentence_pairs sentence_order"
        raise UserError(str(error), where=where, fix=fix) from None
    if not all(len(plan) for plan in plans):
        what = "no two sentences to make a pair of" if features is PAIR_ROWS else "no token in this text"
        raise UserError(what, where=where, fix="check the text and the tokenizer")
    joined = join(plans, split.groups)
    sizes = [len(plan) for plan in plans]
    try:
        order = mix_rows(sizes, split.weights or sizes, layout.seed)
    except ValueError as error:
        raise UserError(str(error), where=where, fix="check --data_weights") from None
    batches = build(TokenTable(tokens), joined, order, layout.frame, held_out=split.name == "validation")
    write_table(path, features, batches, [_describe(split, tokens, joined, order, layout)])
    loaded = load_table(path, key)
    if loaded is None:
        raise UserError("the rows just written are gone", where=str(path), fix="name another --cache_dir")
    return loaded


def _cache_key(split: DocumentSplit, tokens: datasets.Dataset, layout: RowLayout) -> str:
    state = [FORMAT_VERSION, tokens._fingerprint, split.name, split.weights, asdict(layout)]
    digest = hashlib.sha256(json.dumps(state).encode())
    for numbers in split.groups:
        digest.update(numbers.tobytes() + b"|")
    return digest.hexdigest()[:32]


def _plan_rows(tokens: datasets.Dataset, group: np.ndarray, layout: RowLayout) -> RowPlan:
    return PACKINGS[layout.packing](TokenTable(tokens).lengths()[group], layout.max_length, len(layout.frame))


def _join_rows(plans: Sequence[RowPlan], groups: Sequence[np.ndarray]) -> RowPlan:
    """Put the plans of several groups of documents behind one another, documents numbered as in the corpus."""
    parts = np.cumsum([0, *(len(plan.document) for plan in plans)])
    return RowPlan(
        np.concatenate([group[plan.document] for plan, group in zip(plans, groups, strict=True)]),
        np.concatenate([plan.start for plan in plans]),
        np.concatenate([plan.stop for plan in plans]),
        np.concatenate([plan.ends + first for plan, first in zip(plans, parts[:-1], strict=True)]),
    )


def _plan_pairs(tokens: datasets.Dataset, group: np.ndarray, layout: RowLayout) -> PairPlan:
    table = TokenTable(tokens, "sentence_lengths")
    sentences = [table.part(document, 0, None) for document in group.tolist()]
    room = layout.max_length - len(layout.frame)
    return plan_pairs(sentences, room, kind=layout.sentence_pairs, seed=layout.seed)


def _join_pairs(plans: Sequence[PairPlan], groups: Sequence[np.ndarray]) -> PairPlan:
    """The same for pairs."""
    joined = []
    for plan, group in zip(plans, groups, strict=True):
        segments = plan.segments.copy()
        segments[:, [0, 3]] = group[segments[:, [0, 3]]]
        joined.append(segments)
    return PairPlan(np.concatenate(joined), np.concatenate([plan.labels for plan in plans]))


_STEPS: dict[type, tuple[Any, Any, Any, datasets.Features]] = {
    Frame: (_plan_rows, _join_rows, build_rows, ROWS),
    PairFrame: (_plan_pairs, _join_pairs, build_pair_rows, PAIR_ROWS),
}


def _describe(
    split: DocumentSplit, tokens: datasets.Dataset, plan: RowPlan | PairPlan, order: np.ndarray, layout: RowLayout
) -> str:
    """Say how much text there is, how full the rows are, and what a draw of pairs or weights has made of it."""
    documents = np.concatenate(split.groups)
    available = int(TokenTable(tokens).lengths()[documents].sum())
    if isinstance(plan, PairPlan):
        segments = plan.segments
        used = int((segments[:, 2] - segments[:, 1] + segments[:, 5] - segments[:, 4]).sum())
        special = len(plan) * len(layout.frame)
        more = f"; second segments made wrong in {plan.labels.mean():.1%} of them"
    else:
        used, special = int((plan.stop - plan.start).sum()), len(plan.document) * len(layout.frame)
        more = f"; {len(order):,} rows with those that repeat for --data_weights" if len(order) > len(plan) else ""
    lost = f" ({available - used:,} tokens left out)" if used < available else ""
    full = (used + special) / (len(plan) * layout.max_length)
    return (
        f"{split.source}: {len(documents):,} {split.name} documents, {available:,} tokens{lost}, in {len(plan):,} rows "
        f"of at most {layout.max_length}, {full:.1%} full{more}"
    )
