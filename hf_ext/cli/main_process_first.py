"""What one process does for all, and the others wait for, however long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist
from transformers import TrainingArguments

LONGEST = timedelta(days=7)  # no limit in practice: a main process that dies is noticed at once


@contextmanager
def main_process_first(args: TrainingArguments) -> Iterator[None]:
    """Let the first process of each machine go through the block before the others do.

    As ``TrainingArguments.main_process_first``, but the others wait in a group of their own, so that ``ddp_timeout``,
    which is for processes that do not answer any more, does not end a run whose main process is still tokenising.

    Args:
        args: The arguments of the run, which know the processes.
    """
    if not (dist.is_available() and dist.is_initialized()):
        with args.main_process_first():
            yield
        return
    waiting = dist.new_group(backend="gloo", timeout=LONGEST)
    is_first = args.local_process_index == 0
    try:
        if not is_first:
            dist.barrier(waiting)
        yield
    finally:  # also after an error, which the others then meet as well
        if is_first:
            dist.barrier(waiting)
