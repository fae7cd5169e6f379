"""A flag that names data and is empty is a slip, never a wish for the demo data."""

from __future__ import annotations

import pytest

from hf_ext.data.arguments import DataArguments
from hf_ext.data.named_files import NAMES
from hf_ext.data.pretraining import PretrainingDataArguments
from hf_ext.data.tagging import TaggingDataArguments
from hf_ext.data.text_lines_arguments import TextLinesArguments

KINDS = (DataArguments, TaggingDataArguments, PretrainingDataArguments, TextLinesArguments)


@pytest.mark.parametrize("empty", ["", "  ", "\t"])
@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in KINDS for name in NAMES if name in kind.__dataclass_fields__]
)
def test_an_empty_name_is_refused(kind, name, empty):
    with pytest.raises(ValueError, match=f"--{name} is empty: name something, or leave the flag out"):
        kind(**{name: empty})


def test_names_and_none_pass():
    assert DataArguments(train_file="a.csv").names_data
    assert not DataArguments().names_data
