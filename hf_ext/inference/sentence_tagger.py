"""Texts, or sentences of words, to entities with their places and probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import datasets
import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_ext.data.features import limit_length
from hf_ext.data.rows import to_cell
from hf_ext.data.tagging.collator import TaggingCollator
from hf_ext.data.tagging.features import TaggingEncoder
from hf_ext.data.tagging.merging import MergedTags, merge_windows
from hf_ext.data.tagging.sentences import Sentence, Span
from hf_ext.data.tagging.tables import WORD_COLUMNS
from hf_ext.data.tagging.text_words import choose_level, cut_text
from hf_ext.evaluation.decisions import softmax
from hf_ext.evaluation.tag_reports import entity_confidence
from hf_ext.evaluation.words_as_text import join_words, place_words
from hf_ext.inference.engine import Engine
from hf_ext.models.positions import count_positions
from hf_ext.models.tag_schemes import entities
from hf_ext.models.tagging_schema import TaggingSchema

WINDOW_COLUMNS = ("sentence", "words", "tags", "label")


@dataclass(frozen=True)
class SentenceTagger:
    """Tag sentences as ``run_ner.py --do_predict`` does, windows and all.

    Args:
        engine: The model.
        tokenizer: Its tokenizer, a fast one.
        schema: Tags, their scheme, what a word is, sentence labels.
    """

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    schema: TaggingSchema

    def __post_init__(self) -> None:
        model: Any = self.engine.model
        if hasattr(model, "wants_probabilities"):
            model.wants_probabilities = True

    @property
    def level(self) -> str | None:
        """What a word of a text is; None where the model was saved elsewhere and says nothing of texts."""
        return self.schema.level if self.schema.tokens_column is not None else None

    def read(self, item: Any, where: str) -> Sentence:
        """Take one input: a text, a sequence of words, or a mapping that holds one of them.

        Args:
            item: The input; of a mapping the column that the model was trained on is read, or one that is usually
                called so (``tokens``, ``text``, ...).
            where: Its place, for messages.

        Raises:
            ValueError: If it is nothing of these.
        """
        if isinstance(item, Mapping):
            wanted = (self.schema.tokens_column, *WORD_COLUMNS)
            name = next((name for name in wanted if name in item), None)
            if name is None:
                raise ValueError(f"{where}: no column of words or text among {', '.join(map(str, item))}.")
            item = to_cell(item[name], name, where)
        if isinstance(item, str):
            spans = cut_text(item, self.level or choose_level([item]))
            return Sentence([item[start:end] for start, end in spans], None, (1,), text=item, spans=spans)
        if isinstance(item, Sequence) and all(isinstance(word, str) for word in item):
            return Sentence(list(item), None, (1,))
        raise ValueError(f"{where}: expected a text or a list of words, got {type(item).__name__}.")

    def answer(self, sentences: Sequence[Sentence]) -> list[dict[str, Any]]:
        """Tag sentences.

        Returns:
            For each ``text``, ``entities`` (``type``, ``start`` and ``end`` in characters of ``text``, half-open,
            ``text``, ``confidence``: the probability of the entity as a whole), ``words`` and ``tags``; of a joint
            model ``sentence_label`` and ``sentence_probability``, None where there is no word. The text of a sentence
            of words is these with blanks between them, none beside Chinese characters.
        """
        if not sentences:
            return []
        merged = self.tag(sentences)
        return [self.describe(sentence, merged, i) for i, sentence in enumerate(sentences)]

    def tag(self, sentences: Sequence[Sentence]) -> MergedTags:
        """Give the tags of the words of sentences, with their probabilities; needs a sentence."""
        windows = self.windows(sentences)
        outputs = self.engine.run(list(windows), TaggingCollator(self.tokenizer), choose_outputs)
        return self.merge(sentences, windows, outputs)

    def windows(self, sentences: Sequence[Sentence]) -> datasets.Dataset:
        """Cut sentences into windows of features, as ``TaggingEncoder`` makes them."""
        rows: list[list[Any]] = [[i, sentence.words, None, None] for i, sentence in enumerate(sentences)]
        columns = dict(zip(WINDOW_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
        return datasets.Dataset.from_dict(self._encoder(columns), features=self._encoder.features({}))

    def merge(
        self, sentences: Sequence[Sentence], windows: datasets.Dataset, outputs: Sequence[tuple[np.ndarray, ...]]
    ) -> MergedTags:
        """Put together what the model gave for each window, see ``merge_windows``."""
        predictions = [tuple(part[np.newaxis] for part in output) for output in outputs]
        return merge_windows(
            [len(sentence.words) for sentence in sentences],
            windows,
            predictions,
            joint=bool(self.schema.sentence_labels),
            left=self.tokenizer.padding_side == "left",
        )

    def describe(self, sentence: Sentence, merged: MergedTags, number: int) -> dict[str, Any]:
        """Say what was found in one of the sentences, see ``answer``."""
        tags = [self.schema.tags[i] for i in merged.tags[number]]
        text, spans = self.place(sentence)
        each, given = (part[number] if part else [] for part in (merged.tag_probabilities, merged.chain_probabilities))
        found = []
        for entity in entities(tags, self.schema.scheme):
            start, end = spans[entity.start][0], spans[entity.end - 1][1]
            confidence = entity_confidence(entity, each, given)
            found.append(
                {"type": entity.type, "start": start, "end": end, "text": text[start:end], "confidence": confidence}
            )
        answer = {"text": text, "entities": found, "words": list(sentence.words), "tags": tags}
        return answer | self._sentence_label(sentence, merged.sentence_logits, number)

    def place(self, sentence: Sentence) -> tuple[str, list[Span]]:
        """Give the text of a sentence, and where its words stand in it."""
        if sentence.text is not None and sentence.spans is not None:
            return sentence.text, sentence.spans
        text = join_words(sentence.words, self.schema.level)
        return text, place_words(sentence.words, text)

    def _sentence_label(self, sentence: Sentence, logits: np.ndarray | None, number: int) -> dict[str, Any]:
        if not self.schema.sentence_labels:
            return {}
        if logits is None or not sentence.words:
            return {"sentence_label": None, "sentence_probability": None}
        chances = softmax(logits[number])
        best = int(chances.argmax())
        return {"sentence_label": self.schema.sentence_labels[best], "sentence_probability": float(chances[best])}

    @cached_property
    def max_length(self) -> int:
        """The longest window in tokens."""
        return limit_length(self.schema.max_length, self.tokenizer, count_positions(self.engine.model))[0]

    @cached_property
    def _encoder(self) -> TaggingEncoder:
        overlap = self.max_length // 4
        return TaggingEncoder(self.tokenizer, self.schema, self.max_length, overlap=overlap, labelled=False)


def choose_outputs(output: Any) -> list[Tensor]:
    """Take what ``merge_windows`` reads: tags with their probabilities, of a stock head its logits."""
    if "tags" not in output:
        return [output.logits]
    wanted = (output.tags, output.tag_probabilities, output.chain_probabilities, output.sentence_logits)
    return [part for part in wanted if part is not None]
