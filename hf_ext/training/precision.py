"""In which number format a model computes: as asked for, or what the device is fast at.

Importing this file loads no torch; see ``argument_groups``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger(__name__)

MIXED = ("bf16", "fp16")
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")  # of x86; without them a CPU computes bf16 in fp32, more slowly


@dataclass
class PrecisionArguments:
    """In which number format the model computes; weights and optimizer stay in float32."""

    precision: str | None = field(
        default=None,
        metadata={
            "help": "Mixed precision: fp32 (none), bf16, fp16, or auto, what this device is fast at; unset is fp32 "
            "unless --bf16 or --fp16 is given.",
            "choices": ["auto", "fp32", "bf16", "fp16"],
        },
    )

    def __post_init__(self) -> None:
        if self.precision not in (None, "auto", "fp32", *MIXED):
            raise ValueError(f"--precision is auto, fp32, bf16 or fp16, got {self.precision}.")
        for name in MIXED:
            if self.precision is not None and getattr(self, name, False) and name != self.precision:
                raise ValueError(f"--precision {self.precision} and --{name} contradict each other; leave one out.")


def settle_precision(args: Any) -> None:
    """Set ``bf16`` and ``fp16`` to what ``precision`` means on this device, and log what ``auto`` has become.

    Args:
        args: ``ExtTrainingArguments`` whose ``use_cpu`` is settled.
    """
    if args.precision == "auto":
        args.precision, reason = fastest_precision(use_cpu=args.use_cpu)
        logger.info("Precision auto: %s, since %s.", args.precision, reason)
    if args.precision is not None:
        args.bf16, args.fp16 = (args.precision == name for name in MIXED)
    if args.fp16 and args.use_cpu:
        logger.warning("fp16 makes training on a CPU slower and less exact; leave it out, or take --bf16.")


def fastest_precision(*, use_cpu: bool) -> tuple[str, str]:
    """Give ``bf16``, ``fp16`` or ``fp32``, whichever this device is built for, and why.

    bf16 comes first: it has the range of fp32, so that no loss has to be scaled and no gradient overflows.
    """
    import torch

    device = None if use_cpu else torch.accelerator.current_accelerator()
    if device is None:
        found = [name for name in BF16_INSTRUCTIONS if _cpu_capabilities().get(name)]
        return ("bf16", f"this CPU has {found[0]}") if found else ("fp32", "this CPU has no bf16 instructions")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", "this GPU has it"
        return "fp16", "this GPU has no bf16"
    if device.type in ("xpu", "npu"):
        return "bf16", f"devices of type {device.type} have it"
    return "fp32", f"nothing is known of devices of type {device.type}"


def _cpu_capabilities() -> dict[str, Any]:
    import torch

    return getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not tell
