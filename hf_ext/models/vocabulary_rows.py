"""Rows of the vocabulary: which weights have them, and new ones for tokens that joined the tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

PADDED_BIAS = -1e4  # exp of it is 0 in every dtype, and float16 holds it


def vocabulary_weights(model: PreTrainedModel) -> list[nn.Parameter]:
    """List the weights that have one row a token: token table, decoder if it has its own, and the decoder's bias.

    Raises:
        ValueError: If the model has no token table.
    """
    table = getattr(model.get_input_embeddings(), "weight", None)
    if not isinstance(table, nn.Parameter):
        raise ValueError(f"{type(model).__name__} has no table of tokens.")
    decoder = model.get_output_embeddings()
    found = [table, getattr(decoder, "weight", None), getattr(decoder, "bias", None)]
    return list({id(weight): weight for weight in found if weight is not None}.values())


def extend_embeddings(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pieces: Mapping[str, Sequence[int]],
    *,
    multiple_of: int | None = None,
) -> list[int]:
    """Give tokens that joined the tokenizer their rows, in place.

    The row of a new token is the mean of the rows of the old tokens that it was written with before, in the token
    table, in the decoder and in its bias. A token without pieces gets a row drawn from a normal distribution with the
    mean and the standard deviation of the old rows, coordinate by coordinate (Hewitt, 2021, "Initializing new word
    embeddings for pretrained language models", without its covariances), and their mean bias.

    All old rows stay as they are, bit by bit. Rows that only fill up the multiple are the mean of the old ones, whose
    score is the mean of theirs and never the best; where the decoder has a bias it makes their probability 0.

    Args:
        model: A model whose vocabulary is to be that of the tokenizer; resized where it is too small, never cut.
        tokenizer: With the new tokens.
        pieces: New token to the ids of its old tokens.
        multiple_of: The number of rows is rounded up to a multiple of this.

    Returns:
        The ids of the new tokens, ascending.

    Raises:
        ValueError: If a new token is not in the tokenizer, or one of its pieces is not an old token.
    """
    before, tokens = vocabulary_weights(model)[0].shape[0], len(tokenizer)
    new = _by_id(tokenizer, pieces)
    old = torch.tensor([i for i in range(min(before, tokens)) if i not in new])
    _check_pieces(pieces, set(old.tolist()))
    new |= {i: () for i in range(before, tokens) if i not in new}
    step = multiple_of or 1
    rows = -(-max(before, tokens) // step) * step
    if rows != before:
        model.resize_token_embeddings(rows, mean_resizing=False)
        _separate_unread_bias(model)
    for weight in vocabulary_weights(model):
        _fill_rows(weight, old, new, slice(max(before, tokens), rows))
    return sorted(new)


def _by_id(tokenizer: PreTrainedTokenizerBase, pieces: Mapping[str, Sequence[int]]) -> dict[int, Sequence[int]]:
    vocabulary = tokenizer.get_vocab()
    unknown = [token for token in pieces if token not in vocabulary]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a token of the tokenizer; add it before its row.")
    return {vocabulary[token]: ids for token, ids in pieces.items()}


def _check_pieces(pieces: Mapping[str, Sequence[int]], old: set[int]) -> None:
    for token, ids in pieces.items():
        foreign = [i for i in ids if i not in old]
        if foreign:
            raise ValueError(f"the pieces of {token!r} are ids of old tokens, and {foreign[0]} is none.")


def _separate_unread_bias(model: PreTrainedModel) -> None:
    """Give the bias beside an untied decoder its own memory and the new size.

    Heads of the BERT and RoBERTa kind keep a ``bias`` beside that of their decoder, which nobody reads unless the two
    are tied. Resizing leaves it at the old size, or as the decoder's own tensor under a second name, and then the saved
    file holds only one of the two.
    """
    if model.config.tie_word_embeddings:
        return
    for read, unread in (getattr(model, "_tied_weights_keys", None) or {}).items():
        if read.endswith(".bias"):
            path, _, name = unread.rpartition(".")
            setattr(model.get_submodule(path), name, nn.Parameter(model.get_parameter(read).detach().clone()))


@torch.no_grad()
def _fill_rows(weight: Tensor, old: Tensor, new: Mapping[int, Sequence[int]], padded: slice) -> None:
    """Fill the rows of new tokens and those that belong to none.

    Args:
        weight: A table, shape ``(V, E)``, or a bias, shape ``(V,)``.
        old: Ids of the old tokens.
        new: Id of each new token to its old ones.
        padded: The rows that only fill up.
    """
    known = weight.index_select(0, old.to(weight.device)).float()
    mean = known.mean(0)
    spread = known.std(0) if weight.dim() > 1 else torch.zeros_like(mean)
    for i, ids in new.items():
        parts = torch.tensor(ids, dtype=torch.long, device=weight.device)
        weight[i] = weight[parts].float().mean(0) if len(ids) else torch.normal(mean, spread)
    weight[padded] = mean if weight.dim() > 1 else PADDED_BIAS
