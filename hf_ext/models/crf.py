"""A linear-chain CRF with torchcrf's parameters and calls: any mask, no wait for a device, gradients in closed form."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torchcrf import CRF

from .crf_decoding import find_best_paths, find_n_best_paths
from .crf_likelihood import find_log_likelihood
from .crf_marginals import find_chain_probabilities, find_marginals
from .crf_posterior import Scores
from .crf_words import Words, find_words
from .tag_schemes import LegalTransitions

CONSTRAINTS = ("decode", "train", "none")
REDUCTIONS = ("none", "sum", "mean", "token_mean")
ILLEGAL = -1e4  # nats, added to the score of a step that the scheme forbids


class LinearChainCRF(CRF):
    """Score tag sequences by emissions and transitions: ``score(y) = sum_t e_t[y_t] + sum_t A[y_{t-1}, y_t] + ends``.

    A ``torchcrf.CRF`` (Lafferty, McCallum and Pereira, 2001, "Conditional random fields") with the same parameters and
    state dict and the same meaning of ``forward`` and ``decode``. What is different:

    - Masks may have any pattern and dtype, also off at the first word, holes, or rows without a word: the CRF runs over
      the words that are on, as if nothing else were there (torchcrf refuses some and miscounts others). Tags of -100,
      or any below 0, take their words out as well. What stands at masked positions, NaN or -100, never matters.
    - Likelihoods and marginals are computed in float64, under autocast too, and rounded to the dtype of emissions and
      parameters, at least float32. Neither the order of the batch nor further padding changes a row's results.
    - CUDA is never waited for, except by ``decode``, which gives lists. Likelihoods and marginals there take scores
      more than 120 below the greatest of their kind as 120 below it. Elsewhere, rows in which so great a gap makes
      messages underflow are found and computed again in log space.
    - ``torch.compile`` leaves it out: its loops over the words would be unrolled anew for every length.
    - Steps that break a tag scheme can be made illegal: their scores are lowered by 10,000. A row in which every
      sequence breaks the scheme still gets an answer, one with as few illegal steps as can be.
    - ``viterbi_decode``, ``marginals``, ``n_best`` and ``chain_probabilities`` give tensors that have the batch first,
      whatever ``batch_first`` says about what comes in.

    When: tags depend on their neighbours, as in named entities and slots; for independent tags softmax is cheaper.

    Args:
        num_tags: Number of tags, K.
        batch_first: Whether what comes in has shape ``(B, T, ...)`` instead of ``(T, B, ...)``.
        legal: Which steps the scheme allows; all of them if missing. Not part of the state dict.
        constrain: Where illegal steps are lowered: ``decode`` in everything but the likelihood, ``train`` in the
            likelihood as well, ``none`` nowhere.

    Raises:
        ValueError: If ``num_tags`` is not positive, ``legal`` is not of its size, or ``constrain`` is unknown.
    """

    def __init__(
        self,
        num_tags: int,
        batch_first: bool = False,
        *,
        legal: LegalTransitions | None = None,
        constrain: str = "decode",
    ) -> None:
        super().__init__(num_tags, batch_first)
        if constrain not in CONSTRAINTS:
            raise ValueError(f"unknown constrain {constrain!r}; choose one of {', '.join(CONSTRAINTS)}.")
        if legal is not None:
            _check_size(legal, num_tags)
        self.legal = legal
        self.constrain = constrain
        # Plain tensors, made when first needed: a buffer would be in the state dict, or garbled by meta loading.
        self._penalties: dict[tuple[torch.device, torch.dtype], tuple[Tensor, ...]] = {}

    @torch.compiler.disable
    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None, reduction: str = "sum") -> Tensor:
        """Give the log-likelihood of tags; its negative is the loss.

        Args:
            emissions: Scores of the tags, shape ``(B, T, K)``.
            tags: Tag ids, shape ``(B, T)``; words with a negative one are left out.
            mask: Which positions are words, shape ``(B, T)``; all if missing.
            reduction: ``sum`` over rows, ``mean`` over rows, ``token_mean`` (the sum over the number of words that
                count) or ``none``. For the scale of Trainer, divide the ``sum`` by its ``num_items_in_batch``.

        Returns:
            A scalar, or shape ``(B,)`` for ``none``; 0 for a row without words.

        Raises:
            ValueError: If shapes do not fit, the reduction is unknown, or, on a CPU, a tag is not below K.
        """
        self._validate(emissions, tags, mask)
        if reduction not in REDUCTIONS:
            raise ValueError(f"unknown reduction {reduction!r}; choose one of {', '.join(REDUCTIONS)}.")
        with _full_precision(emissions):
            scores = self._score(emissions, constrained=self.constrain == "train")
            tags = self._batch_first(tags).long()
            words = self._labelled_words(mask, tags)
            likelihood = find_log_likelihood(scores, tags, words)
            if reduction == "none":
                return likelihood
            if reduction == "mean":
                return likelihood.mean()
            total = likelihood.sum()
            return total / words.kept.sum().clamp_min(1) if reduction == "token_mean" else total

    @torch.compiler.disable
    def decode(self, emissions: Tensor, mask: Tensor | None = None) -> list[list[int]]:
        """Give the best tags of each row as a list, one for each word. See ``viterbi_decode`` for tensors."""
        self._validate(emissions, mask=mask)
        with _full_precision(emissions):
            scores = self._score(emissions)
            words = find_words(self._read_mask(mask, scores.emissions))
            tags = find_best_paths(scores, words)[0].gather(1, words.order).tolist()
            return [row[: last + 1] for row, last in zip(tags, words.last.tolist(), strict=True)]

    @torch.compiler.disable
    @torch.no_grad()
    def viterbi_decode(self, emissions: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Find the best tag sequence of each row.

        Args:
            emissions: As in ``forward``.
            mask: As in ``forward``.

        Returns:
            Tags, shape ``(B, T)``, -100 where there is no word, and their scores, shape ``(B,)``.
        """
        self._validate(emissions, mask=mask)
        with _full_precision(emissions):
            scores = self._score(emissions)
            return find_best_paths(scores, find_words(self._read_mask(mask, scores.emissions)))

    @torch.compiler.disable
    @torch.no_grad()
    def n_best(self, emissions: Tensor, n: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Find the n best tag sequences of each row.

        Args:
            emissions: As in ``forward``.
            n: How many, at least 1.
            mask: As in ``forward``.

        Returns:
            Tags, shape ``(B, n, T)``, best first, -100 where there is no word, and scores, shape ``(B, n)``. A row
            with fewer sequences than n is filled up with -100 and -inf.

        Raises:
            ValueError: If n is less than 1 or shapes do not fit.
        """
        self._validate(emissions, mask=mask)
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}.")
        with _full_precision(emissions):
            scores = self._score(emissions)
            return find_n_best_paths(scores, find_words(self._read_mask(mask, scores.emissions)), n)

    @torch.compiler.disable
    @torch.no_grad()
    def marginals(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Give the probability of each tag at each word, over all tag sequences.

        Args:
            emissions: As in ``forward``.
            mask: As in ``forward``.

        Returns:
            Probabilities, shape ``(B, T, K)``; 0 where there is no word. Not differentiable.
        """
        self._validate(emissions, mask=mask)
        with _full_precision(emissions):
            scores = self._score(emissions)
            return find_marginals(scores, find_words(self._read_mask(mask, scores.emissions)))

    @torch.compiler.disable
    @torch.no_grad()
    def chain_probabilities(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Give the probability of each tag of a sequence, alone and after its predecessor.

        The probability that all words of a span have their tags is the first word's own probability times the
        conditional ones of the others, since the posterior of a chain is a Markov chain.

        Args:
            emissions: As in ``forward``.
            tags: As in ``forward``.
            mask: As in ``forward``.

        Returns:
            ``P(y_t)`` and ``P(y_t | y_{t-1})``, both of shape ``(B, T)``; equal at the first word, and 0 where there is
            no word. Not differentiable.
        """
        self._validate(emissions, tags, mask)
        with _full_precision(emissions):
            scores, tags = self._score(emissions), self._batch_first(tags).long()
            return find_chain_probabilities(scores, tags, self._labelled_words(mask, tags))

    def _score(self, emissions: Tensor, *, constrained: bool = True) -> Scores:
        """Bring all scores to one dtype, emissions batch first; ``constrained`` lowers illegal steps."""
        dtype = torch.promote_types(torch.promote_types(emissions.dtype, self.transitions.dtype), torch.float32)
        parameters = [self.start_transitions, self.transitions, self.end_transitions]
        parameters = [parameter.to(dtype) for parameter in parameters]
        if constrained and self.constrain != "none" and self.legal is not None:
            penalties = self._lowered(emissions.device, dtype)
            parameters = [scores + penalty for scores, penalty in zip(parameters, penalties, strict=True)]
        return Scores(self._batch_first(emissions).to(dtype), *parameters)

    def _lowered(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Give what is added to start, transitions and end, made once for each device."""
        if (device, dtype) not in self._penalties:
            with torch.inference_mode(False):  # a tensor made in inference mode could not be used in training
                illegal = (~torch.tensor(part, dtype=torch.bool, device=device) for part in self.legal or ())
                self._penalties[device, dtype] = tuple(part.to(dtype) * ILLEGAL for part in illegal)
        return self._penalties[device, dtype]

    def _read_mask(self, mask: Tensor | None, like: Tensor) -> Tensor:
        """Give the mask as bool, ``(B, T)``; all on if missing, in the shape of something batch first."""
        if mask is None:
            return torch.ones(like.shape[:2], dtype=torch.bool, device=like.device)
        return self._batch_first(mask).bool()

    def _labelled_words(self, mask: Tensor | None, tags: Tensor) -> Words:
        """Find the words that have a tag; tags are batch first."""
        kept = self._read_mask(mask, tags) & (tags >= 0)
        if tags.device.type == "cpu" and tags.numel():
            greatest = tags.masked_fill(~kept, 0).max().tolist()
            if greatest >= self.num_tags:
                raise ValueError(f"tag {greatest} came, but ids end at {self.num_tags - 1}; -100 leaves a word out.")
        return find_words(kept)

    def _batch_first(self, values: Tensor) -> Tensor:
        return values if self.batch_first else values.transpose(0, 1)

    def _validate(self, emissions: Tensor, tags: Tensor | None = None, mask: Tensor | None = None) -> None:
        """Compare shapes. Unlike the parent's, this reads no values, which would wait for a device."""
        if (
            emissions.dim() != 3
            or emissions.shape[2] != self.num_tags
            or emissions.shape[1 if self.batch_first else 0] == 0
        ):
            raise ValueError(
                f"emissions must have shape (B, T, {self.num_tags}) with T at least 1, got {tuple(emissions.shape)}."
            )
        for name, values in (("tags", tags), ("mask", mask)):
            if values is not None and values.shape != emissions.shape[:2]:
                expected = tuple(emissions.shape[:2])
                raise ValueError(f"{name} must have the shape of the emissions, {expected}, got {tuple(values.shape)}.")


def _full_precision(tensor: Tensor) -> AbstractContextManager[None]:
    """Switch autocast off."""
    return torch.autocast(tensor.device.type, enabled=False)


def _check_size(legal: LegalTransitions, num_tags: int) -> None:
    start, transitions, end = legal
    sizes = {len(start), len(transitions), len(end), *(len(row) for row in transitions)}
    if sizes != {num_tags}:
        raise ValueError(f"legal must say something about each of {num_tags} tags, got sizes {sorted(sizes)}.")
