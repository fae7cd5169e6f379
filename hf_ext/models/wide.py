"""A wide linear part beside the deep one: hashed n-grams of tokens straight into the logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import initialization as init

HASH_MULTIPLIER = 116049371  # fastText's
HASH_MODULUS = 2**31 - 1  # a prime that keeps every product of the hash inside int64

# With Adam every entry of the table moves by about the learning rate a step, and a text shares its logits between
# all its n-grams; the scale lets one learning rate serve the wide and the deep part.
SCALE = 10.0


class NgramTable(nn.Embedding):
    """A row of logits for each bucket, zero at start; row 0 stands for "no n-gram" and stays zero.

    A class of its own because loading initialises by class: transformers calls ``_init_weights`` on modules that own
    a parameter directly, and a plain ``nn.Embedding`` would start random.

    Args:
        num_buckets: Rows besides row 0.
        num_labels: Width of a row.
    """

    def __init__(self, num_buckets: int, num_labels: int) -> None:
        super().__init__(num_buckets + 1, num_labels, padding_idx=0)

    def reset_parameters(self) -> None:
        """Set every row to zero, so that an n-gram training never saw says nothing (unless it shares a bucket)."""
        init.zeros_(self.weight)


class NgramLogits(nn.Module):
    """Score a text by a linear model over its hashed token n-grams.

    ``logits = SCALE / sqrt(max(n, 1)) * sum_b W[b]`` over the ``n`` different buckets ``b`` of the text's n-grams, all
    sizes together; ``W`` is the only parameter. An n-gram counts once however often it occurs: presence beats
    frequency for sentiment (Wang and Manning, 2012, ACL P12-2018). Added to the logits of a deep part and trained with
    it, this is the wide part of wide & deep learning (Cheng et al., 2016, arXiv:1606.07792), over a bag of n-grams
    (Joulin et al., 2017, arXiv:1607.01759) in hashed buckets (Weinberger et al., 2009, arXiv:0902.2206).

    We differ: Cheng et al. pick cross products by hand and train the wide part by an optimizer of its own (FTRL),
    here every n-gram is a feature and one optimizer trains all; Joulin et al. average vectors of low rank, here a row
    is a vector of logits and the sum is divided by ``sqrt(n)``, which gives texts of any length features of L2 norm
    one; Weinberger et al. hash a sign as well, here colliding n-grams share their row as is.

    When: short texts and no pretrained encoder. A linear model over n-grams is a strong floor there, and the deep
    part need only learn what it misses. Beside a pretrained encoder it mostly costs memory.

    Args:
        sizes: Sizes of the n-grams in tokens, at least 1.
        num_buckets: Rows that all n-grams share.
        num_labels: Logits.

    Raises:
        ValueError: If there is no size, a size is below 1, or there is no bucket.
    """

    def __init__(self, *, sizes: Sequence[int], num_buckets: int, num_labels: int) -> None:
        if not sizes or min(sizes) < 1:
            raise ValueError(f"ngram_sizes must be numbers of tokens, at least 1, got {list(sizes)}.")
        if num_buckets < 1:
            raise ValueError(f"ngram_buckets must be at least 1, got {num_buckets}.")
        super().__init__()
        self.sizes = tuple(sizes)
        self.num_buckets = num_buckets
        self.table = NgramTable(num_buckets, num_labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Score a batch.

        Args:
            input_ids: Token ids, shape ``(B, T)``.
            attention_mask: 1 for a real token, 0 for padding on either side, shape ``(B, T)``.

        Returns:
            Logits, at least float32 whatever the table is stored in, shape ``(B, L)``; zeros for a text that is
            shorter than every n-gram.
        """
        buckets = torch.cat(
            [ngram_buckets(input_ids, attention_mask, size=size, num_buckets=self.num_buckets) for size in self.sizes],
            dim=1,
        )  # (B, S * T) for S sizes
        buckets = _once(buckets)
        rows = self.table(buckets)  # (B, S * T, L)
        total = rows.to(torch.promote_types(rows.dtype, torch.float32)).sum(1)  # (B, L)
        count = (buckets > 0).sum(1, keepdim=True).clamp_min(1)  # (B, 1)
        return total * (SCALE / count.to(total.dtype).sqrt())


def _once(buckets: Tensor) -> Tensor:
    """Keep the first of equal buckets in each row and put 0 for the others; the order is not kept."""
    ordered = buckets.sort(dim=1).values
    before = nn.functional.pad(ordered, (1, 0))[:, :-1]
    return torch.where(ordered == before, 0, ordered)


def ngram_buckets(input_ids: Tensor, attention_mask: Tensor, *, size: int, num_buckets: int) -> Tensor:
    """Hash the n-gram that ends at each token into a bucket.

    With ``h_0 = size`` and, over the n-gram's tokens from left to right, ``h_i = (h_{i-1} * M + x_i + 1) mod P``,
    the bucket is ``1 + h_size mod num_buckets``; ``M`` is ``HASH_MULTIPLIER`` and ``P`` is ``HASH_MODULUS``.

    Args:
        input_ids: Token ids, shape ``(B, T)``.
        attention_mask: 1 for a real token, 0 for padding, shape ``(B, T)``.
        size: Tokens in an n-gram.
        num_buckets: Buckets to share.

    Returns:
        Buckets from 1 to ``num_buckets``, and 0 where the n-gram would reach over the start of the text or into
        padding, shape ``(B, T)``.
    """
    ids = nn.functional.pad(input_ids.long(), (size - 1, 0))  # (B, T + size - 1)
    real = nn.functional.pad(attention_mask.bool(), (size - 1, 0))
    length = input_ids.shape[1]
    hashes = torch.full_like(input_ids, size, dtype=torch.long)  # (B, T)
    whole = torch.ones_like(attention_mask, dtype=torch.bool)
    for start in range(size):
        hashes = (hashes * HASH_MULTIPLIER + ids[:, start : start + length] + 1) % HASH_MODULUS
        whole = whole & real[:, start : start + length]
    return torch.where(whole, 1 + hashes % num_buckets, 0)


def init_weights(module: nn.Module) -> bool:
    """Set an n-gram table to zero, unless it came from a checkpoint.

    Returns:
        Whether the module was one of ours.
    """
    if not isinstance(module, NgramTable):
        return False
    module.reset_parameters()
    return True
