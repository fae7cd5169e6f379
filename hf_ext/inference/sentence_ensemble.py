"""Several taggers of the same tags that answer as one, such as the models of folds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hf_ext.data.tagging.collator import TaggingCollator
from hf_ext.data.tagging.merging import MergedTags
from hf_ext.data.tagging.sentences import Sentence
from hf_ext.data.tagging.word_scores import merge_scores
from hf_ext.inference.sentence_tagger import SentenceTagger
from hf_ext.models.crf import LinearChainCRF
from hf_ext.models.softmax_decoder import SoftmaxDecoder

CHUNK = 256  # sentences that are decoded at once


class TagScores(NamedTuple):
    """What one tagger says of some sentences, before it decides.

    Args:
        emissions: Scores of the K tags at the words of each sentence, ``(W, K)``.
        decoder: Its CRF, or a ``SoftmaxDecoder``.
        sentence_logits: Scores of the sentence labels, ``(N, S)``; None for models without.
    """

    emissions: list[np.ndarray]
    decoder: LinearChainCRF | SoftmaxDecoder
    sentence_logits: np.ndarray | None


@dataclass(frozen=True)
class SentenceEnsemble(SentenceTagger):
    """Tag sentences by the mean of the members' scores.

    The mean of emissions and of transitions is again a CRF, whose distribution is the normalised geometric mean of
    the members': the logarithmic opinion pool (Smith, Cohn and Osborne, 2005, with equal weights). So the sequence is
    found by one Viterbi pass, is as legal as those of the members, and probabilities are exact. Without a CRF the same
    holds word by word.

    Args:
        members: The taggers; engine, tokenizer and schema are those of the first.
    """

    members: tuple[SentenceTagger, ...] = ()

    @classmethod
    def of(cls, members: Sequence[SentenceTagger]) -> SentenceEnsemble:
        """Put taggers together.

        Raises:
            ValueError: If their tags differ.
        """
        first = members[0]
        known = [(m.schema.tags, m.schema.scheme, m.schema.sentence_labels) for m in members]
        if any(tags != known[0] for tags in known):
            raise ValueError("the members of an ensemble must have the same tags in the same order.")
        return cls(first.engine, first.tokenizer, first.schema, members=tuple(members))

    def tag(self, sentences: Sequence[Sentence]) -> MergedTags:
        """Tag sentences by the mean of the members' scores."""
        return decode_mean([score_tags(member, sentences) for member in self.members])


def score_tags(tagger: SentenceTagger, sentences: Sequence[Sentence]) -> TagScores:
    """Let a tagger say what it thinks of all tags; needs a sentence.

    Args:
        tagger: One of the members.
        sentences: The sentences.
    """
    windows = tagger.windows(sentences)
    outputs = tagger.engine.run(list(windows), TaggingCollator(tagger.tokenizer), choose_scores)
    left = tagger.tokenizer.padding_side == "left"
    scores = [(row[0], row[1]) for row in outputs]
    emissions = merge_scores([len(sentence.words) for sentence in sentences], windows, scores, left=left)
    logits = None
    if tagger.schema.sentence_labels:
        logits = np.zeros((len(sentences), len(tagger.schema.sentence_labels)))
        for row, sentence, first in zip(outputs, windows["sentence"][:], windows["first_word"][:], strict=True):
            if first == 0:
                logits[sentence] = row[2]
    decoder = getattr(tagger.engine.model, "crf", None) or SoftmaxDecoder()
    return TagScores(emissions, copy.deepcopy(decoder).cpu(), logits)


def choose_scores(output: Any) -> list[Tensor]:
    """Take from an output where words are, the scores of the tags, and those of the sentence labels if there are."""
    tags = output["tags"] if "tags" in output else output.logits.argmax(-1)
    sentence = output.get("sentence_logits")
    return [tags, output.logits, *([] if sentence is None else [sentence])]


def decode_mean(members: Sequence[TagScores]) -> MergedTags:
    """Decode the mean of what several taggers say of the same sentences.

    Args:
        members: One entry a tagger.
    """
    decoder = mean_decoder([member.decoder for member in members])
    means = [np.mean(scores, axis=0) for scores in zip(*(member.emissions for member in members), strict=True)]
    merged = MergedTags([], [], [])
    for start in range(0, len(means), CHUNK):
        _decode(decoder, means[start : start + CHUNK], merged)
    logits = [member.sentence_logits for member in members if member.sentence_logits is not None]
    merged.sentence_logits = np.mean(logits, axis=0).astype(np.float32) if logits else None
    return merged


def mean_decoder(decoders: Sequence[LinearChainCRF | SoftmaxDecoder]) -> LinearChainCRF | SoftmaxDecoder:
    """Give a decoder whose transitions are the mean of those of several, in float64.

    Raises:
        ValueError: If some are CRFs and others are not.
    """
    if len({type(decoder) for decoder in decoders}) > 1:
        raise ValueError("the members of an ensemble must all have a CRF, or none of them.")
    mean = copy.deepcopy(decoders[0]).double()
    states = [decoder.state_dict() for decoder in decoders]
    mean.load_state_dict({name: torch.stack([s[name].double() for s in states]).mean(0) for name in states[0]})
    return mean


def _decode(decoder: LinearChainCRF | SoftmaxDecoder, scores: Sequence[np.ndarray], merged: MergedTags) -> None:
    """Decode sentences of ``(W, K)`` and append what is found."""
    lengths = [len(words) for words in scores]
    emissions = torch.zeros(len(scores), max(1, *lengths), scores[0].shape[-1], dtype=torch.float64)  # (B, W, K)
    for row, words in enumerate(scores):
        emissions[row, : len(words)] = torch.from_numpy(words)
    mask = torch.arange(emissions.shape[1]) < torch.tensor(lengths)[:, None]  # (B, W)
    with torch.no_grad():
        tags, _ = decoder.viterbi_decode(emissions, mask)
        each, given = decoder.chain_probabilities(emissions, tags, mask)
    for rows, values in ((merged.tags, tags), (merged.tag_probabilities, each), (merged.chain_probabilities, given)):
        rows += [row[:length] for row, length in zip(values.tolist(), lengths, strict=True)]  # type: ignore[operator]
