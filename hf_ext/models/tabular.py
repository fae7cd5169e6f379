"""Table columns beside the text, as one vector a row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import initialization as init

CATEGORY_EMBEDDINGS = ("one_hot", "learned")


class TabularEncoder(nn.Module):
    """Turn category ids and raw numbers into one float32 vector.

    Categories come as one-hot vectors or as learned vectors (entity embeddings; Guo and Berkhahn, 2016,
    arXiv:1604.06737). Numbers are standardised with the training split's statistics; a missing number counts as
    the mean, and a column that had missing cells in training adds a 0/1 indicator. The parts stand in this
    order: categories, numbers, indicators. An unknown category (id 0) is the zero vector; learned, it stays so
    until training shows one.

    The work is done in float32 whatever the dtype of the model: bfloat16 keeps three decimal digits.

    Args:
        category_sizes: Number of ids of each categorical column, the unknown id included, length C.
        numeric_mean: Mean of each numeric column, length N.
        numeric_std: Standard deviation of each numeric column, positive, length N.
        numeric_missing: Whether each numeric column had missing cells in training, length N.
        category_embedding: ``one_hot`` or ``learned``.
        category_embedding_size: Width of a learned vector.

    Raises:
        ValueError: If there is no column, the lengths disagree, or a value is out of its range.
    """

    numeric_mean: Tensor
    numeric_std: Tensor

    def __init__(
        self,
        *,
        category_sizes: Sequence[int] = (),
        numeric_mean: Sequence[float] = (),
        numeric_std: Sequence[float] = (),
        numeric_missing: Sequence[bool] = (),
        category_embedding: str = "one_hot",
        category_embedding_size: int = 16,
    ) -> None:
        super().__init__()
        _check_columns(category_sizes, numeric_mean, numeric_std, numeric_missing)
        if category_embedding not in CATEGORY_EMBEDDINGS:
            raise ValueError(f"category_embedding must be one_hot or learned, got {category_embedding!r}.")
        self.category_sizes = tuple(category_sizes)
        self._statistics = tuple(numeric_mean), tuple(numeric_std)
        self._indicated = tuple(column for column, flag in enumerate(numeric_missing) if flag)
        learned = category_embedding == "learned"
        self.embeddings = (
            nn.ModuleList(nn.Embedding(size, category_embedding_size) for size in category_sizes) if learned else None
        )
        widths = [category_embedding_size if learned else size - 1 for size in category_sizes]
        self.output_size = sum(widths) + len(numeric_mean) + len(self._indicated)
        self.register_buffer("numeric_mean", torch.empty(len(numeric_mean)))
        self.register_buffer("numeric_std", torch.empty(len(numeric_std)))
        self.reset_buffers()
        self.reset_unknown()

    def reset_buffers(self) -> None:
        """Fill the statistics with the numbers given at construction, unless a checkpoint has filled them.

        Loading builds a model without memory; what no checkpoint holds is garbage until this is called.
        """
        mean, std = self._statistics
        init.copy_(self.numeric_mean, torch.tensor(mean, dtype=torch.float32))
        init.copy_(self.numeric_std, torch.tensor(std, dtype=torch.float32))

    def reset_unknown(self) -> None:
        """Set the learned vector of the unknown category to zero, unless it came from a checkpoint.

        It keeps a gradient, so it is trained where the training split has such cells, and only there.
        """
        for weight in self.parameters():  # the category tables are all there is
            if not getattr(weight, "_is_hf_initialized", False):  # checked here: a slice loses the flag
                init.zeros_(weight[0])

    def forward(self, category_ids: Tensor | None = None, numeric_values: Tensor | None = None) -> Tensor:
        """Encode the table cells of a batch.

        Args:
            category_ids: Ids, 0 for unknown, shape ``(B, C)``; None if there is no categorical column.
            numeric_values: Raw numbers, NaN for missing, shape ``(B, N)``; None if there is no numeric column.

        Returns:
            Vectors of dtype float32, shape ``(B, output_size)``.
        """
        _check_input("category_ids", category_ids, len(self.category_sizes))
        _check_input("numeric_values", numeric_values, self.numeric_mean.numel())
        parts = []
        if category_ids is not None:
            parts += [self._category(column, category_ids[:, column]) for column in range(category_ids.shape[1])]
        if numeric_values is not None:
            parts += self._numbers(numeric_values)
        return torch.cat(parts, dim=-1)

    def _category(self, column: int, ids: Tensor) -> Tensor:
        if self.embeddings is not None:
            return self.embeddings[column](ids).float()  # (B, category_embedding_size)
        return nn.functional.one_hot(ids, self.category_sizes[column])[:, 1:].float()  # (B, size - 1)

    def _numbers(self, values: Tensor) -> list[Tensor]:
        values = values.float()
        missing = values.isnan()
        scaled = (values - self.numeric_mean.float()) / self.numeric_std.float()
        return [scaled.masked_fill(missing, 0.0), missing[:, list(self._indicated)].float()]


def init_weights(module: nn.Module) -> bool:
    """Initialise what is the table's own: its statistics and the unknown categories' vectors.

    Call it after the default initialisation of the children, as ``PreTrainedModel`` does.

    Returns:
        Whether the module was one of ours.
    """
    if not isinstance(module, TabularEncoder):
        return False
    module.reset_buffers()
    module.reset_unknown()
    return True


def _check_columns(sizes: Sequence[int], mean: Sequence[float], std: Sequence[float], missing: Sequence[bool]) -> None:
    if not sizes and not mean:
        raise ValueError("a table needs at least one categorical or numeric column, got none.")
    if not len(mean) == len(std) == len(missing):
        raise ValueError(
            f"numeric_mean, numeric_std and numeric_missing describe the same columns, got {len(mean)}, {len(std)} "
            f"and {len(missing)} entries."
        )
    if any(size < 1 for size in sizes):
        raise ValueError(f"category_sizes count the unknown id, so each is at least 1, got {list(sizes)}.")
    if any(not value > 0 for value in std):
        raise ValueError(f"numeric_std must be positive, got {list(std)}.")


def _check_input(name: str, values: Tensor | None, columns: int) -> None:
    if values is None:
        if columns:
            raise ValueError(f"the model was built with {columns} columns of {name}, got none.")
    elif not columns or values.shape[1:] != (columns,):
        raise ValueError(f"{name} must have shape (batch, {columns}), got {tuple(values.shape)}.")
