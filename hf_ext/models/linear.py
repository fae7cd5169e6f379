"""The linear layers of our own heads, started at the scale of their own width."""

from __future__ import annotations

from torch import nn
from transformers import initialization as init


class GlorotLinear(nn.Linear):
    """A linear layer whose weights start Glorot-uniform, its bias at zero.

    ``W ~ U(-b, b)`` with ``b = sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio, 2010, AISTATS, equation 16). The 0.02
    of the encoders suits wide layers between norms; a few narrow ones without a norm would pass on next to nothing,
    and table columns would go unheard.

    When: between table columns, text vector and logits. A class of its own because loading initialises by class.
    """

    def reset_parameters(self) -> None:
        """Start the layer anew."""
        init.xavier_uniform_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


def init_weights(module: nn.Module) -> bool:
    """Start a ``GlorotLinear``; tensors that came from a checkpoint are left alone.

    Returns:
        Whether the module was one of ours.
    """
    if not isinstance(module, GlorotLinear):
        return False
    module.reset_parameters()
    return True
