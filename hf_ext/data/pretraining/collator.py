"""Rows of tokens as masked tensors."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_ext.data.pretraining.draws import row_keys
from hf_ext.data.pretraining.isolation import mask_documents, number_documents, number_positions
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
    ``next_sentence_label``. Lists and arrays will do; arrays (``Dataset.with_format("numpy")``) are faster.

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

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Make one batch."""
        if "row" not in rows[0]:
            raise ValueError("the rows have no column 'row'; Trainer removes it unless remove_unused_columns is False.")
        lengths = np.array([len(row["input_ids"]) for row in rows])  # (B,)
        size = self._padded_length(int(lengths.max()))
        tokens = _pad([row["input_ids"] for row in rows], lengths, size, fill=self._pad_token_id)
        keys = row_keys(self.seed, self.epoch, [int(row["row"]) for row in rows])
        chosen = self._choose(rows, tokens, lengths, keys)
        hidden = replace_tokens(
            tokens,
            np.flatnonzero(chosen),
            keys,
            mask_token_id=self._mask_token_id,
            vocabulary=self._vocabulary,
        )
        place = _Placing(lengths, size, left=self.tokenizer.padding_side == "left")
        batch = {"input_ids": place(hidden), **self._see(rows, lengths, place)}
        if "token_type_ids" in rows[0]:
            segments = [row["token_type_ids"] for row in rows]
            batch["token_type_ids"] = place(_pad(segments, lengths, size, fill=self.tokenizer.pad_token_type_id))
        batch["labels"] = place(np.where(chosen, tokens, IGNORED))
        if self.gives_positions:
            batch["masked_positions"] = np.flatnonzero(batch["labels"] != IGNORED)  # (N,)
        if "next_sentence_label" in rows[0]:
            batch["next_sentence_label"] = np.array([int(row["next_sentence_label"]) for row in rows])  # (B,)
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def _padded_length(self, longest: int) -> int:
        longest = max(longest, self.max_length or 0)
        return -(-longest // (self.pad_to_multiple_of or 1)) * (self.pad_to_multiple_of or 1)

    def _choose(
        self,
        rows: Sequence[Mapping[str, Any]],
        tokens: NDArray[np.int64],
        lengths: NDArray[np.int64],
        keys: NDArray[np.uint64],
    ) -> NDArray[np.bool_]:
        maskable = ~self._special[tokens] & (np.arange(tokens.shape[1]) < lengths[:, None])
        word_starts = maskable
        if self.masking != "token":
            word_starts = _pad([row["word_starts"] for row in rows], lengths, tokens.shape[1], fill=True)
        return choose_tokens(
            maskable,
            word_starts,
            keys,
            masking=self.masking,
            probability=self.probability,
            max_span_length=self.max_span_length,
            span_probability=self.span_probability,
        )

    def _see(
        self, rows: Sequence[Mapping[str, Any]], lengths: NDArray[np.int64], place: _Placing
    ) -> dict[str, NDArray[Any]]:
        """Say what each token sees, and where it stands if that is not where it stands in the row."""
        if not self.isolate_documents:
            return {"attention_mask": place(np.arange(place.size) < lengths[:, None]).astype(np.int64)}
        sizes = [row["document_lengths"] for row in rows]
        for row, documents in zip(rows, sizes, strict=True):
            if sum(documents) != len(row["input_ids"]):
                raise ValueError(
                    f"row {row['row']}: its documents have {sum(documents)} tokens together, but the row has "
                    f"{len(row['input_ids'])}."
                )
        documents = place(number_documents(sizes, place.size))
        return {
            "attention_mask": mask_documents(documents),
            "position_ids": number_positions(documents, offset=self.position_offset),
        }


class _Placing:
    """Move rows that are padded on the right to the side where the tokenizer has them."""

    def __init__(self, lengths: NDArray[np.int64], size: int, *, left: bool) -> None:
        self.size = size
        self.columns = (np.arange(size) + lengths[:, None]) % size if left else None  # (B, T)

    def __call__(self, padded: NDArray[Any]) -> NDArray[Any]:
        return padded if self.columns is None else np.take_along_axis(padded, self.columns, axis=1)


def _pad(sequences: Sequence[Any], lengths: NDArray[np.int64], size: int, *, fill: int | bool) -> NDArray[Any]:
    """Stack sequences of these lengths as ``(B, T)``, padded on the right; true and false where the filling is."""
    kind: DTypeLike = np.bool_ if isinstance(fill, bool) else np.int64
    flat = _flatten(sequences, kind)
    if len(flat) == len(lengths) * size:
        return flat.reshape(len(lengths), size)
    padded = np.full((len(lengths), size), fill, dtype=kind)
    padded[np.arange(size) < lengths[:, None]] = flat
    return padded


def _flatten(sequences: Sequence[Any], kind: DTypeLike) -> NDArray[Any]:
    if not isinstance(sequences[0], list):
        return np.concatenate(sequences, dtype=kind, casting="unsafe")
    if kind is np.bool_:
        return np.frombuffer(b"".join(map(bytes, sequences)), dtype=np.bool_)
    return np.frombuffer(array("q", chain.from_iterable(sequences)), dtype=np.int64)
