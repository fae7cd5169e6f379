"""What a run is made of: any change of data, batch, order or versions is named, and nothing else is."""

from __future__ import annotations

import json
import re

import datasets
import pytest
import torch
from average_cases import build_rows
from checkpoint_runs import build_trainer, stream, train

from hf_ext.errors import UserError
from hf_ext.training.checkpoints.fingerprint import find_changes, hash_rows, take_fingerprint

ROWS = [{"input_ids": [1, 2, 3], "labels": i % 3, "text": f"row {i}"} for i in range(5)]


def with_row(number, **changes):
    return [{**row, **(changes if i == number else {})} for i, row in enumerate(ROWS)]


@pytest.mark.parametrize("kind", [list, datasets.Dataset.from_list])
@pytest.mark.parametrize(
    "rows",
    [
        with_row(4, labels=0),
        with_row(0, input_ids=[1, 2, 4]),
        with_row(0, input_ids=[1, 2]),
        with_row(2, text="ro w2"),
        with_row(2, text=None),
        ROWS[::-1],
        ROWS[:-1],
        [{"x": 1, **row} for row in ROWS],
    ],
)
def test_any_other_cell_or_order_gives_another_checksum(rows, kind):
    assert hash_rows(kind(rows)) != hash_rows(kind(ROWS))
    assert hash_rows(kind([dict(row) for row in ROWS])) == hash_rows(kind(ROWS))


def test_values_do_not_run_into_their_neighbours():
    one = datasets.Dataset.from_list([{"input_ids": [1, 2]}, {"input_ids": [3]}])
    other = datasets.Dataset.from_list([{"input_ids": [1]}, {"input_ids": [2, 3]}])
    assert hash_rows(one) != hash_rows(other)


def test_rows_are_what_counts_not_how_they_are_stored(tmp_path):
    rows = datasets.Dataset.from_list(ROWS)
    rows.save_to_disk(tmp_path / "saved")
    same = [
        datasets.load_from_disk(str(tmp_path / "saved")),
        datasets.Dataset.from_list(ROWS[::-1]).select([4, 3, 2, 1, 0]),
        datasets.concatenate_datasets([rows.select([0, 1]), rows.select([2, 3, 4])]),
        rows.with_format("torch", columns=["input_ids"]),
        rows.with_transform(lambda batch: {"input_ids": batch["input_ids"]}),
    ]
    assert {hash_rows(other) for other in same} == {hash_rows(rows)}


def test_rows_that_are_made_when_asked_for_are_not_touched():
    class Drawn(torch.utils.data.Dataset):
        def __getitem__(self, number):
            raise AssertionError

        def __len__(self):
            return 3

    assert hash_rows(Drawn()) is None
    assert hash_rows(stream()) is None


BASE = {
    "rows": 10,
    "data": "a",
    "batch": [2, 4, 1],
    "order": {"seed": 1, "data_seed": None},
    "versions": {"torch": "2.13.0"},
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": 11, "data": "b"}, "there were 10 training rows and are now 11"),
        ({"data": "b"}, "the training rows are other ones"),
        ({"batch": [2, 4, 2]}, r"was 8 rows \(2 process\(es\) x 4 x 1 accumulated\) and is now 16 rows"),
        ({"order": {"seed": 2, "data_seed": None}}, "--seed was 1 and is now 2"),
        ({"versions": {"torch": "2.14.0"}}, "torch was 2.13.0 and is now 2.14.0"),
        ({"rows": None, "data": None, "batch": [1, 8, 1]}, "the effective batch"),
    ],
)
def test_each_change_is_named(changes, words):
    (found,) = find_changes(BASE, {**BASE, **changes})
    assert re.search(words, found)


@pytest.mark.parametrize(
    "now",
    [
        BASE,
        {**BASE, "batch": [1, 4, 2]},
        {**BASE, "batch": [1, 8, 1]},
        {**BASE, "data": None},
        {**BASE, "order": {**BASE["order"], "a_flag_of_tomorrow": 3}},
    ],
)
def test_the_same_batch_cut_up_otherwise_and_what_only_one_side_knows_are_no_change(now):
    assert find_changes(BASE, now) == []


def test_all_of_it_is_plain_json(tmp_path):
    found = take_fingerprint(build_trainer(tmp_path))
    assert json.loads(json.dumps(found)) == found
    assert found["rows"] == 12
    assert found["batch"] == [1, 2, 1]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    train(folder, max_steps=2)
    return folder


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"per_device_train_batch_size": 4}, "effective batch was 2 rows"),
        ({"gradient_accumulation_steps": 3}, "effective batch was 2 rows"),
        ({"seed": 5}, "--seed was 42 and is now 5"),
    ],
)
def test_a_changed_run_is_refused_in_one_line_unless_told_to_go_on(changes, words, stopped, caplog):
    with pytest.raises(UserError, match=f"{words}.*--resume_changed_run goes on all the same") as caught:
        build_trainer(stopped, **changes).checkpoints.begin("last")
    assert "\n" not in str(caught.value)
    assert build_trainer(stopped, resume_changed_run=True, **changes).checkpoints.begin("last")
    assert "going on (--resume_changed_run)" in caplog.text


def test_other_data_and_other_labels_are_refused(stopped):
    trainer = build_trainer(stopped)
    trainer.train_dataset = build_rows()[:-1]
    with pytest.raises(UserError, match="there were 12 training rows and are now 11"):
        trainer.checkpoints.begin("last")
    trainer = build_trainer(stopped)
    trainer.model.config.id2label = {0: "b", 1: "a", 2: "c"}
    with pytest.raises(UserError, match="other labels: number 0 is 'LABEL_0' there and 'b' here"):
        trainer.checkpoints.begin("last")


def test_more_epochs_or_another_rate_of_saving_are_no_other_run(stopped):
    assert build_trainer(stopped, max_steps=20, save_steps=1, logging_steps=1).checkpoints.begin("last")
