from __future__ import annotations

import json

from hf_ext.data.checks.findings import Finding
from hf_ext.data.checks.report import DataReport, describe_sizes
from hf_ext.data.checks.summary import ALL_CLEAR, summarise

EMPTY = Finding("empty_texts", "a.csv", 3, "rows with an empty text", line=2)
LEAK = Finding("seen_in_training", "b.csv", 120, "texts also occur in the training rows", total=3000, fix="drop them")


def report() -> DataReport:
    splits = {
        "train": {"source": "a.csv", "rows": 12000, "labels": 2, "rows_of_label": {"x": 1}},
        "test": {"source": "b.csv", "rows": 3000, "characters_max": 17},
    }
    return DataReport(splits, ["a.csv: read as gb18030", EMPTY, LEAK, EMPTY])


def test_the_summary_has_a_row_for_each_split_and_counts_in_a_column():
    assert summarise(report()).splitlines() == [
        "         rows  labels  characters max",
        "train  12,000       2               -  a.csv",
        " test   3,000       -              17  b.csv",
        "",
        "a.csv: read as gb18030",
        "",
        "Worth a look:",
        "          3  a.csv:2: rows with an empty text",
        "120 of 3000  b.csv: texts also occur in the training rows – drop them",
    ]


def test_a_report_without_findings_says_so():
    assert summarise(DataReport()) == ALL_CLEAR


def test_json_holds_everything_once():
    written = json.loads(json.dumps(report().to_json()))
    assert written["splits"]["train"]["rows_of_label"] == {"x": 1}
    assert [finding["check"] for finding in written["findings"]] == ["empty_texts", "seen_in_training"]
    assert written["notes"] == ["a.csv: read as gb18030"]


def test_sizes_are_described_by_mean_percentile_and_maximum():
    assert describe_sizes(range(101), "words") == {"words_mean": 50, "words_95%": 95, "words_max": 100}
    assert describe_sizes([], "words") == {}
