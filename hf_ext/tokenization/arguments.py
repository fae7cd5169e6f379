"""What kind of tokenizer is made, and from what."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_ext.errors import did_you_mean
from hf_ext.models.remote_code import require_pinned_code
from hf_ext.tokenization.kinds import KINDS
from hf_ext.tokenization.text_cutting import NORMALIZATIONS

LARGEST_VOCABULARY = 10_000_000  # tokens


@dataclass
class TokenizerArguments:
    """Kind, cuts, vocabulary and special tokens of a new tokenizer, and what it is compared with."""

    kind: str = field(
        default="wordpiece",
        metadata={"help": "wordpiece, bpe, byte_bpe, unigram, word or character."},
    )
    vocab_size: int = field(default=30000, metadata={"help": "Tokens wanted, special tokens included."})
    min_frequency: int = field(
        default=2, metadata={"help": "Pairs of pieces (words, characters) that occur less often are not learned."}
    )
    character_coverage: float = field(
        default=0.9999, metadata={"help": "Share of all characters of the text that the vocabulary must have."}
    )
    do_lower_case: bool = field(default=False, metadata={"help": "Fold case."})
    strip_accents: bool = field(default=False, metadata={"help": "Read é as e."})
    normalization: str = field(
        default="nfkc",
        metadata={"help": "nfkc (full-width forms become half-width ones too), nfc, or none."},
    )
    chinese_apart: bool | None = field(
        default=None,
        metadata={"help": "Whether each Chinese character is a word; unset: yes for wordpiece and word, else no."},
    )
    digits_apart: bool = field(default=False, metadata={"help": "Every digit is a word."})
    segmenter: str = field(
        default="auto",
        metadata={
            "help": "What cuts Chinese text while learning: rjieba, jieba, none (every eight characters), or auto: "
            "rjieba if it is installed and Chinese characters are not apart."
        },
    )
    unk_token: str = field(default="[UNK]", metadata={"help": "Stands for what is unknown."})
    pad_token: str = field(default="[PAD]", metadata={"help": "Fills short rows; its id is 0."})
    cls_token: str = field(default="[CLS]", metadata={"help": "Stands before a text."})
    sep_token: str = field(default="[SEP]", metadata={"help": "Stands behind a text."})
    mask_token: str = field(default="[MASK]", metadata={"help": "Stands for a token to be guessed."})
    additional_special_tokens: str | None = field(
        default=None, metadata={"help": "More special tokens, comma-separated."}
    )
    template_single: str | None = field(
        default=None, metadata={"help": "How a text is framed; unset: '[CLS] $A [SEP]' with the tokens above."}
    )
    template_pair: str | None = field(
        default=None,
        metadata={"help": "How two texts are; unset: '[CLS] $A [SEP] $B:1 [SEP]:1', the segment behind the colon."},
    )
    model_max_length: int = field(default=512, metadata={"help": "Longest row in tokens that models shall get."})
    from_tokenizer: str | None = field(
        default=None,
        metadata={
            "help": "Folder or Hub name of a tokenizer whose kind, cuts, special tokens and templates are kept; only "
            "its vocabulary is learned anew. The flags of kind, cuts and special tokens are not looked at."
        },
    )
    merge_into: str | None = field(
        default=None,
        metadata={
            "help": "Folder or Hub name of a tokenizer that gets the new tokens and keeps its own; they are learned "
            "with its settings. Pass the output folder's merged_tokens.json as --add_tokens to "
            "run_continue_pretrain.py."
        },
    )
    reference_tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or Hub name of a tokenizer to be measured beside the new one."}
    )
    count_budget: int = field(
        default=600_000,
        metadata={
            "help": "UTF-8 bytes of different words held while counting (unigram: half of it); beyond it a random half "
            "of all occurrences is counted, and so on. Training needs some 100 bytes of memory for each."
        },
    )
    output_dir: str = field(default="outputs/tokenizer", metadata={"help": "Folder of the tokenizer."})
    overwrite_output_dir: bool = field(default=False, metadata={"help": "Write into a folder that is not empty."})
    cache_dir: str | None = field(default=None, metadata={"help": "Where downloads are kept."})
    token: str | None = field(
        default=None,
        metadata={"help": "Not taken from a command line: set HF_TOKEN, or log in with `hf auth login`."},
    )
    trust_remote_code: bool = field(default=False, metadata={"help": "Run tokenizer code that lies in a folder here."})

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"--kind {self.kind}: there is no such kind – {did_you_mean(self.kind, KINDS)}")
        if self.normalization not in NORMALIZATIONS:
            fix = did_you_mean(self.normalization, NORMALIZATIONS)
            raise ValueError(f"--normalization {self.normalization}: there is no such form – {fix}")
        for name in ("vocab_size", "min_frequency", "model_max_length", "count_budget"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, got {getattr(self, name)}.")
        if self.vocab_size > LARGEST_VOCABULARY:
            raise ValueError(f"--vocab_size is at most {LARGEST_VOCABULARY:,}, got {self.vocab_size:,}.")
        if not 0 < self.character_coverage <= 1:
            raise ValueError(f"--character_coverage is above 0 and at most 1, got {self.character_coverage}.")
        if self.from_tokenizer and self.merge_into:
            raise ValueError("--merge_into learns with the settings of the old tokenizer; leave out --from_tokenizer.")
        if self.trust_remote_code:
            require_pinned_code((self.from_tokenizer, self.merge_into, self.reference_tokenizer), None)
        for token in self.special_tokens:
            if token.split() != [token]:
                raise ValueError(f"a special token is written without blanks, got {token!r}.")
        if len(set(self.special_tokens)) < len(self.special_tokens):
            raise ValueError(f"special tokens must differ, got {', '.join(self.special_tokens)}.")

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """All special tokens in the order of their ids."""
        more = [token.strip() for token in (self.additional_special_tokens or "").split(",") if token.strip()]
        return (self.pad_token, self.unk_token, self.cls_token, self.sep_token, self.mask_token, *more)
