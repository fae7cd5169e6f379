"""The flags of LoRA: which matrices of an encoder learn through small ones beside them.

Importing this file loads neither torch, transformers nor peft; see ``argument_groups``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ATTENTION, EVERY_LINEAR = "attention", "all"


@dataclass
class LoraArguments:
    """How much of an encoder learns, and where; everything above it is trained in full."""

    lora_r: int | None = field(
        default=None, metadata={"help": "LoRA: rank of the small matrices; 8 is usual, unset trains every weight."}
    )
    lora_alpha: float | None = field(
        default=None, metadata={"help": "LoRA: what they add counts alpha / r times; unset is r."}
    )
    lora_dropout: float = field(default=0.0, metadata={"help": "LoRA: dropout on what the small matrices read."})
    lora_target_modules: str = field(
        default=ATTENTION,
        metadata={
            "help": "LoRA: linear layers of the encoder that get them: attention (all of its attention), all, or ends "
            "of their names, e.g. query,value."
        },
    )

    def __post_init__(self) -> None:
        if isinstance(self.lora_target_modules, list | tuple):  # as YAML has it
            self.lora_target_modules = ",".join(map(str, self.lora_target_modules))
        if self.lora_r is not None and self.lora_r < 1:
            raise ValueError(f"--lora_r must be at least 1, got {self.lora_r}; leave it out to train every weight.")
        if self.lora_alpha is not None and not self.lora_alpha > 0:
            raise ValueError(f"--lora_alpha must be positive, got {self.lora_alpha}.")
        if not 0 <= self.lora_dropout < 1:
            raise ValueError(f"--lora_dropout is a share from 0 to below 1, got {self.lora_dropout}.")
        if not any(name.strip() for name in self.lora_target_modules.split(",")):
            raise ValueError("--lora_target_modules names no layer; leave it out for those of the attention.")
