"""Forked processes: one that may be killed, or some that form a group as under a launcher."""

from __future__ import annotations

import math
import os
import signal
import socket
import time
import traceback

import torch
from accelerate.state import AcceleratorState

PATIENCE = 60  # seconds that one process may outlive the other
LONGEST = 900  # seconds that they may take


def in_child(work) -> int:
    """Run something in a forked process; give its exit status, negative for a signal."""
    return _wait([_fork(work)])[0]


def in_two_processes(work) -> list[int]:
    """Run ``work(rank)`` in two processes of one group, see ``in_processes``; give their exit statuses."""
    return in_processes(work, 2)


def in_processes(work, number: int) -> list[int]:
    """Run ``work(rank)`` in processes of one group; when one has failed, end the others as a launcher does.

    They begin with what is imported here already, which a launcher's processes take many seconds to read.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}

    def begin(rank):
        os.environ.update(address, RANK=str(rank), LOCAL_RANK=str(rank))
        os.environ.update(WORLD_SIZE=str(number), LOCAL_WORLD_SIZE=str(number))
        work(rank)

    return _wait([_fork(lambda rank=rank: begin(rank)) for rank in range(number)])


def succeed_in_two_processes(work, *args) -> None:
    """Run ``work(*args)`` in each of two processes of one group; both must end well."""
    assert in_two_processes(lambda rank: work(*args)) == [0, 0]


def _wait(children: list[int]) -> list[int]:
    """Wait for processes, but not for ever, and not long for those whose companion has failed; give their statuses."""
    found: dict[int, int] = {}
    deadline = time.monotonic() + LONGEST
    while len(found) < len(children):
        for child in children:
            if child in found:
                continue
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                found[child] = os.waitstatus_to_exitcode(status)
                deadline = min(deadline, time.monotonic() + PATIENCE if status else math.inf)
            elif time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    return [found[child] for child in children]


def _fork(work) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            torch.set_num_threads(1)  # threads of the parent are not there any more
            AcceleratorState._reset_state(reset_partial_state=True)
            work()
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        except BaseException:
            traceback.print_exc()  # what pytest shows beside a test that has failed
        finally:
            os._exit(status)
    return child
