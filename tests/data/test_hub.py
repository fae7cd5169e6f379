from __future__ import annotations

import datasets
import pytest

from hf_ext.data.arguments import DataArguments
from hf_ext.data.classification import ClassificationData
from hf_ext.data.hub import load_hub_splits
from hf_ext.data.rows import LINE_COLUMN
from hf_ext.errors import UserError


def hub_rows(count: int) -> datasets.Dataset:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["neg", "pos"]),
            "tags": datasets.List(datasets.ClassLabel(names=["x", "y", "z"])),
            "stars": datasets.Value("int32"),
            "extra": {"deep": datasets.Value("string")},
        }
    )
    return datasets.Dataset.from_list(
        [{"text": f"t{i}", "label": i % 2, "tags": [i % 3], "stars": i, "extra": {"deep": "d"}} for i in range(count)],
        features=features,
    )


@pytest.fixture
def hub(monkeypatch):
    """A data set with four splits behind ``load_dataset``; gives the calls that were made."""
    splits = {"train": 6, "validation": 3, "test": 3, "unsupervised": 2}
    calls = []

    def load(*args, **kwargs):
        calls.append((args, kwargs))
        return datasets.DatasetDict({name: hub_rows(count) for name, count in splits.items()})

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


def flags(**more) -> DataArguments:
    return DataArguments(dataset_name="movies", **{"remove_columns": "extra", **more})


def test_class_ids_become_names_and_numbers_become_text(hub):
    table = load_hub_splits(flags())["train"]()
    assert table.rows[1] == {"text": "t1", "label": "pos", "tags": ["y"], "stars": "1", LINE_COLUMN: 2}
    assert table.source == "movies[train]"


def test_name_configuration_and_token_are_passed_on(hub):
    load_hub_splits(flags(dataset_config_name="small"), cache_dir="here", token="secret")
    assert hub == [(("movies", "small"), {"cache_dir": "here", "token": "secret"})]


def test_unlabelled_rows_of_the_hub_are_empty_cells(monkeypatch):
    rows = datasets.Dataset.from_dict(
        {"text": ["a", "b"], "label": [-1, None]},
        features=datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["n", "p"])}),
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: datasets.DatasetDict(test=rows))
    assert load_hub_splits(flags())["test"]().rows["label"][:] == ["", ""]


def test_splits_can_be_renamed_and_left_out(hub):
    offered = load_hub_splits(flags(train_split_name="unsupervised", remove_splits="validation, test"))
    assert set(offered) == {"train"}
    assert len(offered["train"]().rows) == 2


@pytest.mark.parametrize("flag", ["train_split_name", "test_split_name", "remove_splits"])
def test_split_that_is_not_there_is_named(hub, flag):
    with pytest.raises(UserError, match=rf"no split 'tset' – check --{flag} \(did you mean 'test'"):
        load_hub_splits(flags(**{flag: "tset"}))


def test_split_left_out_cannot_be_used(hub):
    with pytest.raises(UserError, match="no split 'test'"):
        load_hub_splits(flags(remove_splits="test", test_split_name="test"))


def test_nested_column_says_to_leave_it_out(hub):
    with pytest.raises(UserError, match=r"movies\[train\]:1: column 'extra' holds an object"):
        load_hub_splits(flags(remove_columns=None))["train"]()


@pytest.mark.parametrize(
    "error", [ConnectionError("Couldn't reach the Hub\nlong story"), ValueError("no config"), FileNotFoundError()]
)
def test_failure_to_load_is_one_line(monkeypatch, error):
    def load(*args, **kwargs):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(UserError, match="'movies' cannot be loaded") as caught:
        load_hub_splits(flags())
    assert "\n" not in str(caught.value)


def test_data_module_takes_splits_of_the_hub(hub):
    data = ClassificationData.from_arguments(
        flags(label_column_name="label", text_column_names="text"), saved=None, needs={"train", "validation", "test"}
    )
    assert data.schema.labels.names == ("neg", "pos")
    assert {name: len(split.rows) for name, split in data.splits.items()} == {"train": 6, "validation": 3, "test": 3}
    assert data.labels("test") == [0, 1, 0]


def test_list_of_class_labels_is_multi_label(hub):
    data = ClassificationData.from_arguments(flags(label_column_name="tags"), saved=None, needs={"train"})
    assert data.schema.labels.problem_type == "multi_label_classification"
    assert data.labels("train")[:2] == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_streaming_from_the_hub_is_refused_in_one_line(hub):
    with pytest.raises(UserError, match="--streaming reads local files only"):
        ClassificationData.from_arguments(flags(streaming=True), saved=None, needs={"train"})
