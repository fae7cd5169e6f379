"""Flags of older scripts: translated to today's names with a one-line notice, or dropped with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TRUE_WORDS = frozenset({"true", "yes", "t", "y", "1"})
FALSE_WORDS = frozenset({"false", "no", "f", "n", "0"})


@dataclass(frozen=True)
class Legacy:
    """What became of an old flag.

    Args:
        new: Today's flag without dashes, or None when the flag is dropped.
        value: The value that the new flag gets when the old one was a switch; None passes the value on.
        switch: Whether the old flag stood alone or took true/false.
        note: Why, in a few words; shown in the notice.
    """

    new: str | None
    value: str | None = None
    switch: bool = False
    note: str = ""


LEGACY_FLAGS: dict[str, Legacy] = {
    # renamed in transformers 4.x and 5
    "evaluation_strategy": Legacy("eval_strategy"),
    "per_gpu_train_batch_size": Legacy("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": Legacy("per_device_eval_batch_size"),
    "warmup_ratio": Legacy("warmup_steps", note="a value below 1 is a ratio"),
    "no_cuda": Legacy("use_cpu", "true", switch=True),
    "push_to_hub_token": Legacy("hub_token"),
    "push_to_hub_model_id": Legacy("hub_model_id"),
    "use_auth_token": Legacy("token"),
    "group_by_length": Legacy("train_sampling_strategy", "group_by_length", switch=True),
    "gradient_checkpointing": Legacy("activation_checkpointing", "true", switch=True),
    "gradient_checkpointing_kwargs": Legacy("activation_checkpointing_kwargs"),
    "include_inputs_for_metrics": Legacy("include_for_metrics", "inputs", switch=True),
    "torchdynamo": Legacy("torch_compile_backend"),
    "evaluate_during_training": Legacy("eval_strategy", "steps", switch=True),
    "lrf": Legacy("min_lr_ratio", note="the floor of --lr_scheduler_type cosine"),
    # gone, and nothing is lost
    "fp16_opt_level": Legacy(None, note="apex is gone; --fp16 and --bf16 use torch's own mixed precision"),
    "fp16_backend": Legacy(None, note="--fp16 uses torch's own mixed precision"),
    "half_precision_backend": Legacy(None, note="--fp16 and --bf16 use torch's own mixed precision"),
    "save_safetensors": Legacy(None, switch=True, note="weights are always saved as safetensors"),
    "use_mps_device": Legacy(None, switch=True, note="an Apple GPU is found by itself"),
    "logging_dir": Legacy(None, note="set the environment variable TENSORBOARD_LOGGING_DIR"),
    "dispatch_batches": Legacy(None, note="""write --accelerator_config '{"dispatch_batches": …}'"""),
    "split_batches": Legacy(None, note="""write --accelerator_config '{"split_batches": …}'"""),
    "include_tokens_per_second": Legacy(None, switch=True, note="write --include_num_input_tokens_seen"),
    "tpu_num_cores": Legacy(None, note="start with `accelerate launch`"),
    "xpu_backend": Legacy(None, note="write --ddp_backend"),
    "past_index": Legacy(None, note="no encoder needs it"),
    "mp_parameters": Legacy(None, note="it served a launcher that is gone"),
    "ray_scope": Legacy(None, note="it served a search that is gone"),
    "jit_mode_eval": Legacy(None, switch=True, note="write --torch_compile"),
    "use_ipex": Legacy(None, switch=True, note="torch itself has the kernels now"),
    "use_legacy_prediction_loop": Legacy(None, switch=True, note="there is one evaluation loop"),
    "sharded_ddp": Legacy(None, note="write --fsdp"),
    "sortish_sampler": Legacy(None, switch=True, note="write --train_sampling_strategy group_by_length"),
    "adafactor": Legacy("optim", "adafactor", switch=True),
    "predict_with_generate": Legacy(None, switch=True, note="an encoder generates nothing"),
}


def translate_legacy_flags(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Rewrite old flags in a command line.

    Args:
        argv: The words of the command line, without the program's name.

    Returns:
        The command line in today's flags, and one notice for each flag that was changed.
    """
    words, notices, position = [], [], 0
    while position < len(argv):
        word = argv[position]
        position += 1
        name, equals, value = word.removeprefix("--").partition("=")
        legacy = LEGACY_FLAGS.get(name.replace("-", "_")) if word.startswith("--") else None
        if legacy is None:
            words.append(word)
            continue
        if not equals and position < len(argv) and _belongs(argv[position], legacy):
            value = argv[position]
            position += 1
        words += _replacement(legacy, value)
        notices.append(_notice(name, legacy))
    return words, notices


def _belongs(word: str, legacy: Legacy) -> bool:
    """Tell whether the next word is the flag's value: a switch takes only true or false."""
    if legacy.switch:
        return word.lower() in TRUE_WORDS | FALSE_WORDS
    return not word.startswith("--")


def _replacement(legacy: Legacy, value: str) -> list[str]:
    if legacy.new is None or (legacy.switch and value.lower() in FALSE_WORDS):
        return []
    return [f"--{legacy.new}={legacy.value or value}"]


def _notice(name: str, legacy: Legacy) -> str:
    why = f" ({legacy.note})" if legacy.note else ""
    if legacy.new is None:
        return f"--{name} is gone and was left out{why}."
    value = f" {legacy.value}" if legacy.value and legacy.value != "true" else ""
    return f"--{name} is now --{legacy.new}{value}{why}."
