"""All that is worth a look in tagged sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hf_ext.data.checks.compared_rows import NONE, ComparedRows, encode
from hf_ext.data.checks.findings import Finding
from hf_ext.data.checks.label_counts import find_absent, find_alike, find_imbalance, find_shift
from hf_ext.data.checks.repeats import find_contradictions, find_other_answers, find_repeats, find_shared
from hf_ext.data.checks.report import DataReport, Figures, describe_sizes
from hf_ext.data.checks.text_cells import find_broken
from hf_ext.data.tagging.preparation import SHORTEST_LEAK
from hf_ext.data.tagging.sentences import SentenceFile
from hf_ext.data.tagging.tagging_data import TaggingData
from hf_ext.models.tag_schemes import OUTSIDE, entities
from hf_ext.models.tagging_schema import TaggingSchema

BETWEEN = "\x1f"  # stands between words, where no text has it
FEW = 10  # entities; a type with fewer is hardly learned


def inspect_tagging(data: TaggingData) -> DataReport:
    """Look at the sentences of every split.

    Args:
        data: Sentences that have been read and checked; what is noted there is in the report too.
    """
    report = DataReport(notes=list(data.notes))
    rows = _compared(data.splits)
    types: dict[str, Counter[str]] = {}
    labels: dict[str, Counter[str]] = {}
    for split, file in data.splits.items():
        types[split] = count_entities(file, data.schema)
        labels[split] = Counter(sentence.label for sentence in file.sentences if sentence.label is not None)
        report.splits[split] = _describe(file, rows[split].source, types[split], labels[split])
        joined = pa.array([" ".join(sentence.words) for sentence in file.sentences], pa.large_string())
        report.notes += find_broken(joined, rows[split].lines, rows[split].source)
    report.notes += _compare(list(rows.values()))
    if "train" in types:
        source = rows["train"].source
        report.notes += find_rare_types(types["train"], source) + find_alike(types["train"], source, kind="types")
        report.notes += find_imbalance(labels["train"], source)
        for split in types.keys() - {"train"}:
            where = rows[split].source
            report.notes += find_absent(types["train"], types[split], where, kind="types")
            report.notes += find_absent(labels["train"], labels[split], where)
            report.notes += find_shift(labels["train"], labels[split], where)
    return report


def count_entities(file: SentenceFile, schema: TaggingSchema) -> Counter[str]:
    """Count the entities of each type, as a score would see them."""
    counts: Counter[str] = Counter()
    for sentence in file.sentences:
        if sentence.tags and sentence.scored:
            counts.update(entity.type for entity in entities(sentence.tags, schema.scheme))
    return counts


def find_rare_types(counts: Counter[str], source: str) -> list[Finding]:
    """Count the types of entities with few examples in training."""
    rare = [name for name, count in reversed(counts.most_common()) if count < FEW]
    if not rare:
        return []
    shown = ", ".join(f"{name!r} ({counts[name]})" for name in rare[:3]) + (", …" if len(rare) > 3 else "")
    what = f"types have fewer than {FEW} entities to learn from: {shown}"
    return [Finding("rare_types", source, len(rare), what, total=len(counts))]


def _describe(file: SentenceFile, source: str, types: Counter[str], labels: Counter[str]) -> Figures:
    tagged = [sentence.tags for sentence in file.sentences if sentence.tags]
    words = sum(map(len, tagged))
    figures: Figures = {"source": source, "rows": len(file.sentences), "entities": sum(types.values())}
    figures["without_entities"] = sum(all(tag == OUTSIDE for tag in tags) for tags in tagged)
    figures |= describe_sizes([len(sentence.words) for sentence in file.sentences], "words")
    figures["untagged"] = len(file.sentences) - len(tagged)
    if words:
        outside = sum(tags.count(OUTSIDE) for tags in tagged)
        figures["share_outside"] = {OUTSIDE: round(outside / words, 4)}
    figures["entities_of_type"] = dict(types.most_common())
    return figures | ({"rows_of_label": dict(labels.most_common())} if labels else {})


def _compared(splits: dict[str, SentenceFile]) -> dict[str, ComparedRows]:
    """Number the sentences by their words, and by their tags (with the label of the sentence)."""
    words = [_join(sentence.words) for file in splits.values() for sentence in file.sentences]
    answers = [
        None if sentence.tags is None else _join([*sentence.tags, sentence.label or ""])
        for file in splits.values()
        for sentence in file.sentences
    ]
    inputs = encode(pa.array(words, pa.large_string()))[0]
    inputs = np.where([not word.strip() for word in words], NONE, inputs)
    codes = _encode_known(answers)
    sources = Counter(file.source for file in splits.values())
    rows, start = {}, 0
    for split, file in splits.items():
        part = slice(start, start := start + len(file.sentences))
        source = f"{file.source} ({split} sentences)" if sources[file.source] > 1 else file.source
        lines = np.array([sentence.line() for sentence in file.sentences])
        long = np.array([len(sentence.words) >= SHORTEST_LEAK for sentence in file.sentences])
        rows[split] = ComparedRows(
            split=split,
            source=source,
            lines=lines,
            texts=np.where(long, inputs[part], NONE),
            inputs=np.where(long, inputs[part], NONE),
            answers=codes[part],
        )
    return rows


def _encode_known(texts: Sequence[str | None]) -> np.ndarray:
    codes, _ = encode(pa.array([text or "" for text in texts], pa.large_string()))
    return np.where([text is None for text in texts], NONE, codes)


def _compare(rows: Sequence[ComparedRows]) -> list[Finding]:
    found: list[Finding] = []
    for i, later in enumerate(rows):
        fix = "pass --drop_duplicates" if later.split == "train" else None
        found += find_repeats(later, unit="sentences", fix=fix)
        found += find_contradictions(later, unit="sentences", answer="tags")
        for earlier in rows[:i]:
            if earlier.split == "train":  # what training shares with others is noted when files are read
                found += find_other_answers(earlier, later, unit="sentences", answer="tags")
            else:
                found += find_shared(earlier, later, unit="sentences")
    return found


def _join(words: Sequence[str]) -> str:
    return BETWEEN.join(words)
