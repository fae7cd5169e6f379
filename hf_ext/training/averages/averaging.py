"""The mean weights of several checkpoints of one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ADAPTER_SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_NAME, is_peft_available

from hf_ext.errors import UserError


def average_checkpoints(model: nn.Module, folders: Sequence[Path]) -> None:
    """Load the mean weights of several checkpoints into the model that they are of.

    Float tensors are summed in float64; integer and boolean ones (counters, masks) are those of the last folder. Of
    a PEFT model the adapter is averaged, each of its matrices by itself. Only one checkpoint is read at a time.

    Vaswani et al. (2017, arXiv:1706.03762, section 6.1) average the last checkpoints, Izmailov et al. (2018,
    arXiv:1803.05407) those of a constant or cyclic rate; the mean of the best by a validation score follows Wortsman
    et al. (2022, arXiv:2203.05482), whose models come from several runs. Here the statistics of a BatchNorm are
    averaged too, where Izmailov et al. count them anew.

    When: checkpoints of one run are about equally good, and no average was kept while training (see ``ema``, which
    takes in every step). Checkpoints from long before the end, when the weights still moved far, do harm.

    Args:
        model: The model, on any device and of any float type; unwrapped.
        folders: The checkpoints, oldest first.

    Raises:
        UserError: If a folder cannot be read or does not hold all weights of this model.
    """
    if not folders:
        raise ValueError("average_checkpoints needs at least one folder.")
    sums: dict[str, Tensor] = {}
    for folder in folders:
        for name, tensor in _read_weights(model, folder).items():
            if not tensor.is_floating_point():
                sums[name] = tensor.clone()
            elif name in sums:
                sums[name] += tensor
            else:
                sums[name] = tensor.to(torch.float64, copy=True)
    for tensor in sums.values():
        if tensor.is_floating_point():
            tensor /= len(folders)
    _write_weights(model, sums)


def load_checkpoint(model: nn.Module, folder: Path) -> None:
    """Give a model the weights of one of its checkpoints; of a PEFT model those of the adapter.

    Args:
        model: The model, unwrapped.
        folder: The checkpoint.

    Raises:
        UserError: If it cannot be read or does not hold all weights of this model.
    """
    _write_weights(model, _read_weights(model, folder))


def is_peft(model: Any) -> bool:
    """Tell whether a model is one with adapters, without needing the package peft."""
    if not is_peft_available():
        return False
    from peft import PeftModel

    return isinstance(model, PeftModel)


def _read_weights(model: Any, folder: Path) -> dict[str, Tensor]:
    """Read a checkpoint into main memory, with the names that the model itself uses."""
    try:
        return _read_files(model, folder)
    except (OSError, SafetensorError) as error:
        what = str(error).strip().split("\n")[0]
        raise UserError(f"the checkpoint cannot be read ({what})", where=str(folder)) from error


def _read_files(model: Any, folder: Path) -> dict[str, Tensor]:
    if is_peft(model):
        (adapter,) = model.peft_config
        return load_file((folder if adapter == "default" else folder / adapter) / ADAPTER_SAFE_WEIGHTS_NAME)
    if (folder / ADAPTER_SAFE_WEIGHTS_NAME).is_file():
        raise UserError(
            "the checkpoint holds an adapter of LoRA alone", where=str(folder), fix="load it with the flags of its run"
        )
    if not isinstance(model, PreTrainedModel):
        return load_file(folder / SAFE_WEIGHTS_NAME)
    # some families store their weights under other names than they use; their own loader knows them
    family: Any = type(model)
    loaded, report = family.from_pretrained(folder, output_loading_info=True)
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise UserError(f"the checkpoint lacks weights of this model: {missing}", where=str(folder))
    return loaded.state_dict()


def _write_weights(model: Any, weights: dict[str, Tensor]) -> None:
    if is_peft(model):
        from peft import set_peft_model_state_dict

        (adapter,) = model.peft_config
        set_peft_model_state_dict(model, weights, adapter_name=adapter)
    else:
        model.load_state_dict(weights)
