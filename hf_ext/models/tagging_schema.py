"""What tagged sentences look like, as plain data: tags, their scheme, columns, sentence labels, known characters.

As ``schema.py`` for classification: the data floor fits it on the training split, the model takes its sizes from
it, and it lives in ``config.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .tag_schemes import SCHEMES, find_scheme

LEVELS = ("word", "character")
LONGEST_WINDOW = 512  # tokens, where nobody says otherwise
PADDING_CHARACTER, UNKNOWN_CHARACTER = 0, 1  # ids of the character encoder; the known ones follow


@dataclass(frozen=True)
class TaggingSchema:
    """Everything that a run and a saved tagger must agree on.

    Args:
        tags: The tag of each output, in the order of the outputs.
        scheme: How tags mark entities, one of ``tag_schemes.SCHEMES``.
        level: What becomes a word where the input is text: ``word`` (runs between white space) or ``character``.
        tokens_column: Name (or number, in CoNLL files) of the column of words, as the training file had it.
        tags_column: Name or number of the column of tags.
        sentence_labels: The label of each sentence output; empty without a sentence label.
        sentence_label_column: Name of its column.
        max_length: Longest window in tokens, special tokens included.
        characters: The characters that a character encoder knows, each once; empty without one.
    """

    tags: tuple[str, ...]
    scheme: str
    level: str = "word"
    tokens_column: str | None = None
    tags_column: str | None = None
    sentence_labels: tuple[str, ...] = ()
    sentence_label_column: str | None = None
    max_length: int = LONGEST_WINDOW
    characters: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level must be one of {LEVELS}, got {self.level!r}.")
        if self.scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {SCHEMES}, got {self.scheme!r}.")
        for name, kind in (("tags", "tag"), ("sentence_labels", "sentence label"), ("characters", "character")):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                twice = next(value for i, value in enumerate(values) if value in values[:i])
                raise ValueError(f"the {kind} {twice!r} occurs twice.")

    @property
    def tag_ids(self) -> dict[str, int]:
        """The output of each tag."""
        return {tag: i for i, tag in enumerate(self.tags)}

    @property
    def sentence_label_ids(self) -> dict[str, int]:
        """The sentence output of each sentence label."""
        return {label: i for i, label in enumerate(self.sentence_labels)}

    @property
    def character_ids(self) -> dict[str, int]:
        """The id of each known character: its index + 2, since 0 is padding and 1 stands for all unknown ones."""
        return {character: i for i, character in enumerate(self.characters, UNKNOWN_CHARACTER + 1)}

    @property
    def num_characters(self) -> int:
        """Rows of a character embedding: the known characters, padding and unknown."""
        return len(self.characters) + UNKNOWN_CHARACTER + 1

    def write_into(self, config: Any) -> None:
        """Store the schema in a transformers config; tags go where transformers looks for labels."""
        config.id2label = dict(enumerate(self.tags))
        config.label2id = self.tag_ids
        stored = asdict(self)
        del stored["tags"]  # id2label holds them
        stored["sentence_labels"] = list(self.sentence_labels)  # as JSON gives them back
        config.tagging_schema = stored

    @classmethod
    def from_config(cls, config: Any) -> TaggingSchema | None:
        """Read the schema back, or None when the config was not saved by ``run_ner.py``."""
        stored = getattr(config, "tagging_schema", None)
        if not stored:
            return None
        names = tuple(config.id2label[i] for i in range(config.num_labels))
        return cls(**{**stored, "tags": names, "sentence_labels": tuple(stored["sentence_labels"])})


def tags_of_head(config: Any) -> TaggingSchema | None:
    """Give the tags of a tagger that was not saved by hf_ext, everything else left at its default.

    None for an encoder without such a head, and where the tags have no names of their own (``LABEL_0``).
    """
    if not has_tagger(config):
        return None
    names = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    if names == tuple(f"LABEL_{i}" for i in range(len(names))):
        return None
    return TaggingSchema(names, scheme_of_names(names), max_length=LONGEST_WINDOW)


def has_tagger(config: Any) -> bool:
    """Whether a checkpoint was saved with a head that tags tokens."""
    heads = ("ForTokenClassification", "ForJointClassification")
    return any(head in name for name in config.architectures or () for head in heads)


def scheme_of_names(names: Sequence[str]) -> str:
    """Tell the scheme from the names of the tags alone, as one must where there are no sentences to look at.

    As ``find_scheme`` for sentences in which every I follows its B. So ``B-`` and ``I-`` without more are BIO, the
    usual scheme, though IOB1 has the same names; names that fit no scheme are IO, each a type of its own.
    """
    behind_b = [("B" + name[1:], name) if name[:1] == "I" and "B" + name[1:] in names else (name,) for name in names]
    try:
        return find_scheme(behind_b)
    except ValueError:
        return "IO"
