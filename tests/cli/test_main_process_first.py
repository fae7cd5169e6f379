"""What the main process prepares, the others wait for, longer than for a process that does not answer."""

from __future__ import annotations

import time

import pytest
from forked_runs import in_two_processes

from hf_ext.cli.main_process_first import main_process_first
from hf_ext.errors import UserError
from hf_ext.training import ExtTrainingArguments

TIMEOUT, WORK = 5, 8  # seconds


@pytest.mark.slow
def test_the_main_process_may_take_longer_than_ddp_timeout(tmp_path):
    def prepare(rank):
        args = ExtTrainingArguments(str(tmp_path), use_cpu=True, ddp_timeout=TIMEOUT)
        with main_process_first(args):
            if rank == 0:
                time.sleep(WORK)
                (tmp_path / "prepared").touch()
            assert (tmp_path / "prepared").exists()

    assert in_two_processes(prepare) == [0, 0]


@pytest.mark.slow
def test_a_mistake_of_all_is_met_by_all(tmp_path):
    def prepare(rank):
        args = ExtTrainingArguments(str(tmp_path), use_cpu=True)
        with pytest.raises(UserError), main_process_first(args):
            raise UserError("no rows")

    assert in_two_processes(prepare) == [0, 0]


def test_one_process_just_goes_on(tmp_path):
    with main_process_first(ExtTrainingArguments(str(tmp_path))):
        (tmp_path / "prepared").touch()
    assert (tmp_path / "prepared").exists()
