"""An upload takes what a list names: no prediction, no log, no checkpoint, no token."""

from __future__ import annotations

import json

import hub_server
import pytest
import transformers.utils.hub
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects
from transformers import TrainingArguments

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer
from hf_ext.training.hub import list_uploads

SECRET = "hf_secretSECRETsecret"
PUBLIC = {
    *("README.md", "config.json", "model.safetensors", "model-00001-of-00002.safetensors"),
    *(
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
    ),
    *("all_results.json", "train_results.json", "eval_results.json", "predict_results.json", "cost_results.json"),
    *("eval_all_checkpoints.json", "label_report.csv", "entity_report.csv", "confusion_matrix.png"),
}
PRIVATE = {
    *("predictions.csv", "predictions.jsonl", "predictions.txt", "predictions.conll", "predict_results.txt"),
    *("entity_errors.csv", "errors.csv", "train_log.jsonl", "trainer_state.json", "training_args.json", "run.json"),
    *("training_args.bin", "data_report.json", "split_indices.json", "parameter_groups.json", "nohup.out", "own.py"),
    *("notes.txt", ".env", "ema.safetensors", "optimizer.pt", "my.model", "holiday.png", "train.csv", "results.json"),
    *("checkpoint-2/model.safetensors", "checkpoint-2/optimizer.pt", "_broken-checkpoint-4-1/config.json"),
    *("logs/events.out.tfevents.1", "cache/tokenizer.json", "README.md/x", "a[1].txt"),
}


@pytest.fixture
def folder(tmp_path):
    """Make an output folder of everything that a run and its user may leave."""
    for name in (PUBLIC | PRIVATE) - {"README.md/x"}:
        path = tmp_path / "full" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}" if name == "config.json" else name, encoding="utf-8")
    return tmp_path / "full"


@pytest.fixture
def hub(monkeypatch):
    """Let this process talk to a Hub on loopback, with a token in the environment."""
    with hub_server.running_hub() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(transformers.utils.hub, "_hf_api", None, raising=False)  # the endpoint is kept there
        monkeypatch.setenv("HF_TOKEN", SECRET)
        yield server


def test_the_list_is_model_tokenizer_card_and_results(folder):
    assert set(list_uploads(folder)) == PUBLIC


def test_more_files_are_named_and_a_name_without_a_file_is_told(folder, caplog):
    more = list_uploads(folder, more="predictions.*, a[[]1].txt, none.csv")
    assert set(more) == PUBLIC | {
        "predictions.csv",
        "predictions.jsonl",
        "predictions.txt",
        "predictions.conll",
        "a[1].txt",
    }
    assert "--push_files none.csv: there is no such file" in caplog.text


def test_code_belongs_to_a_model_that_brings_its_own(folder):
    auto_map = {"AutoModel": "own.Own", "AutoConfig": "else/where--other.Config", "AutoTokenizer": ["own.Slow", None]}
    (folder / "config.json").write_text(json.dumps({"auto_map": auto_map}), encoding="utf-8")
    (folder / "own.py").write_text("from .layers import Layer\n", encoding="utf-8")
    (folder / "layers.py").write_text("from .own import Own\n", encoding="utf-8")
    (folder / "my_notes.py").write_text("SECRET = 1\n", encoding="utf-8")
    assert set(list_uploads(folder)) == PUBLIC | {"own.py", "layers.py"}


@pytest.mark.parametrize("pattern", ["../secret.txt", "/etc/passwd", "a/../../b"])
def test_files_outside_of_the_folder_cannot_be_named(arguments, pattern):
    with pytest.raises(ValueError, match="--push_files names files of the output folder"):
        arguments(push_files=f"ok.csv,{pattern}")


def test_a_new_repository_is_private_and_says_so(arguments, caplog):
    caplog.set_level("INFO")
    assert arguments(push_to_hub=True).hub_private_repo is True
    assert "--hub_private_repo False makes it public" in caplog.text
    assert arguments(push_to_hub=True, hub_private_repo=False).hub_private_repo is False
    assert arguments().hub_private_repo is None


def test_an_upload_holds_the_listed_files_and_nothing_holds_the_token(hub, folder, arguments, rows, bert, caplog):
    caplog.set_level("INFO")
    args = arguments(output_dir=str(folder), push_to_hub=True, push_files="a[[]1].txt", overwrite_output_dir=True)
    trainer = ExtTrainer(bert, args, train_dataset=rows)
    trainer.train()
    trainer.push_to_hub()
    assert (hub.created[0].get("private"), hub.created[0].get("visibility")) in {(True, None), (None, "private")}
    assert hub.tokens - {None} == {f"Bearer {SECRET}"}
    (commit,) = hub.commits
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    sent = {*filter_repo_objects(present, allow_patterns=[*PUBLIC, "a[[]1].txt"])}  # the library's own reading
    assert set(commit) == sent
    assert "model-00001-of-00002.safetensors" not in sent  # weights of an earlier model go when a new one is saved
    assert commit["README.md"] == b"README.md"  # the card that lies there stays
    held = [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert not held
    assert not [name for name, data in commit.items() if SECRET.encode() in data]
    assert SECRET not in caplog.text


def test_a_card_is_written_where_there_is_none_or_something_is_said(hub, arguments, rows, bert, tmp_path):
    trainer = ExtTrainer(bert, arguments(push_to_hub=True, hub_model_id="mine"), train_dataset=rows)
    trainer.train()
    trainer.save_model()  # which pushes too, as transformers has it
    trainer.push_to_hub(license="apache-2.0", commit_message="again")
    first, second = hub.commits
    assert b"mine" in first["README.md"]
    assert b"apache-2.0" in second["README.md"]
    assert set(first) == {"README.md", "config.json", "model.safetensors"}


def test_plain_arguments_upload_nothing_while_training(hub, rows, bert, tmp_path, caplog):
    """There every save is one of them, and the parent would send a pickle with the token in it."""
    args = TrainingArguments(
        str(tmp_path / "out"), push_to_hub=True, use_cpu=True, disable_tqdm=True, max_steps=2, save_steps=1
    )
    ExtTrainer(bert, args, train_dataset=rows).train()
    assert hub.commits == []
    assert "uploaded at the end" in caplog.text


def test_a_hub_that_refuses_is_one_line_and_the_model_is_here(hub, arguments, rows, bert, tmp_path):
    hub.refuses_commits = True
    trainer = ExtTrainer(bert, arguments(push_to_hub=True), train_dataset=rows)
    with pytest.raises(
        UserError, match=r"nothing was uploaded \(.*\) – check HF_TOKEN and --hub_model_id; the model is in"
    ) as caught:
        trainer.push_to_hub()
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_hub_that_is_not_there_is_one_line_too(hub, arguments, rows, bert, monkeypatch):
    trainer = ExtTrainer(bert, arguments(push_to_hub=True), train_dataset=rows)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    with pytest.raises(UserError, match="nothing was uploaded"):
        trainer.push_to_hub()
