"""What stands in the place of a token that is to be predicted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hf_ext.data.pretraining.draws import draw, scale

SHARES, MASK_SHARE, RANDOM_SHARE = 10, 8, 1  # of ten chosen tokens; the tenth stays as it is
REPLACEMENT = 3  # what a draw is for; ``masking`` has the numbers before this one
LOWER_HALF = np.uint64(32)


def replace_tokens(
    input_ids: NDArray[np.int64],
    chosen: NDArray[np.int64],
    keys: NDArray[np.uint64],
    *,
    mask_token_id: int,
    vocabulary: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Hide the chosen tokens: 80 % behind the mask token, 10 % behind any other token, 10 % not at all.

    Each token for itself, whatever becomes of the rest of its word (Devlin et al., 2019, arXiv:1810.04805, section 3.1;
    SpanBERT does the same to all tokens of a span, which we do not).

    Args:
        input_ids: The tokens, shape ``(B, T)``; not changed.
        chosen: The tokens to predict, as places in the flat batch, ``row * T + column``, shape ``(N,)``.
        keys: The random key of each row, shape ``(B,)``.
        mask_token_id: The mask token.
        vocabulary: The ids that a random token is drawn from, each equally probable.

    Returns:
        The tokens that the model sees, shape ``(B, T)``.
    """
    rows, columns = np.divmod(chosen, input_ids.shape[1])
    drawn = draw(keys[rows], columns, purpose=REPLACEMENT)  # (N,): the upper half decides what, the lower which token
    shares = scale(drawn, SHARES)
    replaced = input_ids.copy()
    flat = replaced.reshape(-1)  # a view
    flat[chosen[shares < MASK_SHARE]] = mask_token_id
    random = (shares >= MASK_SHARE) & (shares < MASK_SHARE + RANDOM_SHARE)
    flat[chosen[random]] = vocabulary[scale(drawn[random] << LOWER_HALF, len(vocabulary))]
    return replaced
