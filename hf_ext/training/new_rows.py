"""A first phase in which only the rows of new tokens are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.models.vocabulary_rows import vocabulary_weights


class NewRowsOnly(TrainerCallback):
    """Train only the rows of new tokens for the first steps, then everything.

    Fresh rows have large gradients at first, which would disturb what the encoder knows; trained alone they find a
    place in it (de Vries and Nissim, 2021, arXiv:2012.05628, section 3, train the lexical layer alone).

    In the first phase every other gradient is 0 before it is clipped and exchanged between processes, and every other
    weight is bit by bit what it was: weights without new rows are kept from the optimizer, and old rows, which weight
    decay would shrink, are written back. Then the optimizer forgets its moments of the rows, so that all weights begin
    the second phase alike. Nothing but the step decides where the phase ends, so a run may be resumed in it.

    When: many new tokens on little text; a hundred to a few hundred steps.

    Args:
        rows: Ids of the new tokens, as ``extend_embeddings`` gives them.
        steps: Optimizer steps of the first phase.
    """

    def __init__(self, rows: Sequence[int], steps: int) -> None:
        self.rows = sorted(rows)
        self.steps = steps
        self._hooks: list[RemovableHandle] = []
        self._before: dict[nn.Parameter, Tensor] = {}
        self._others: list[nn.Parameter] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the first phase, or go on in it.

        Raises:
            UserError: If the weights are sharded, or the rows of new tokens are frozen.
        """
        self._end()
        if not self.rows or state.global_step >= self.steps:
            return
        if args.fsdp or args.deepspeed:
            raise UserError(
                "--train_new_rows_steps does not go with FSDP or DeepSpeed, which cut the rows up", fix="leave it out"
            )
        model: Any = kwargs["model"]
        tables = [weight for weight in vocabulary_weights(model) if weight.requires_grad]
        if not tables:
            raise UserError(
                "--train_new_rows_steps: the rows of new tokens are frozen", fix="leave out --freeze_encoder"
            )
        known = {id(weight) for weight in tables}
        self._others = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in known]
        for weight in tables:
            self._before[weight] = weight.detach().clone()
            self._hooks.append(weight.register_hook(self._keep_rows))
        self._hooks += [weight.register_hook(torch.zeros_like) for weight in self._others]

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the other weights from the optimizer: even without a gradient it would decay and count them."""
        for weight in self._others:
            weight.grad = None

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the old rows back."""
        with torch.no_grad():
            for weight, before in self._before.items():
                rows = torch.tensor(self.rows, device=weight.device)
                weight.copy_(before.index_copy(0, rows, weight[rows]))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End the phase after its last step, before a checkpoint is written."""
        if self._before and state.global_step >= self.steps:
            for weight in self._before:
                kwargs["optimizer"].state.pop(weight, None)
            self._end()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the model without hooks, however short the run."""
        self._end()

    def _keep_rows(self, gradient: Tensor) -> Tensor:
        rows = torch.tensor(self.rows, device=gradient.device)
        return torch.zeros_like(gradient).index_copy(0, rows, gradient.index_select(0, rows))

    def _end(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._before, self._others = [], {}, []
