from __future__ import annotations

import copy
import pickle

from hf_ext.data.checks.findings import Finding

LEAK = Finding(
    "seen_in_training", "test.csv", 2, "texts also occur in the training rows", total=3, fix="leave them out"
)


def test_a_finding_is_the_sentence_that_the_log_shows():
    assert LEAK == "test.csv: 2 of 3 texts also occur in the training rows – leave them out"
    assert Finding("empty_texts", "a.csv", 1, "rows with an empty text", line=7) == "a.csv:7: 1 rows with an empty text"


def test_amount_and_remark_are_the_two_halves_of_the_sentence():
    assert (LEAK.amount, LEAK.remark) == (
        "2 of 3",
        "test.csv: texts also occur in the training rows – leave them out",
    )


def test_what_it_knows_can_be_written_as_json():
    assert LEAK.to_json() == {
        "check": "seen_in_training",
        "source": "test.csv",
        "line": None,
        "count": 2,
        "total": 3,
        "what": "texts also occur in the training rows",
        "fix": "leave them out",
    }


def test_a_finding_survives_copies_and_other_processes():
    for twin in (copy.deepcopy(LEAK), pickle.loads(pickle.dumps(LEAK))):
        assert twin == LEAK
        assert twin.to_json() == LEAK.to_json()
