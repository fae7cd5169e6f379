"""One process looks, all of them act alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from hf_ext.errors import UserError

Answer = TypeVar("Answer")


def decide_together(decide: Callable[[], Answer]) -> Answer:
    """Let the main process decide, and give every process its answer.

    Args:
        decide: Called in the main process only; its answer must be plain values.

    Raises:
        UserError: In every process, if it was raised in the main one.
    """
    state = PartialState()
    if state.num_processes == 1:
        return decide()
    told: list[Any] = [None, None]
    if state.is_main_process:
        try:
            told[0] = decide()
        except UserError as error:
            told[1] = str(error)
    broadcast_object_list(told)
    if told[1] is not None:
        raise UserError(told[1])
    return told[0]
