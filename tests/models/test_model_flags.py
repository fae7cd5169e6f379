"""Model flags are checked before anything is loaded."""

from __future__ import annotations

import pytest

from hf_ext.models.arguments import COUNTS, DROPOUTS, ModelArguments
from hf_ext.models.character_encoder import CHARACTER_ENCODERS
from hf_ext.models.configuration import CRF_CONSTRAINTS, DECODERS
from hf_ext.models.encoder_arguments import ENCODER_COUNTS, ENCODER_DROPOUTS
from hf_ext.models.fusion import FUSIONS
from hf_ext.models.packing import RNN_CLASSES
from hf_ext.models.poolers import POOLERS
from hf_ext.models.tagger_arguments import TAGGER_COUNTS, TAGGER_DROPOUTS, TaggerArguments


@pytest.mark.parametrize(("flag", "members"), [("pooler", POOLERS), ("fusion", FUSIONS)])
def test_the_choices_of_a_flag_are_the_members_of_its_family(flag, members):
    assert ModelArguments.__dataclass_fields__[flag].metadata["choices"] == list(members)


@pytest.mark.parametrize("name", COUNTS)
def test_sizes_below_one_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"--{name} must be at least 1, got 0"):
        ModelArguments(**{name: 0})


@pytest.mark.parametrize("name", DROPOUTS)
@pytest.mark.parametrize("value", [-0.1, 1.0, 2.0])
def test_dropout_is_a_share(name, value):
    with pytest.raises(ValueError, match=f"--{name} is a share"):
        ModelArguments(**{name: value})


@pytest.mark.parametrize(
    ("flag", "members"),
    [
        ("decoder", DECODERS),
        ("crf_constraints", CRF_CONSTRAINTS),
        ("head_rnn", ("none", *RNN_CLASSES)),
        ("rnn", ("none", *RNN_CLASSES)),
        ("character_encoder", ("none", *CHARACTER_ENCODERS)),
    ],
)
def test_the_choices_of_a_taggers_flag_are_the_members_of_its_family(flag, members):
    assert TaggerArguments.__dataclass_fields__[flag].metadata["choices"] == list(members)


@pytest.mark.parametrize("name", [*ENCODER_COUNTS, *TAGGER_COUNTS])
def test_a_taggers_sizes_below_one_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"--{name} must be at least 1, got 0"):
        TaggerArguments(**{name: 0})


@pytest.mark.parametrize("name", [*ENCODER_DROPOUTS, *TAGGER_DROPOUTS])
def test_a_taggers_dropout_is_a_share(name):
    with pytest.raises(ValueError, match=f"--{name} is a share"):
        TaggerArguments(**{name: 1.0})


def test_both_scripts_ask_for_an_encoder_by_the_same_flags():
    shared = set(ModelArguments.__dataclass_fields__) & set(TaggerArguments.__dataclass_fields__)
    assert {"model_name_or_path", "freeze_encoder", "embedding_file", "rnn_hidden_size", "classifier_dropout"} <= shared
    for name in shared - {"embedding_size", "rnn"}:
        assert getattr(ModelArguments(), name) == getattr(TaggerArguments(), name), name
