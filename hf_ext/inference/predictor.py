"""Answers of a saved model for new texts and rows: from Python, and for whole files on the command line.

python -m hf_ext.inference.predictor outputs/mine new.csv -o answers.csv
python -m hf_ext.inference.predictor outputs/tagger new.txt -o entities.jsonl --precision auto
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hf_ext.inference.engine import Engine, choose_device, choose_precision
from hf_ext.inference.folds import find_folds
from hf_ext.inference.row_classifier import RowClassifier
from hf_ext.inference.row_ensemble import RowEnsemble
from hf_ext.inference.saved_model import SavedModel, load_saved_model
from hf_ext.inference.sentence_ensemble import SentenceEnsemble
from hf_ext.inference.sentence_tagger import SentenceTagger
from hf_ext.models.tagging_schema import TaggingSchema

Answer = dict[str, Any]

CHUNK = 1024  # inputs that are read, sorted by length and answered at once


@dataclass(frozen=True)
class Predictor:
    """Answer new inputs with a model that a training run has saved; everything it needs stands in its folder.

    ::

        predictor = Predictor.from_pretrained("outputs/mine")
        predictor("a lovely lamp")  # {"prediction": "good", "score": 0.98, "probabilities": {...}}
        predictor(["one text", "another text"])  # a list of answers, in this order
        predictor(("first of a pair", "second"))
        predictor({"text": "a lovely lamp", "shop": "north", "price": 12.5})

    A tagger takes texts, lists of words, or mappings with either, and gives entities.

    Args:
        task: What reads inputs and answers them.
    """

    task: RowClassifier | SentenceTagger

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        device: str | None = None,
        precision: str = "fp32",
        batch_size: int = 32,
        trust_remote_code: bool = False,
        revision: str = "main",
    ) -> Predictor:
        """Load a folder that a run of ours, or of transformers, has saved.

        The folder of ``--num_folds`` gives all its models, which answer together.

        Args:
            name: The folder, or a name on the Hub.
            device: For example ``cuda:1``; the accelerator that there is, else the CPU.
            precision: ``fp32``, ``bf16``, ``fp16`` by autocast, or ``auto``, what the device is fast at.
            batch_size: Rows that are computed at once.
            trust_remote_code: Run model code that comes with it.
            revision: Branch, tag or commit on the Hub.

        Raises:
            UserError: If it cannot be read, holds no trained head, or there is no such device.
        """
        place = choose_device(device)
        members = []
        for folder in [str(fold) for fold in find_folds(name)] or [str(name)]:
            saved = load_saved_model(folder, trust_remote_code=trust_remote_code, revision=revision)
            engine = Engine(saved.model, place, choose_precision(precision, place), batch_size)
            members.append(cls.from_model(saved, engine))
        return members[0] if len(members) == 1 else cls.from_members(members)

    @classmethod
    def from_model(cls, saved: SavedModel, engine: Engine) -> Predictor:
        """Answer with a model that is loaded already."""
        if isinstance(saved.schema, TaggingSchema):
            return cls(SentenceTagger(engine, saved.tokenizer, saved.schema))
        return cls(RowClassifier(engine, saved.tokenizer, saved.schema))

    @classmethod
    def from_members(cls, members: Sequence[Predictor]) -> Predictor:
        """Answer with several models as one: classifiers by the mean of their probabilities, taggers of their scores.

        Raises:
            ValueError: If they differ in task, labels or tags.
        """
        rows = [member.task for member in members if isinstance(member.task, RowClassifier)]
        sentences = [member.task for member in members if isinstance(member.task, SentenceTagger)]
        if rows and sentences:
            raise ValueError("the members of an ensemble must all be classifiers, or all be taggers.")
        return cls(RowEnsemble.of(rows) if rows else SentenceEnsemble.of(sentences))

    @property
    def tags_words(self) -> bool:
        """Whether the model is a tagger."""
        return isinstance(self.task, SentenceTagger)

    @property
    def is_ensemble(self) -> bool:
        """Whether several models answer together."""
        return isinstance(self.task, RowEnsemble | SentenceEnsemble)

    def __call__(self, inputs: Any) -> Any:
        """Answer one input, or several.

        Args:
            inputs: A text, a pair (a tuple) or a mapping is one input; any other iterable holds several. A tagger also
                takes lists of words among several inputs.

        Returns:
            The answer, or a list of them in the order of the inputs; see ``RowClassifier.answer`` and
            ``SentenceTagger.answer``.

        Raises:
            ValueError: If an input lacks what the model reads.
        """
        if isinstance(inputs, (str, Mapping, tuple)):
            return next(self.stream([inputs]))
        return list(self.stream(inputs))

    def stream(self, inputs: Iterable[Any]) -> Iterator[Answer]:
        """Answer inputs one by one in their order, in memory that does not grow with their number."""
        numbered = enumerate(inputs)
        while chunk := list(islice(numbered, CHUNK)):
            read: list[Any] = [self.task.read(item, f"input {i}") for i, item in chunk]
            yield from self.task.answer(read)


if __name__ == "__main__":
    from hf_ext.cli.running import run_script
    from hf_ext.inference.predict_command import main

    run_script(main)
