"""Code of the Hub runs only at a commit; a folder is free as far as its code lies in it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import transformers

from hf_ext.models.arguments import ModelArguments
from hf_ext.models.pretrained import read_config
from hf_ext.models.pretraining_arguments import PretrainingModelArguments
from hf_ext.models.remote_code import find_repositories, require_pinned_code
from hf_ext.models.tagger_arguments import TaggerArguments
from hf_ext.tokenization.arguments import TokenizerArguments

COMMIT = "0123456789abcdef" * 2 + "01234567"


def folder_with_code(folder, reference, *, tokenizer=None):
    """Save a config whose class lies where ``reference`` says."""
    folder.mkdir()
    config = {"model_type": "own", "auto_map": {"AutoConfig": reference}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "own.py").write_text(
        "from transformers import PreTrainedConfig\n\n\nclass OwnConfig(PreTrainedConfig):\n    model_type = 'own'\n",
        encoding="utf-8",
    )
    if tokenizer:
        settings = {"auto_map": {"AutoTokenizer": tokenizer}}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("kind", [ModelArguments, TaggerArguments, PretrainingModelArguments])
@pytest.mark.parametrize("flag", ["model_name_or_path", "config_name", "tokenizer_name"])
@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:7], COMMIT.upper(), COMMIT + "0"])
def test_code_of_the_hub_needs_a_commit(kind, flag, revision):
    with pytest.raises(ValueError, match="'somebody/model' on the Hub holds that day: pin it by --model_revision"):
        kind(**{flag: "somebody/model"}, model_revision=revision, trust_remote_code=True)
    assert kind(**{flag: "somebody/model"}, model_revision=COMMIT, trust_remote_code=True).trust_remote_code
    assert not kind(**{flag: "somebody/model"}, model_revision=revision).trust_remote_code


def test_a_folder_with_its_code_is_free(tmp_path):
    folder = folder_with_code(tmp_path / "model", "own.OwnConfig")
    arguments = ModelArguments(model_name_or_path=folder, trust_remote_code=True)
    assert type(read_config(arguments, folder)).__name__ == "OwnConfig"


def test_without_the_flag_the_code_of_a_folder_does_not_run(tmp_path):
    folder = folder_with_code(tmp_path / "model", "own.OwnConfig")
    with pytest.raises(ValueError, match="trust_remote_code"):
        read_config(ModelArguments(model_name_or_path=folder), folder)


@pytest.mark.parametrize("tokenizer", [None, "other/words--words.Own", ["other/words--words.Own", None]])
def test_a_folder_whose_code_lies_on_the_hub_is_not(tmp_path, tokenizer):
    reference = "own.OwnConfig" if tokenizer else "other/words--own.OwnConfig"
    folder = folder_with_code(tmp_path / "model", reference, tokenizer=tokenizer)
    assert set(find_repositories(folder)) == {"other/words"}
    with pytest.raises(ValueError, match="'other/words' on the Hub"):
        ModelArguments(model_name_or_path=folder, trust_remote_code=True)
    with pytest.raises(ValueError, match=r"'other/words' on the Hub.* --local-dir FOLDER"):
        TokenizerArguments(merge_into=folder, trust_remote_code=True)


def test_borrowed_code_is_asked_for_at_the_commit(tmp_path, monkeypatch):
    """transformers alone would take the newest code of the other repository."""
    folder = folder_with_code(tmp_path / "model", "other/words--own.OwnConfig")
    asked = []

    def refuse(repository, file, **options):
        asked.append((repository, options.get("revision")))
        raise OSError("no network in tests")

    monkeypatch.setattr(transformers.dynamic_module_utils, "cached_file", refuse)
    arguments = ModelArguments(model_name_or_path=folder, model_revision=COMMIT, trust_remote_code=True)
    with pytest.raises(ValueError, match="no network"):
        read_config(arguments, folder)
    assert asked == [("other/words", COMMIT)]


@pytest.mark.parametrize("flag", ["from_tokenizer", "merge_into", "reference_tokenizer"])
def test_a_tokenizer_of_the_hub_runs_no_code(flag):
    with pytest.raises(ValueError, match="hf download NAME --revision COMMIT"):
        TokenizerArguments(**{flag: "somebody/tokenizer"}, trust_remote_code=True)


@pytest.mark.parametrize("content", ["", "[1]", '{"auto_map": 3}', "{", '{"auto_map": {"AutoConfig": null}}'])
def test_a_broken_file_names_no_repository(tmp_path, content):
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert list(find_repositories(str(tmp_path))) == []
    require_pinned_code([str(tmp_path), None], "main")


def test_it_is_asked_without_torch():
    code = "import sys, hf_ext.models.remote_code; print({'torch', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
