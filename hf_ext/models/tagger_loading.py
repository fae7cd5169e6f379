"""From the flags of a run to a tagger: from scratch, a stock head, or an encoder under a head of ours."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from transformers import (
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from .configuration import DECODERS, ExtConfig
from .encoders import RecurrentEncoderConfig
from .joint_classification import ExtForJointClassification
from .pretrained import check_family, compare_labels, head_labels, load_config, load_weights
from .tagger_arguments import TaggerArguments
from .tagging_schema import TaggingSchema, has_tagger
from .token_classification import ExtForTokenClassification

logger = logging.getLogger(__name__)

RNN_ALIASES = {"lstm": "lstm", "bilstm": "lstm", "gru": "gru", "bigru": "gru"}


@dataclass(frozen=True)
class TaggerRecipe:
    """What a short name for a from-scratch tagger stands for."""

    rnn: str
    decoder: str


SCRATCH_TAGGERS = {
    "bilstm_crf": TaggerRecipe("lstm", "crf"),
    "bigru_crf": TaggerRecipe("gru", "crf"),
    "bilstm_softmax": TaggerRecipe("lstm", "softmax"),
    "bigru_softmax": TaggerRecipe("gru", "softmax"),
}
DEFAULT_SCRATCH_TAGGER = "bilstm_crf"
# What a saved tagger keeps, whatever the sizes of this run say: flag to its place in the config.
KEPT_CHOICES = {"decoder": "tag_decoder", **{name: name for name in ("head_rnn", "character_encoder", "pooler")}}


def load_tagger(
    arguments: TaggerArguments, schema: TaggingSchema, *, vocab_size: int | None = None, pad_token_id: int = 0
) -> PreTrainedModel:
    """Build or load the tagger that the flags ask for; the schema is written into its config.

    - No ``model_name_or_path``: ours over a fresh ``RecurrentEncoder``, ``DEFAULT_SCRATCH_TAGGER`` where no flag says
      more. With a character encoder its recurrent layers stand above both vectors of a word, as ``head_rnn``.
    - A folder saved by a tagger of ours: that model; ``crf_constraints`` may be changed.
    - A CRF, layers over the words, characters or sentence labels are asked for, or the family has no stock head: ours
      over the checkpoint's encoder.
    - Otherwise the family's stock head, with the schema in its config.

    With sentence labels ours is ``ExtForJointClassification``, else ``ExtForTokenClassification``.

    Args:
        arguments: The flags.
        schema: Tags, their scheme, sentence labels and characters.
        vocab_size: Rows of the token table of a model from scratch.
        pad_token_id: Padding id of a model from scratch.

    Returns:
        The model, in float32 unless ``arguments.dtype`` says otherwise.

    Raises:
        ValueError: If flags contradict one another or the checkpoint, the checkpoint cannot be read or lacks
            weights of the encoder, or its head has other tags.
    """
    if not schema.tags:
        raise ValueError("a tagger needs at least one tag, got none.")
    if arguments.pooler and not schema.sentence_labels:
        raise ValueError("--pooler makes the sentence's vector, and the data have no sentence labels; leave it out.")
    config = load_config(arguments)
    if config is None:
        if vocab_size is None:
            raise ValueError("a model from scratch needs vocab_size, the number of tokens of its tokenizer.")
        return _build_from_scratch(arguments, schema, vocab_size, pad_token_id)
    arguments = _resolve_model_type(arguments, config)
    if isinstance(config, ExtConfig) and config.tag_decoder is not None:
        return _load_saved(arguments, config, schema)
    if isinstance(config, ExtConfig):  # a classifier of ours lends its encoder
        config = config.encoder_config
    _check_constraints(arguments, arguments.decoder)
    if _asks_for_ours(arguments, schema) or not _has_stock_head(config):
        config = ExtConfig.for_tagging(arguments, config, schema)
        return load_weights(_own_class(schema), arguments, config)
    if has_tagger(config):
        compare_labels(arguments, head_labels(config), schema.tags, kind="tags")
    schema.write_into(config)
    return load_weights(AutoModelForTokenClassification, arguments, config)


def _own_class(schema: TaggingSchema) -> type[ExtForTokenClassification]:
    return ExtForJointClassification if schema.sentence_labels else ExtForTokenClassification


def _asks_for_ours(arguments: TaggerArguments, schema: TaggingSchema) -> bool:
    special = (arguments.decoder == "crf", _is_set(arguments.head_rnn), _is_set(arguments.character_encoder))
    return any(special) or bool(schema.sentence_labels)


def _is_set(choice: str | None) -> bool:
    return choice not in (None, "none")


def _has_stock_head(config: PreTrainedConfig) -> bool:
    brings_code = "AutoModelForTokenClassification" in (getattr(config, "auto_map", None) or {})
    return brings_code or type(config) in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING


def _check_constraints(arguments: TaggerArguments, decoder: str | None) -> None:
    if arguments.crf_constraints is not None and decoder != "crf":
        raise ValueError("--crf_constraints says nothing without a CRF: add --decoder crf, or leave it out.")


def _resolve_model_type(arguments: TaggerArguments, config: PreTrainedConfig) -> TaggerArguments:
    """Check a short name such as ``bert_lstm_crf`` against the checkpoint and read the choices from it."""
    if arguments.model_type is None:
        return arguments
    if arguments.model_type in SCRATCH_TAGGERS:
        encoder = config.encoder_config if isinstance(config, ExtConfig) else config
        if encoder.model_type == RecurrentEncoderConfig.model_type:
            return _choose(arguments, decoder=SCRATCH_TAGGERS[arguments.model_type].decoder)
        raise ValueError(
            f"--model_type {arguments.model_type} is trained from scratch: leave --model_name_or_path away, or choose "
            f"what stands above {arguments.model_name_or_path!r} by --decoder and --head_rnn."
        )
    family, rnn, decoder = _split_alias(arguments.model_type)
    check_family(arguments, config, family)
    return _choose(arguments, head_rnn=rnn, decoder=decoder)


def _choose(arguments: TaggerArguments, **named: str | None) -> TaggerArguments:
    """Take over what a short name says, where no flag says otherwise."""
    chosen = {flag: value for flag, value in named.items() if value is not None}
    for flag, value in chosen.items():
        given = getattr(arguments, flag)
        if given not in (None, value):
            raise ValueError(f"--model_type {arguments.model_type} and --{flag} {given} contradict each other.")
    return replace(arguments, **chosen)  # type: ignore[arg-type]


def _split_alias(model_type: str) -> tuple[str, str | None, str | None]:
    """Take ``bert_lstm_crf`` apart: family, layers over the words, decoder."""
    rest, decoder = model_type.lower(), None
    head, _, last = rest.rpartition("_")
    if head and last in DECODERS:
        rest, decoder = head, last
    head, _, last = rest.rpartition("_")
    if head and last in RNN_ALIASES:
        return head, RNN_ALIASES[last], decoder
    return rest, None, decoder


def _build_from_scratch(
    arguments: TaggerArguments, schema: TaggingSchema, vocab_size: int, pad_token_id: int
) -> PreTrainedModel:
    recipe = _scratch_recipe(arguments)
    _check_constraints(arguments, recipe.decoder)
    arguments = replace(arguments, decoder=recipe.decoder, pooler=arguments.pooler or "max")
    rnn = recipe.rnn
    if _is_set(arguments.character_encoder) and rnn != "none":
        arguments, rnn = _move_rnn_up(arguments, rnn), "none"
    logger.info(
        "No pretrained model is named: training a tagger from scratch (rnn %s, characters %s, decoder %s).",
        recipe.rnn,
        arguments.character_encoder or "none",
        recipe.decoder,
    )
    encoder_config = RecurrentEncoderConfig.from_arguments(
        arguments, rnn=rnn, vocab_size=vocab_size, pad_token_id=pad_token_id
    )
    return _own_class(schema)(ExtConfig.for_tagging(arguments, encoder_config, schema))


def _move_rnn_up(arguments: TaggerArguments, rnn: str) -> TaggerArguments:
    """Let the recurrent layers read characters too."""
    if _is_set(arguments.head_rnn):
        raise ValueError(
            f"from scratch with --character_encoder the recurrent layers ({rnn}) stand above the characters' vectors, "
            f"where --head_rnn {arguments.head_rnn} would stand as well: leave it out, or add --rnn none."
        )
    return replace(
        arguments,
        head_rnn=rnn,
        head_rnn_hidden_size=arguments.rnn_hidden_size,
        head_rnn_layers=arguments.rnn_layers,
        head_rnn_dropout=arguments.rnn_dropout,
    )


def _scratch_recipe(arguments: TaggerArguments) -> TaggerRecipe:
    """Choose the recurrent layers and the decoder of a model from scratch."""
    named = arguments.model_type
    if named is not None and named not in SCRATCH_TAGGERS:
        raise ValueError(
            f"--model_type {named} needs --model_name_or_path; from scratch there are {', '.join(SCRATCH_TAGGERS)}."
        )
    recipe = SCRATCH_TAGGERS[named or DEFAULT_SCRATCH_TAGGER]
    chosen = TaggerRecipe(arguments.rnn or recipe.rnn, arguments.decoder or recipe.decoder)
    if named is not None and chosen != recipe:
        raise ValueError(
            f"--model_type {named} has rnn {recipe.rnn} and decoder {recipe.decoder}, which --rnn {chosen.rnn} and "
            f"--decoder {chosen.decoder} contradict."
        )
    return chosen


def _load_saved(arguments: TaggerArguments, config: ExtConfig, schema: TaggingSchema) -> PreTrainedModel:
    """Load a tagger of ours, which keeps the choices and sizes that it was trained with."""
    place = arguments.model_name_or_path
    for name, kept in KEPT_CHOICES.items():
        saved, wanted = getattr(config, kept), getattr(arguments, name)
        if wanted not in (None, saved):
            raise ValueError(
                f"{place!r} was trained with {name} {saved}, not {wanted}; leave --{name} away, or start from the "
                "encoder again."
            )
    known = TaggingSchema.from_config(config)
    if known is not None:
        _compare_schemas(arguments, known, schema)
    _check_constraints(arguments, config.tag_decoder)
    config.crf_constraints = arguments.crf_constraints or config.crf_constraints
    schema.write_into(config)
    return load_weights(_own_class(schema), arguments, config)


def _compare_schemas(arguments: TaggerArguments, known: TaggingSchema, schema: TaggingSchema) -> None:
    """Stop where the data are not what the tagger was trained for."""
    place = arguments.model_name_or_path
    if bool(known.sentence_labels) != bool(schema.sentence_labels):
        has, lacks = ("has", "lacks") if known.sentence_labels else ("lacks", "has")
        raise ValueError(
            f"{place!r} {has} sentence labels, which this run {lacks}; reuse the schema in its config.json."
        )
    if known.characters != schema.characters:
        raise ValueError(
            f"the characters of this run are not those that {place!r} was trained with; reuse the schema in its "
            "config.json."
        )
    compare_labels(arguments, known.tags, schema.tags, kind="tags")
    if known.sentence_labels:
        compare_labels(arguments, known.sentence_labels, schema.sentence_labels, kind="sentence labels")
