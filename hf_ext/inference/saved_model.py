"""A saved folder as model, tokenizer and schema, whichever task it was trained for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.errors import UserError
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.checkpoint_arguments import CheckpointArguments
from hf_ext.models.loading import load_sequence_classifier
from hf_ext.models.pretrained import head_labels, read_config
from hf_ext.models.schema import (
    REGRESSION,
    SINGLE_LABEL,
    LabelSchema,
    TaskSchema,
    TextSchema,
    has_classifier,
    labels_of_head,
)
from hf_ext.models.tagger_arguments import TaggerArguments
from hf_ext.models.tagger_loading import load_tagger
from hf_ext.models.tagging_schema import LONGEST_WINDOW, TaggingSchema, has_tagger, scheme_of_names, tags_of_head
from hf_ext.tokenization import put_space_before_words
from hf_ext.tokenization.saved import load_saved_tokenizer


@dataclass(frozen=True)
class SavedModel:
    """What a folder holds.

    Args:
        model: In evaluation mode, on the CPU, in float32.
        tokenizer: Its tokenizer.
        schema: What the data looked like; of a model that hf_ext has not saved its labels only.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    schema: TaskSchema | TaggingSchema


def load_saved_model(name: str, *, trust_remote_code: bool = False, revision: str = "main") -> SavedModel:
    """Load a classifier, a regressor or a tagger, ours or a stock one.

    Args:
        name: The folder, or a name on the Hub.
        trust_remote_code: Run model code that comes with it.
        revision: Branch, tag or commit on the Hub.

    Raises:
        UserError: If it cannot be read, or holds no trained head.
    """
    place: dict[str, Any] = {
        "model_name_or_path": str(name),
        "trust_remote_code": trust_remote_code,
        "model_revision": revision,
    }
    try:
        config = read_config(CheckpointArguments(**place), str(name))
        schema = read_schema(config)
        if schema is None:
            raise UserError(
                f"{name!r} holds no trained classifier or tagger", fix="name a folder that a training run has saved"
            )
        model = _load(place, schema)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from error
    tokenizer = load_saved_tokenizer(CheckpointArguments(**place))
    if isinstance(schema, TaggingSchema):
        if not tokenizer.is_fast:
            raise UserError(
                f"{type(tokenizer).__name__} is a slow tokenizer, which cannot tell the word of a token",
                where=str(name),
                fix="save the model with a fast one (tokenizer.json)",
            )
        put_space_before_words(tokenizer)
    return SavedModel(model.eval(), tokenizer, schema)


def read_schema(config: Any) -> TaskSchema | TaggingSchema | None:
    """Tell from a config what the model answers; None for a model without a trained head.

    A model that hf_ext has not saved brings the names of its labels, and a text schema without columns.
    """
    if has_tagger(config):
        names = tuple(head_labels(config))
        known = TaggingSchema.from_config(config) or tags_of_head(config)
        return known or TaggingSchema(names, scheme_of_names(names), max_length=LONGEST_WINDOW)
    if not has_classifier(config):
        return None
    known_task = TaskSchema.from_config(config)
    if known_task is not None:
        return known_task
    labels = labels_of_head(config)
    if labels is None:
        problem_type = REGRESSION if config.num_labels == 1 else config.problem_type or SINGLE_LABEL
        labels = TaskSchema(LabelSchema(problem_type, tuple(head_labels(config))))
    return replace(labels, text=TextSchema(max_length=LONGEST_WINDOW))


def _load(place: dict[str, Any], schema: TaskSchema | TaggingSchema) -> PreTrainedModel:
    if isinstance(schema, TaggingSchema):
        return load_tagger(TaggerArguments(**place), schema)
    return load_sequence_classifier(ModelArguments(**place), schema)
