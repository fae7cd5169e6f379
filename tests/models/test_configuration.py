"""ExtConfig: what is stored comes back, and the encoder's sizes have one place."""

from __future__ import annotations

import json

import pytest
import tagger_factories
from model_factories import COLUMNS, FAMILIES, arguments, encoder_config, recurrent_config, task
from transformers import AutoConfig, PreTrainedConfig

from hf_ext.models.configuration import TAGGER_FIELDS, ExtConfig
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, TaskSchema
from hf_ext.models.tagging_schema import TaggingSchema


@pytest.mark.parametrize("family", FAMILIES)
def test_round_trip_through_json_keeps_encoder_settings_and_task(family, tmp_path):
    schema = task(("a", "b", "c", "d"), columns=COLUMNS)
    flags = arguments(
        pooler="textcnn", classifier_hidden_sizes="7,5", classifier_dropout=0.2, fusion="gated", ngram_sizes="1,2"
    )
    config = ExtConfig.from_arguments(flags, encoder_config(family), schema)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is ExtConfig
    assert type(loaded.encoder_config) is type(config.encoder_config)
    assert loaded.encoder_config.to_dict() == config.encoder_config.to_dict()
    assert TaskSchema.from_config(loaded) == schema
    assert loaded.tabular == COLUMNS
    assert loaded.pooler_settings == {"filter_num": 5, "filter_sizes": [2, 3]}
    assert (loaded.pooler, loaded.fusion, loaded.classifier_hidden_sizes) == ("textcnn", "gated", [7, 5])
    assert loaded.classifier_dropout == 0.2
    assert (loaded.ngram_sizes, loaded.ngram_buckets) == ([1, 2], 300000)
    assert loaded.num_labels == 4


def test_saving_what_was_loaded_writes_the_same_file(tmp_path):
    config = ExtConfig.from_arguments(arguments(pooler="gru"), recurrent_config(rnn="gru"), task(columns=COLUMNS))
    config.save_pretrained(tmp_path / "first")
    ExtConfig.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    first, second = ((tmp_path / name / "config.json").read_text() for name in ("first", "second"))
    assert json.loads(first) == json.loads(second)


def test_config_without_arguments_stands_on_a_recurrent_encoder():
    config = ExtConfig()
    assert config.encoder_config.model_type == "hf_ext_recurrent"
    assert not config.tabular
    assert ExtConfig(**config.to_dict()).to_dict() == config.to_dict()


def test_two_configs_share_no_mutable_default():
    one, other = ExtConfig(), ExtConfig()
    one.classifier_hidden_sizes.append(3)
    one.pooler_settings["filter_num"] = 1
    assert other.classifier_hidden_sizes == []
    assert other.pooler_settings == {}


@pytest.mark.parametrize("problem_type", [MULTI_LABEL, REGRESSION])
def test_problem_type_comes_from_the_schema_and_survives_json(problem_type, tmp_path):
    schema = task(problem_type=problem_type)
    ExtConfig.from_arguments(arguments(), recurrent_config(), schema).save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert loaded.problem_type == problem_type
    assert TaskSchema.from_config(loaded).labels == schema.labels


def test_problem_type_is_guessed_from_the_number_of_labels_when_nobody_says():
    assert ExtConfig(num_labels=1).problem_type == REGRESSION
    assert ExtConfig(num_labels=3).problem_type == "single_label_classification"


def test_vocabulary_and_padding_id_are_the_encoders_own():
    config = ExtConfig(encoder_config=recurrent_config(vocab_size=11, pad_token_id=4))
    assert (config.vocab_size, config.pad_token_id, config.hidden_size) == (11, 4, 12)
    config.vocab_size, config.pad_token_id = 13, 2
    assert (config.encoder_config.vocab_size, config.encoder_config.pad_token_id) == (13, 2)
    assert "vocab_size" not in config.to_diff_dict()


def test_cls_is_the_last_token_for_xlnet_and_the_first_elsewhere():
    positions = {
        family: ExtConfig.from_arguments(arguments(), encoder_config(family), task()).pooler_settings["cls_position"]
        for family in FAMILIES
    }
    assert positions.pop("xlnet") == "last"
    assert set(positions.values()) == {"first"}


def test_only_the_settings_of_the_chosen_pooler_are_stored():
    def stored(pooler: str) -> dict:
        flags = arguments(pooler=pooler, lstm_layers=1, lstm_dropout=0.1)
        return ExtConfig.from_arguments(flags, recurrent_config(), task()).pooler_settings

    assert stored("lstm") == {"lstm_hidden_size": 6, "lstm_layers": 1, "lstm_dropout": 0.1}
    assert stored("mean") == {}


def test_subclass_without_init_keeps_the_fields_of_its_parent():
    class Longer(ExtConfig):
        model_type = "hf_ext_longer"
        extra: int = 3

    config = Longer(pooler="max", extra=4)
    assert (config.pooler, config.extra, config.encoder_config.model_type) == ("max", 4, "hf_ext_recurrent")


def test_encoder_that_transformers_does_not_know_is_named_in_the_error():
    class Strange(PreTrainedConfig):
        model_type = "strange"

    with pytest.raises(ValueError, match="'strange' is not one that transformers knows"):
        ExtConfig(encoder_config=Strange())
    with pytest.raises(ValueError, match="'strange' is not one that transformers knows"):
        ExtConfig(encoder_config={"model_type": "strange"})


def test_a_classifier_stores_nothing_about_tagging_and_loads_without_it(tmp_path):
    config = ExtConfig.from_arguments(arguments(), recurrent_config(), task())
    config.save_pretrained(tmp_path)
    assert not set(TAGGER_FIELDS) & set(json.loads((tmp_path / "config.json").read_text()))
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert (loaded.tag_decoder, loaded.tagging_schema, loaded.multitask_alpha) == (None, None, None)
    assert loaded.keys_to_ignore_at_inference == ["past_key_values"]


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_round_trip_through_json_keeps_every_setting_of_a_tagger(family, joint, tmp_path):
    flags = {"decoder": "crf", "crf_constraints": "train", "head_rnn": "gru", "head_rnn_layers": 3}
    flags |= {"character_encoder": "cnn", "head_rnn_dropout": 0.25, "classifier_dropout": 0.4}
    wanted = tagger_factories.schema(joint=joint, characters=True)
    config = ExtConfig.for_tagging(tagger_factories.arguments(**flags), encoder_config(family), wanted)
    config.save_pretrained(tmp_path / "first")
    loaded = AutoConfig.from_pretrained(tmp_path / "first")
    assert {name: getattr(loaded, name) for name in TAGGER_FIELDS} == {
        **{"tag_decoder": "crf", "crf_constraints": "train", "head_rnn": "gru", "head_rnn_hidden_size": 5},
        **{"head_rnn_layers": 3, "head_rnn_dropout": 0.25, "character_encoder": "cnn", "character_embedding_size": 4},
        **{"character_hidden_size": 3, "multitask_alpha": 0.5 if joint else None},
        "tagging_schema": config.tagging_schema,
    }
    assert loaded.classifier_dropout == 0.4
    assert TaggingSchema.from_config(loaded) == wanted
    assert "logits" in loaded.keys_to_ignore_at_inference
    loaded.save_pretrained(tmp_path / "second")
    first, second = ((tmp_path / name / "config.json").read_text() for name in ("first", "second"))
    assert json.loads(first) == json.loads(second)
    assert "keys_to_ignore_at_inference" not in first


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tag_decoder", "viterbi", "tag_decoder must be one of softmax, crf; got 'viterbi'"),
        ("crf_constraints", "always", "crf_constraints must be one of decode, train, none; got 'always'"),
    ],
)
def test_unknown_choices_of_a_tagger_are_answered_with_the_known_ones(name, value, message):
    with pytest.raises(ValueError, match=message):
        ExtConfig(**{name: value})


def test_the_name_of_a_decoder_is_not_taken_for_a_part_of_the_model():
    config = ExtConfig(encoder_config=recurrent_config(), tag_decoder="crf")
    assert all(config.get_text_config(**{end: True}) is config for end in ("decoder", "encoder"))
