"""Taggers of folds: what each says of the sentences it has not seen, and what all of them say of test sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_ext.cli.command_lines import TAGGING
from hf_ext.cli.folds.answering import FoldAnswers
from hf_ext.cli.folds.report import EVAL, PREDICT, FoldReport
from hf_ext.cli.tagger_building import check_choosing, load_saved_schema, use_demo_data
from hf_ext.cli.tagging_outcome import JOINT_METRICS, MAIN_METRICS, report_sentences, score_sentences, write_sentences
from hf_ext.data.tagging import MergedTags, TaggingData
from hf_ext.inference.answer_file import AnswerFile
from hf_ext.inference.predictor import CHUNK
from hf_ext.inference.sentence_ensemble import TagScores, decode_mean, score_tags
from hf_ext.inference.sentence_tagger import SentenceTagger
from hf_ext.models.tagger_arguments import TaggerArguments
from hf_ext.models.tagging_schema import TaggingSchema

OUT_OF_FOLD = "out_of_fold_predictions.jsonl"
Answered = tuple[list[int], MergedTags, list[dict[str, Any]]]  # rows, their tags, and each in words


class SentenceFolds(FoldAnswers):
    """The taggers of all folds."""

    line = TAGGING
    task = "token-classification"
    script = "run_ner.py"

    def __init__(self, model_args: Any, data_args: Any, args: Any, report: FoldReport) -> None:
        super().__init__(model_args, data_args, args, report)
        saved = load_saved_schema(TaggerArguments(model_name_or_path=str(report.folds[0])), trains=False)
        self.schema: TaggingSchema = saved  # type: ignore[assignment]  # a model of ours brings it
        report.metrics = MAIN_METRICS + (JOINT_METRICS if self.schema.sentence_labels else ())

    @classmethod
    def check(cls, args: Any, data_args: Any) -> None:
        """Refuse thresholds and a temperature, and take the demo data where none is named."""
        check_choosing(args)
        if data_args.num_folds and not data_args.names_data:
            use_demo_data(data_args)

    def names(self) -> Sequence[str]:
        """Name tags and sentence labels."""
        return [*self.schema.tags, *self.schema.sentence_labels]

    def read_training_rows(self) -> TaggingData:
        """Read all training sentences as test sentences, in input order."""
        return TaggingData.of_training_sentences(self.data_args, saved=self.schema, **self.places)

    def read_test_rows(self) -> TaggingData:
        """Read the test sentences."""
        return TaggingData.from_arguments(self.data_args, saved=self.schema, needs={"test"}, **self.places)

    def count(self, data: TaggingData) -> int:
        """Count the test sentences."""
        return len(data.splits["test"].sentences)

    def ask_unseen(self, model: SentenceTagger, data: TaggingData, rows: Sequence[int]) -> Answered:
        """Let a tagger tag some test sentences, and describe what was found in each of them."""
        sentences = [data.splits["test"].sentences[row] for row in rows]
        merged = MergedTags([], [], [])
        described, logits = [], []
        for start in range(0, len(sentences), CHUNK):
            chunk = sentences[start : start + CHUNK]
            found = model.tag(chunk)
            described += [model.describe(sentence, found, i) for i, sentence in enumerate(chunk)]
            merged.tags += found.tags
            merged.tag_probabilities += found.tag_probabilities
            merged.chain_probabilities += found.chain_probabilities
            logits += [] if found.sentence_logits is None else [found.sentence_logits]
        merged.sentence_logits = np.concatenate(logits) if logits else None
        return list(rows), merged, described

    def ask(self, model: SentenceTagger, data: TaggingData) -> TagScores:
        """Let a tagger say what it thinks of all tags of the test sentences."""
        sentences = data.splits["test"].sentences
        parts = [score_tags(model, sentences[start : start + CHUNK]) for start in range(0, len(sentences), CHUNK)]
        logits = [part.sentence_logits for part in parts if part.sentence_logits is not None]
        emissions = [scores for part in parts for scores in part.emissions]
        return TagScores(emissions, parts[0].decoder, np.concatenate(logits) if logits else None)

    def judge(self, data: TaggingData, fold_of: dict[int, int], unseen: dict[int, Answered]) -> None:
        """Score the sentences that a fold has held out, each by the tagger of its fold."""
        single = [score_sentences(data, merged, own) for own, merged, _ in unseen.values()]
        places = {row: (fold, i) for fold, (own, *_) in unseen.items() for i, row in enumerate(own)}
        rows = sorted(places)
        merged = gather([(unseen[fold][1], i) for fold, i in map(places.__getitem__, rows)])
        together = score_sentences(data, merged, rows)
        self.report.record(EVAL, together, single, rows=len(rows))
        ids = data.ids("test")
        path = self.report.folder / OUT_OF_FOLD
        with AnswerFile(path) as file:
            for row in rows:
                fold, i = places[row]
                file.write(ids[row], {"fold": fold}, unseen[fold][2][i])
        self.report.files[OUT_OF_FOLD] = path
        written = report_sentences(self.report.folder, data, merged, "test", rows)
        self.report.files |= {path.name: path for path in written}

    def predict(self, data: TaggingData, asked: list[TagScores]) -> None:
        """Write what all taggers together say of the test sentences, and score it beside what each says alone."""
        merged = decode_mean(asked)
        paths = write_sentences(self.report.folder, data, merged)
        self.report.files |= {path.name: path for path in paths}
        together = score_sentences(data, merged, args=self.args)
        single = [score_sentences(data, decode_mean([member])) for member in asked]
        self.report.record(PREDICT, together, single, rows=len(merged.tags))


def gather(places: Sequence[tuple[MergedTags, int]]) -> MergedTags:
    """Take single sentences out of what several taggers gave."""
    logits = [merged.sentence_logits[i] for merged, i in places if merged.sentence_logits is not None]
    return MergedTags(
        [merged.tags[i] for merged, i in places],
        [(merged.tag_probabilities or [])[i] for merged, i in places],
        [(merged.chain_probabilities or [])[i] for merged, i in places],
        np.stack(logits) if logits else None,
    )
