"""Which checkpoint a run starts from and how it is loaded, whatever the task; the official scripts' names."""

from __future__ import annotations

from dataclasses import dataclass, field

from .remote_code import require_pinned_code


@dataclass
class CheckpointArguments:
    """Which model, in which dtype, from where."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub name of a pretrained encoder or saved model; unset trains from scratch."},
    )
    config_name: str | None = field(default=None, metadata={"help": "Config folder or name, if not the model's own."})
    tokenizer_name: str | None = field(
        default=None, metadata={"help": "Tokenizer folder or name, if not the model's own."}
    )
    cache_dir: str | None = field(
        default=None, metadata={"help": "Where downloaded models and preprocessed data are kept."}
    )
    use_fast_tokenizer: bool = field(default=True, metadata={"help": "Use the fast tokenizer where there is one."})
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit of the model on the Hub."})
    token: str | None = field(
        default=None, metadata={"help": "Not taken from a command line: set HF_TOKEN, or log in with `hf auth login`."}
    )
    trust_remote_code: bool = field(
        default=False,
        metadata={"help": "Run model code that comes from the Hub; needs --model_revision with a commit."},
    )
    ignore_mismatched_sizes: bool = field(
        default=False, metadata={"help": "Load a checkpoint whose head has another size; the head starts fresh."}
    )
    dtype: str | None = field(
        default=None,
        metadata={
            "help": "Dtype of the loaded weights; unset is float32 whatever the file holds.",
            "choices": ["auto", "float32", "bfloat16", "float16"],
        },
    )
    attn_implementation: str | None = field(
        default=None,
        metadata={"help": "Attention kernel: eager, sdpa, flash_attention_2; unset lets transformers choose."},
    )
    model_type: str | None = field(default=None, metadata={"help": "Short name for a whole model."})
    freeze_encoder: str | None = field(
        default=None, metadata={"help": "'all', or a number n: the embeddings and the first n layers stay as loaded."}
    )

    def __post_init__(self) -> None:
        if self.freeze_encoder is not None and self.freeze_encoder != "all" and not self.freeze_encoder.isdigit():
            raise ValueError(f"--freeze_encoder takes 'all' or a number of layers, got {self.freeze_encoder!r}.")
        if self.trust_remote_code:
            require_pinned_code((self.model_name_or_path, self.config_name, self.tokenizer_name), self.model_revision)
        self.config_name, self.tokenizer_name, self.cache_dir = (
            name or None for name in (self.config_name, self.tokenizer_name, self.cache_dir)
        )

    @property
    def from_scratch(self) -> bool:
        """Whether no pretrained model is named."""
        return self.model_name_or_path is None
