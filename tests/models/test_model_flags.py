"""Model flags are checked before anything is loaded."""

from __future__ import annotations

import pytest

from hf_ext.models.arguments import COUNTS, DROPOUTS, ModelArguments
from hf_ext.models.fusion import FUSIONS
from hf_ext.models.poolers import POOLERS


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
