"""Rows of tokens as masked tensors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_ext.data.batch_columns import Batch, BatchColumns, read_columns
from hf_ext.data.batch_layout import BatchLayout, padded_size
from hf_ext.data.pretraining.draws import row_keys
from hf_ext.data.pretraining.isolation import mask_documents, number_documents, number_positions, sum_documents
from hf_ext.data.pretraining.masking import MASKINGS, choose_tokens
from hf_ext.data.pretraining.replacement import replace_tokens

IGNORED = -100


class MaskingCollator:
    """Pad each batch to its own longest row and hide some of its tokens, which the model is to predict.

    What is hidden depends on the seed, the epoch, the number of the row and its own tokens: not on the other rows of
    the batch, nor on padding, processes or workers. So a run that was killed and resumed sees what it would have seen,
    and an evaluation, whose rows have numbers below zero, the same every time. Never hidden are padding and the
    tokenizer's special tokens, the unknown token among them. Instances can be pickled for the workers of a data
    loader, which learn of a new epoch through shared memory.

    The rows need ``row``, their number, and ``input_ids`` with the special tokens in place; ``word_starts`` but for
    masking by token; ``document_lengths`` where documents are isolated; and may have ``token_type_ids`` and
    ``next_sentence_label``. They may come as dictionaries, with lists, arrays or tensors, or as one Arrow table with a
    line for each row: that costs the least, and an ``ExtTrainer`` hands them over in this way.

    Args:
        tokenizer: The tokenizer that made the rows.
        masking: ``token``, ``whole_word`` or ``span``.
        probability: Which part of the tokens of each row is to be predicted.
        seed: Decides what is drawn.
        max_span_length: The longest span, in words.
        span_probability: The parameter of the geometric distribution of the number of words of a span.
        isolate_documents: Let the documents of a row not see one another, each with positions of its own; for models
            that ``isolates_documents`` approves of.
        position_offset: The position of a first token: 0, or ``padding_idx + 1`` in RoBERTa and its kin.
        pad_to_multiple_of: Round the length up to a multiple of this many tokens, e.g. 8 for tensor cores.
        max_length: Pad every batch to this many tokens instead of its own longest row.
        gives_positions: Give ``masked_positions``, which only a model that ``project_masked_only`` has changed takes.

    Returns:
        ``input_ids``, ``labels`` (-100 but at the tokens to predict) and, where the rows have them,
        ``token_type_ids``, each int64 ``(B, T)``; ``attention_mask``, int64 ``(B, T)``, or, where documents are
        isolated, bool ``(B, 1, T, T)`` beside ``position_ids`` int64 ``(B, T)``; ``masked_positions``, the tokens to
        predict as ``row * T + column``, int64 ``(N,)``; ``next_sentence_label`` int64 ``(B,)`` where the rows have it.

    Raises:
        ValueError: If the tokenizer has no mask token, the masking is unknown, a number makes no sense, or a column is
            missing.
    """

    takes_tables: ClassVar[bool] = True

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        masking: str = "token",
        probability: float = 0.15,
        seed: int = 42,
        max_span_length: int = 10,
        span_probability: float = 0.2,
        isolate_documents: bool = False,
        position_offset: int = 0,
        pad_to_multiple_of: int | None = None,
        max_length: int | None = None,
        gives_positions: bool = True,
    ) -> None:
        if tokenizer.mask_token_id is None:
            raise ValueError("the tokenizer has no mask token, so nothing can be masked.")
        if masking not in MASKINGS:
            raise ValueError(f"masking must be one of {', '.join(MASKINGS)}; got {masking!r}.")
        for name, value in {"probability": probability, "span_probability": span_probability}.items():
            if not 0 < value < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {value}.")
        if max_span_length < 1:
            raise ValueError(f"max_span_length must be at least 1 word, got {max_span_length}.")
        self.tokenizer = tokenizer
        self.masking, self.probability, self.seed = masking, probability, seed
        self.max_span_length, self.span_probability = max_span_length, span_probability
        self.isolate_documents, self.position_offset = isolate_documents, position_offset
        self.pad_to_multiple_of, self.max_length = pad_to_multiple_of, max_length
        self.gives_positions = gives_positions
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()
        # looked up once: a tokenizer takes longer to say its mask token than we to mask ten rows
        self._mask_token_id: int = tokenizer.mask_token_id
        self._pad_token_id: int = tokenizer.pad_token_id or 0
        ids = np.array(sorted(tokenizer.get_vocab().values()), dtype=np.int64)
        self._special = np.zeros(ids[-1] + 1, dtype=bool)
        self._special[tokenizer.all_special_ids] = True
        self._vocabulary = ids[~self._special[ids]]

    @property
    def epoch(self) -> int:
        """The epoch whose masks are made."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Mask as in this epoch from now on, in running workers too."""
        self._epoch.fill_(epoch)

    def __call__(self, rows: Batch) -> dict[str, Tensor]:
        """Make one batch."""
        columns = read_columns(rows)
        if "row" not in columns:
            raise ValueError("the rows have no column 'row'; Trainer removes it unless remove_unused_columns is False.")
        ids, lengths = columns.lists("input_ids")
        size = padded_size(int(lengths.max()), max_length=self.max_length, pad_to_multiple_of=self.pad_to_multiple_of)
        layout = BatchLayout(lengths, size, left=self.tokenizer.padding_side == "left")
        tokens = layout.pad(ids, self._pad_token_id)
        keys = row_keys(self.seed, self.epoch, columns.stack("row"))
        chosen = self._choose(columns, tokens, layout, keys)
        hidden = replace_tokens(
            tokens, np.flatnonzero(chosen), keys, mask_token_id=self._mask_token_id, vocabulary=self._vocabulary
        )
        batch = {"input_ids": layout.place(hidden), **self._see(columns, lengths, layout)}
        if "token_type_ids" in columns:
            segments = layout.pad(columns.lists("token_type_ids").values, self.tokenizer.pad_token_type_id)
            batch["token_type_ids"] = layout.place(segments)
        batch["labels"] = layout.place(np.where(chosen, tokens, IGNORED))
        if self.gives_positions:
            batch["masked_positions"] = np.flatnonzero(layout.place(chosen))  # (N,)
        if "next_sentence_label" in columns:
            batch["next_sentence_label"] = columns.stack("next_sentence_label").astype(np.int64)  # (B,)
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def _choose(
        self, columns: BatchColumns, tokens: NDArray[np.int64], layout: BatchLayout, keys: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        maskable = layout.real & ~self._special[tokens]
        word_starts = maskable
        if self.masking != "token":
            word_starts = layout.pad(columns.lists("word_starts").values, True)
        return choose_tokens(
            maskable,
            word_starts,
            keys,
            masking=self.masking,
            probability=self.probability,
            max_span_length=self.max_span_length,
            span_probability=self.span_probability,
        )

    def _see(self, columns: BatchColumns, lengths: NDArray[np.int64], layout: BatchLayout) -> dict[str, NDArray[Any]]:
        """Say what each token sees, and its position if that is not its place in the row."""
        if not self.isolate_documents:
            return {"attention_mask": layout.place(layout.real).astype(np.int64)}
        sizes, counts = columns.lists("document_lengths")
        totals = sum_documents(sizes, counts)
        for row in np.flatnonzero(totals != lengths)[:1]:
            raise ValueError(
                f"row {columns.stack('row')[row]}: its documents have {totals[row]} tokens together, but the row has "
                f"{lengths[row]}."
            )
        numbers = layout.place(number_documents(sizes, counts, layout.size))
        return {
            "attention_mask": mask_documents(numbers),
            "position_ids": number_positions(numbers, offset=self.position_offset),
        }
