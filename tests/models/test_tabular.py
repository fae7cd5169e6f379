from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from hf_ext.models import tabular
from hf_ext.models.tabular import TabularEncoder, init_weights

NUMBERS = {"numeric_mean": [2.0, -1.0, 100.0], "numeric_std": [0.5, 3.0, 10.0], "numeric_missing": [True, False, True]}
NAN = float("nan")


def make(**overrides: object) -> TabularEncoder:
    torch.manual_seed(0)
    return TabularEncoder(**{"category_sizes": [4, 3], **NUMBERS, **overrides})


def numpy_reference(encoder: TabularEncoder, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Encode row by row and cell by cell in float64."""
    rows = []
    for row_ids, row_values in zip(ids, values, strict=True):
        row: list[float] = []
        for column, category in enumerate(row_ids):
            if encoder.embeddings is not None:
                row += encoder.embeddings[column].weight[category].tolist()
            else:
                one_hot = np.zeros(encoder.category_sizes[column])
                one_hot[category] = 1.0
                row += one_hot[1:].tolist()
        for value, mean, std in zip(row_values, NUMBERS["numeric_mean"], NUMBERS["numeric_std"], strict=True):
            row.append(0.0 if np.isnan(value) else (value - mean) / std)
        row += [float(np.isnan(v)) for v, flag in zip(row_values, NUMBERS["numeric_missing"], strict=True) if flag]
        rows.append(row)
    return np.array(rows)


CELLS = st.tuples(
    st.integers(0, 3),
    st.integers(0, 2),
    st.lists(st.one_of(st.just(NAN), st.floats(-1e4, 1e4, width=32)), min_size=3, max_size=3),
)


@pytest.mark.parametrize("category_embedding", ["one_hot", "learned"])
@given(rows=st.lists(CELLS, min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_encoding_equals_numpy(category_embedding, rows):
    encoder = make(category_embedding=category_embedding, category_embedding_size=5)
    ids = np.array([row[:2] for row in rows])
    values = np.array([row[2] for row in rows])
    found = encoder(torch.tensor(ids), torch.tensor(values, dtype=torch.float32))
    assert found.shape == (len(rows), encoder.output_size)
    assert found.isfinite().all()
    np.testing.assert_allclose(found.detach().numpy(), numpy_reference(encoder, ids, values), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "output_size"),
    [
        ({}, 3 + 2 + 3 + 2),
        ({"category_embedding": "learned", "category_embedding_size": 5}, 5 + 5 + 3 + 2),
        ({"category_sizes": []}, 3 + 2),
        ({"numeric_mean": [], "numeric_std": [], "numeric_missing": []}, 3 + 2),
    ],
)
def test_output_size_counts_categories_numbers_and_indicators(overrides, output_size):
    encoder = make(**overrides)
    ids = torch.zeros(2, 2, dtype=torch.long) if encoder.category_sizes else None
    values = torch.zeros(2, 3) if encoder.numeric_mean.numel() else None
    assert encoder.output_size == output_size
    assert encoder(ids, values).shape == (2, output_size)


def test_unknown_category_is_the_zero_vector():
    for category_embedding in ("one_hot", "learned"):
        encoder = make(category_embedding=category_embedding, numeric_mean=[], numeric_std=[], numeric_missing=[])
        assert (encoder(torch.tensor([[0, 0]])) == 0).all()
        assert (encoder(torch.tensor([[1, 2]])) != 0).any()


def test_unknown_category_is_trained_only_where_it_is_seen():
    encoder = make(category_embedding="learned")
    encoder(torch.tensor([[0, 1]]), torch.zeros(1, 3)).sum().backward()
    seen, unseen = encoder.embeddings
    assert (seen.weight.grad[0] == 1).all()
    assert (unseen.weight.grad[0] == 0).all()


def test_column_of_which_training_saw_only_unknown_cells_has_no_width():
    assert TabularEncoder(category_sizes=[1])(torch.zeros(2, 1, dtype=torch.long)).shape == (2, 0)


def test_missing_number_counts_as_the_mean():
    encoder = make(category_sizes=[])
    missing = encoder(numeric_values=torch.tensor([[NAN, NAN, NAN]]))
    mean = encoder(numeric_values=torch.tensor([NUMBERS["numeric_mean"]]))
    assert torch.equal(missing[:, :3], mean[:, :3])
    assert missing[0, 3:].tolist() == [1.0, 1.0]
    assert mean[0, 3:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_result_is_float32_whatever_comes_in(dtype):
    encoder = make(category_embedding="learned")
    ids, values = torch.tensor([[1, 2]]), torch.tensor([[2.5, -1.0, 110.0]], dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = encoder(ids, values)
    assert found.dtype is torch.float32
    assert torch.equal(found, encoder(ids, values.float()))
    assert copy.deepcopy(encoder).to(torch.bfloat16)(ids, values).dtype is torch.float32


def test_rows_do_not_depend_on_their_neighbours():
    encoder = make()
    ids, values = torch.tensor([[1, 0], [3, 2], [0, 1]]), torch.tensor([[1.0, NAN, 3.0], [NAN, 0, 1], [2, 2, 2]])
    order = torch.tensor([2, 0, 1])
    assert torch.equal(encoder(ids[order], values[order]), encoder(ids, values)[order])


def test_gradient_reaches_every_parameter_past_missing_numbers():
    encoder = make(category_embedding="learned")
    encoder(torch.tensor([[1, 2]]), torch.full((1, 3), NAN)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("category_embedding", ["one_hot", "learned"])
def test_category_beyond_the_schema_fails_loudly(category_embedding):
    with pytest.raises((RuntimeError, IndexError)):
        make(category_embedding=category_embedding)(torch.tensor([[4, 0]]), torch.zeros(1, 3))


# --- loading -------------------------------------------------------------------------------------------------------


class TableModelConfig(PreTrainedConfig):
    model_type = "table-test"
    category_embedding: str = "learned"


class TableModel(PreTrainedModel):
    config_class = TableModelConfig
    base_model_prefix = "model"

    def __init__(self, config):
        super().__init__(config)
        self.classifier = nn.Linear(3, 2)
        if config.category_embedding != "none":
            self.table = make(category_embedding=config.category_embedding)
        self.post_init()

    def _init_weights(self, module):
        super()._init_weights(module)
        init_weights(module)


def poison() -> None:
    blocks = [torch.full((n,), NAN) for n in (3, 6, 48, 64) for _ in range(50)]
    del blocks


@pytest.mark.parametrize("category_embedding", ["one_hot", "learned"])
def test_statistics_that_a_checkpoint_lacks_come_from_the_schema(tmp_path, category_embedding):
    TableModel(TableModelConfig(category_embedding="none")).save_pretrained(tmp_path)
    poison()
    loaded = TableModel.from_pretrained(tmp_path, config=TableModelConfig(category_embedding=category_embedding))
    assert loaded.table.numeric_mean.tolist() == NUMBERS["numeric_mean"]
    assert loaded.table.numeric_std.tolist() == NUMBERS["numeric_std"]
    for parameter in loaded.table.parameters():
        assert parameter.isfinite().all()
        assert (parameter[0] == 0).all()
        assert parameter[1:].abs().sum() > 0


def test_trained_table_comes_back_bitwise(tmp_path):
    model = TableModel(TableModelConfig())
    with torch.no_grad():
        model.table.numeric_mean.add_(1.0)  # as if saved under another schema: the checkpoint wins
        for parameter in model.table.parameters():
            parameter.add_(1.0)
    model.save_pretrained(tmp_path)
    poison()
    loaded = TableModel.from_pretrained(tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_loaded_vectors_stay_where_only_the_statistics_are_missing(tmp_path):
    model = TableModel(TableModelConfig())
    with torch.no_grad():
        for parameter in model.table.parameters():
            parameter.add_(1.0)
    kept = {name: tensor for name, tensor in model.state_dict().items() if "numeric" not in name}
    model.save_pretrained(tmp_path, state_dict=dict(kept))  # it empties what it is given
    poison()
    loaded = TableModel.from_pretrained(tmp_path)
    assert loaded.table.numeric_mean.tolist() == NUMBERS["numeric_mean"]
    for name, tensor in kept.items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_fresh_model_has_zero_vectors_for_unknown_categories():
    model = TableModel(TableModelConfig())
    assert all((parameter[0] == 0).all() for parameter in model.table.parameters())


def test_init_weights_leaves_other_modules_alone():
    assert not init_weights(nn.Linear(2, 2))


# --- messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"category_sizes": [], "numeric_mean": [], "numeric_std": [], "numeric_missing": []}, "at least one"),
        ({"numeric_missing": [True]}, "got 3, 3 and 1 entries"),
        ({"category_sizes": [0]}, r"each is at least 1, got \[0\]"),
        ({"numeric_std": [1.0, 0.0, 1.0]}, "numeric_std must be positive"),
        ({"numeric_std": [1.0, NAN, 1.0]}, "numeric_std must be positive"),
        ({"category_embedding": "hash"}, "must be one_hot or learned, got 'hash'"),
    ],
)
def test_wrong_construction_is_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        make(**overrides)


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        (None, torch.zeros(1, 3), "2 columns of category_ids, got none"),
        (torch.zeros(1, 2, dtype=torch.long), None, "3 columns of numeric_values, got none"),
        (torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3), r"category_ids must have shape \(batch, 2\)"),
        (torch.zeros(1, 2, dtype=torch.long), torch.zeros(3), r"numeric_values must have shape \(batch, 3\)"),
    ],
)
def test_wrong_input_is_named(ids: Tensor | None, values: Tensor | None, message: str):
    with pytest.raises(ValueError, match=message):
        make()(ids, values)


def test_cells_of_columns_that_the_model_lacks_are_refused():
    with pytest.raises(ValueError, match=r"category_ids must have shape \(batch, 0\)"):
        make(category_sizes=[])(torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 3))


def test_choices_are_those_of_the_flag():
    from hf_ext.models.arguments import ModelArguments

    choices = ModelArguments.__dataclass_fields__["category_embedding"].metadata["choices"]
    assert tuple(choices) == tabular.CATEGORY_EMBEDDINGS
