"""What puts a pretraining run together: checks before anything is read, new tokens, masks that fit the model."""

from __future__ import annotations

import datasets
import pytest
from scripts.pretraining_files import chinese, make_tokenizer, write_rows
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, DebertaV2Config, DebertaV2ForMaskedLM

from hf_ext.cli.pretraining_building import (
    build_callbacks,
    build_collator,
    check_model,
    check_tokens,
    extend_tokenizer,
    load_pretraining_tokenizer,
    use_pretraining_demo,
)
from hf_ext.data.pretraining import PretrainingData, PretrainingDataArguments
from hf_ext.errors import UserError
from hf_ext.models.pretraining_arguments import PretrainingModelArguments
from hf_ext.training import ExtTrainingArguments
from hf_ext.training.new_rows import NewRowsOnly

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.fixture
def arguments(tmp_path):
    return ExtTrainingArguments(output_dir=str(tmp_path / "out"), use_cpu=True, seed=7)


@pytest.fixture
def data(tmp_path):
    def build(**flags):
        settings = PretrainingDataArguments(train_file=write_rows(tmp_path / "a.jsonl", chinese(6)), **flags)
        return PretrainingData.from_arguments(settings, needs={"train"}, cache_dir=str(tmp_path / "cache"))

    return build


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "no model is named"),
        ({"model_name_or_path": "./none"}, "'./none' is not a folder here"),
        ({"model_type": "bert", "add_tokens": "none.txt"}, "none.txt: no such file"),
        ({"model_type": "brt"}, "--model_type brt: did you mean 'bert'"),
        ({"model_type": "bert", "config_overrides": "hiden_size=8"}, "did you mean 'hidden_size'"),
    ],
)
def test_a_run_without_a_model_ends_before_text_is_read(flags, message):
    with pytest.raises(UserError, match=message):
        check_model(PretrainingModelArguments(**flags))


def test_a_tokenizer_of_other_tokens_than_the_models_is_said(caplog, tmp_path):
    own = make_tokenizer()
    own.save_pretrained(tmp_path / "own")
    other = BertTokenizerFast(vocab={token: len(own) - 1 - i for token, i in own.get_vocab().items()})
    other.save_pretrained(tmp_path / "other")
    for name, said in (("own", False), ("other", True)):
        named = {"model_name_or_path": str(tmp_path / "own"), "tokenizer_name": str(tmp_path / name)}
        load_pretraining_tokenizer(PretrainingModelArguments(**named), PretrainingData({}))
        assert ("have another id, or none" in caplog.text) == said


def test_the_demo_brings_a_small_model_unless_one_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("hf_ext.cli.pretraining_building.prepare_pretraining_demo", lambda folder: folder / "a.txt")
    model_args, data_args = PretrainingModelArguments(), PretrainingDataArguments()
    use_pretraining_demo(model_args, data_args, tmp_path)
    assert (model_args.model_type, data_args.max_seq_length, data_args.document_boundary) == ("bert", 64, "line")
    check_model(model_args)
    named = PretrainingModelArguments(model_type="roberta")
    use_pretraining_demo(named, PretrainingDataArguments(), tmp_path)
    assert (named.model_type, named.config_overrides) == ("roberta", None)


def test_text_of_unknown_tokens_is_refused_and_much_of_it_is_mentioned(caplog):
    tokenizer = make_tokenizer()
    unknown, known = tokenizer.unk_token_id, tokenizer.convert_tokens_to_ids("the")

    def rows(*ids):
        return {"train": datasets.Dataset.from_dict({"input_ids": [[tokenizer.cls_token_id, *ids]]})}

    check_tokens(rows(known, known), tokenizer)
    assert not caplog.records
    check_tokens(rows(known, unknown), tokenizer)
    assert "33 % of the tokens of the train text are unknown" in caplog.text
    with pytest.raises(UserError, match="knows nothing of the train text"):
        check_tokens(rows(unknown, unknown), tokenizer)


@pytest.mark.parametrize("start", ["pieces", "random"])
def test_new_tokens_are_made_of_what_stood_in_their_place_or_of_nothing(start, tmp_path):
    (tmp_path / "words.txt").write_text("harbour\n", encoding="utf-8")
    tokenizer = make_tokenizer()
    old = tokenizer.convert_tokens_to_ids(["har", "##bour"])
    flags = PretrainingModelArguments(add_tokens=str(tmp_path / "words.txt"), add_tokens_init=start)
    assert extend_tokenizer(flags, tokenizer) == {"harbour": old if start == "pieces" else []}
    assert extend_tokenizer(PretrainingModelArguments(), tokenizer) == {}


def test_masks_fit_what_the_model_can(arguments, data):
    """BERT takes positions of masked tokens and keeps documents apart; of DeBERTa only the row is known."""
    tokenizer = make_tokenizer()
    bert = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **SIZES))
    deberta = DebertaV2ForMaskedLM(DebertaV2Config(vocab_size=len(tokenizer), **SIZES))
    of_bert, of_deberta = (build_collator(tokenizer, model, data(), arguments) for model in (bert, deberta))
    row = {"input_ids": [2, 9, 10, 3, 2, 11, 12, 3], "document_lengths": [4, 4], "row": 0}
    assert of_bert([row])["attention_mask"].shape == (1, 1, 8, 8)
    assert "masked_positions" in of_bert([row])
    assert of_deberta([row])["attention_mask"].shape == (1, 8)
    assert "masked_positions" not in of_deberta([row])
    alone = build_collator(tokenizer, bert, data(packing="none"), arguments)
    assert alone([row])["attention_mask"].shape == (1, 8)


def test_the_seed_of_the_data_decides_the_masks_before_that_of_the_run(arguments, data, tmp_path):
    tokenizer = make_tokenizer()
    bert = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **SIZES))
    assert build_collator(tokenizer, bert, data(), arguments).seed == 7
    own = ExtTrainingArguments(output_dir=str(tmp_path / "out"), use_cpu=True, seed=7, data_seed=0)
    assert build_collator(tokenizer, bert, data(), own).seed == 0


def test_new_rows_are_trained_first_only_if_asked(arguments, data):
    tokenizer = make_tokenizer()
    collator = build_collator(tokenizer, BertForMaskedLM(BertConfig(vocab_size=130, **SIZES)), data(), arguments)
    plain = build_callbacks(PretrainingModelArguments(), collator, [])
    asked = build_callbacks(PretrainingModelArguments(add_tokens="a", train_new_rows_steps=2), collator, [129])
    assert [isinstance(callback, NewRowsOnly) for callback in plain] == [False]
    assert [isinstance(callback, NewRowsOnly) for callback in asked] == [False, True]
