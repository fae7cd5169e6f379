"""What tagged sentences look like, as plain data: tags, their scheme, columns, sentence labels, known characters.

As ``schema.py`` for classification: the data floor fits it on the training split, the model takes its sizes from
it, and it lives in ``config.json``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

LEVELS = ("word", "character")
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
    max_length: int = 128
    characters: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level must be one of {LEVELS}, got {self.level!r}.")
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
    def num_characters(self) -> int:
        """Rows of a character embedding: the known characters, padding and unknown."""
        return len(self.characters) + UNKNOWN_CHARACTER + 1

    def encode_characters(self, word: str, *, longest: int) -> list[int]:
        """Give the ids of the first ``longest`` characters of a word: index + 2 of a known one, 1 of any other."""
        known = self.characters
        return [known.find(character) + 2 if character in known else UNKNOWN_CHARACTER for character in word[:longest]]

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
    return TaggingSchema(names, scheme_of_names(names))


def has_tagger(config: Any) -> bool:
    """Whether a checkpoint was saved with a head that tags tokens."""
    heads = ("ForTokenClassification", "ForJointClassification")
    return any(head in name for name in config.architectures or () for head in heads)


def scheme_of_names(names: tuple[str, ...]) -> str:
    """Tell the scheme from the names of the tags alone, as one must where there are no sentences to look at.

    ``B-`` and ``I-`` without more are read as BIO, the usual scheme, though IOB1 has the same names; ``I-`` alone is
    IOB1; names without a prefix are IO.
    """
    inside = [name for name in names if name != "O"]
    prefixes = {name[0] for name in inside if name[1:2] in ("-", "_") and len(name) > 2}
    if not prefixes or any(name[1:2] not in ("-", "_") for name in inside) or not prefixes <= set("BIOESLUM"):
        return "IO"
    if prefixes & {"L", "U"}:
        return "BILOU"
    if "M" in prefixes:
        return "BMES"
    if prefixes & {"E", "S"}:
        return "BIOES"
    return "BIO" if "B" in prefixes else "IOB1"
