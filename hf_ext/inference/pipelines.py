"""transformers' pipelines for models of hf_ext; every other model gets what transformers does.

``import hf_ext`` puts them into the place of the stock ones (see ``hf_ext.registration``), so that
``transformers.pipeline("token-classification", model=folder)`` cuts text into words as training did, sees sentences
longer than a window, and follows a CRF's best path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from torch import Tensor
from torch.nn.functional import pad
from transformers import TextClassificationPipeline, TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy

from hf_ext.data.collators import ClassificationCollator
from hf_ext.data.tagging.collator import TaggingCollator
from hf_ext.data.tagging.features import LONGEST_WORD
from hf_ext.data.tagging.merging import MergedTags
from hf_ext.data.tagging.sentences import Sentence
from hf_ext.evaluation.decision_rule import USUAL, DecisionRule
from hf_ext.evaluation.decisions import decide, probabilities
from hf_ext.inference.engine import Engine, to_numpy
from hf_ext.inference.row_classifier import RowClassifier
from hf_ext.inference.sentence_tagger import SentenceTagger, choose_outputs
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL, TaskSchema
from hf_ext.models.tagging_schema import PADDING_CHARACTER, TaggingSchema

OUTPUTS = ("tags", "tag_probabilities", "chain_probabilities")
HELD = "held"  # of labels: those that the model decides for
STAND_IN = "."  # what the model sees of a text without words


class ExtTextClassificationPipeline(TextClassificationPipeline):
    """Classify texts as they were read in training: joined, with their columns, cut to the same length.

    Inputs are texts, ``{"text": ..., "text_pair": ...}``, or mappings with the columns that the model reads.
    Probabilities and labels are those of the model's ``DecisionRule``, if its config has one: labels that hold come
    first, then the likelier ones. ``top_k="held"`` gives those that hold, which may be none. Whoever names a
    ``function_to_apply`` gets what transformers does.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        schema = TaskSchema.from_config(self.model.config)
        self._rows: RowClassifier | None = None
        if schema is not None and schema.text.columns:
            self._rows = RowClassifier(Engine(self.model, self.device), cast(Any, self.tokenizer), schema)

    def check_model_type(self, supported_models: Any) -> None:
        """Be content with models of ours, whose classes transformers does not know by name."""
        if TaskSchema.from_config(self.model.config) is None:
            super().check_model_type(supported_models)

    def preprocess(self, inputs: Any, **tokenizer_kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Turn one input into a batch of one row."""
        if self._rows is None:
            return super().preprocess(inputs, **tokenizer_kwargs)
        if isinstance(inputs, dict) and "text_pair" in inputs and inputs.keys() <= {"text", "text_pair"}:
            inputs = (inputs["text"], inputs["text_pair"])
        elif isinstance(inputs, dict) and inputs.keys() == {"text"} and len(self._rows.columns) == 1:
            inputs = inputs["text"]
        features = self._rows.encode([self._rows.read(inputs, "input")])
        return ClassificationCollator(self._rows.tokenizer)(features)

    def _sanitize_parameters(
        self, function_to_apply: Any = None, top_k: Any = "", **tokenizer_kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before, forward, after = super()._sanitize_parameters(function_to_apply, top_k, **tokenizer_kwargs)
        if top_k == HELD:
            after |= {"top_k": HELD, "_legacy": False}
        return before, forward, after

    def postprocess(  # type: ignore[override]
        self,
        model_outputs: Mapping[str, Any],
        function_to_apply: Any = None,
        top_k: Any = 1,
        _legacy: bool = True,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Turn the logits of one input into labels with their probabilities.

        Raises:
            ValueError: If the labels that hold are asked for together with a ``function_to_apply``, or of a number.
        """
        rule, kind = DecisionRule.from_config(self.model.config), self._problem_type
        if function_to_apply is not None or kind == REGRESSION or (rule == USUAL and top_k != HELD):
            if top_k == HELD:
                raise ValueError('top_k="held" is for labels, without a function_to_apply.')
            return super().postprocess(model_outputs, function_to_apply, top_k, _legacy)
        logits = model_outputs["logits"].float().numpy()  # (1, L)
        chances, decided = probabilities(logits, kind, rule.temperature)[0], decide(logits, kind, **rule.stored)[0]
        held = np.flatnonzero(decided).tolist() if kind == MULTI_LABEL else [int(decided)]
        order = sorted(range(len(chances)), key=lambda label: (label not in held, -chances[label]))
        names: Any = self.model.config.id2label
        found = [{"label": names[label], "score": float(chances[label])} for label in order]
        return found[0] if top_k == 1 and _legacy else found[: len(held) if top_k == HELD else top_k]

    @property
    def _problem_type(self) -> str:
        config = self.model.config
        return config.problem_type or (REGRESSION if config.num_labels == 1 else SINGLE_LABEL)


class ExtTokenClassificationPipeline(TokenClassificationPipeline):
    """Find entities as training read texts and tags: in windows, by the best path of a CRF, in any tag scheme.

    Without aggregation each word that is not outside is given with the probability of its tag, its number from 1 as
    ``index``. With any ``aggregation_strategy`` but ``none`` (they mean the same here, since words have one tag) each
    entity is given with the probability that all of it is right. ``word`` is the text as it was written.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        schema = TaggingSchema.from_config(self.model.config)
        self._tagger: SentenceTagger | None = None
        if schema is not None:
            schema = replace(schema, sentence_labels=())  # a pipeline of tokens does not speak of them
            self._tagger = SentenceTagger(Engine(self.model, self.device), cast(Any, self.tokenizer), schema)

    def check_model_type(self, supported_models: Any) -> None:
        """Be content with models of ours, whose classes transformers does not know by name."""
        if TaggingSchema.from_config(self.model.config) is None:
            super().check_model_type(supported_models)

    def preprocess(  # type: ignore[override]
        self, sentence: Any, offset_mapping: Any = None, **preprocess_params: Any
    ) -> Iterator[dict[str, Any]]:
        """Turn a text, or with ``is_split_into_words`` a list of words, into its windows."""
        if self._tagger is None:
            yield from super().preprocess(sentence, offset_mapping, **preprocess_params)
            return
        read = self._tagger.read(sentence, "input")
        if read.text is None:
            read = _as_text(read, preprocess_params.get("delimiter", " "))
        windows = self._tagger.windows([read if read.words else Sentence([STAND_IN], None, (1,))])
        for i, window in enumerate(windows):
            batch = TaggingCollator(self._tagger.tokenizer)([window])
            if "char_ids" in batch:
                batch["char_ids"] = _widen(batch["char_ids"])
            said = {"sentence": read, "windows": windows} if i == 0 else {"sentence": None, "windows": None}
            yield {**batch, **said, "is_last": i + 1 == len(windows)}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        if self._tagger is None:
            return super()._forward(model_inputs)
        said = {name: model_inputs.pop(name) for name in ("sentence", "windows", "is_last")}
        return said | dict(zip(OUTPUTS, choose_outputs(self.model(**model_inputs)), strict=False))

    def postprocess(  # type: ignore[override]
        self,
        all_outputs: Sequence[dict[str, Any]],
        aggregation_strategy: AggregationStrategy = AggregationStrategy.NONE,
        ignore_labels: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Put the windows of one text together."""
        if self._tagger is None:
            return super().postprocess(all_outputs, aggregation_strategy, ignore_labels)
        sentence, windows = all_outputs[0]["sentence"], all_outputs[0]["windows"]
        if not sentence.words:
            return []
        outputs = [tuple(to_numpy(said[name][0]) for name in OUTPUTS if name in said) for said in all_outputs]
        merged = self._tagger.merge([sentence], windows, outputs)
        ignored = ["O"] if ignore_labels is None else ignore_labels
        if aggregation_strategy == AggregationStrategy.NONE:
            words = _describe_words(self._tagger, sentence, merged)
            return [word for word in words if word["entity"] not in ignored]
        found = self._tagger.describe(sentence, merged, 0)["entities"]
        return [_as_group(entity) for entity in found if entity["type"] not in ignored]


def _describe_words(tagger: SentenceTagger, sentence: Sentence, merged: MergedTags) -> Iterator[dict[str, Any]]:
    names, chances = tagger.schema.tags, (merged.tag_probabilities or [[]])[0]
    _, spans = tagger.place(sentence)
    rows = zip(merged.tags[0], chances, sentence.words, spans, strict=True)
    for i, (tag, chance, word, (start, end)) in enumerate(rows, 1):
        yield {"entity": names[tag], "score": chance, "index": i, "word": word, "start": start, "end": end}


def _as_group(entity: Mapping[str, Any]) -> dict[str, Any]:
    """Write an entity as transformers does."""
    return {
        "entity_group": entity["type"],
        "score": entity["confidence"],
        "word": entity["text"],
        "start": entity["start"],
        "end": entity["end"],
    }


def _as_text(sentence: Sentence, delimiter: str) -> Sentence:
    """Join words as transformers does, for the offsets."""
    text, spans, end = delimiter.join(sentence.words), [], -len(delimiter)
    for word in sentence.words:
        start = end + len(delimiter)
        end = start + len(word)
        spans.append((start, end))
    return replace(sentence, text=text, spans=spans)


def _widen(char_ids: Tensor) -> Tensor:
    """Pad words ``(1, W, C)`` to one length, so that windows can be batched."""
    return pad(char_ids, (0, LONGEST_WORD - char_ids.shape[2]), value=PADDING_CHARACTER)
