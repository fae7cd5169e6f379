"""LoRA as flags of the three scripts: a plain model is left, its adapter beside it, and every other method works."""

from __future__ import annotations

import re

import pytest
import torch
from peft import PeftModel
from reviews import review_rows
from scripts.ner_files import english, write_columns
from scripts.pretraining_files import english as english_documents
from scripts.pretraining_files import save_tiny_encoder, write_documents
from scripts.support import TRAIN, read_csv, read_json, run_main, write_csv
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertForMaskedLM,
    BertForSequenceClassification,
)

from hf_ext.cli.lora_checks import check_lora
from hf_ext.errors import UserError
from hf_ext.inference import Predictor
from hf_ext.models import ExtForSequenceClassification
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.token_classification import ExtForTokenClassification
from hf_ext.training import ExtTrainingArguments
from hf_ext.training.lora import adapter

LORA = ("--lora_r", "2", "--learning_rate", "1e-2", "--per_device_train_batch_size", "8")
SAVED = ("--save_strategy", "steps", "--save_steps", "3", "--eval_strategy", "steps", "--eval_steps", "3")
METHODS = (
    *("--adversarial", "pgd", "--rdrop_alpha", "1", "--ema_decay", "0.5", "--layerwise_lr_decay", "0.9"),
    *("--head_learning_rate", "2e-2", "--length_strategy", "pack", "--early_stopping_patience", "5"),
    *("--load_best_model_at_end", "--eval_all_checkpoints", *SAVED),
)


@pytest.fixture
def classify(tmp_path, tiny_bert):
    path = write_csv(tmp_path / "rows.csv", review_rows(48))
    files = ("--train_file", path, "--validation_file", path, "--test_file", path)
    folders = ("--output_dir", tmp_path / "out", "--cache_dir", tmp_path / "cache")
    model = ("--model_name_or_path", tiny_bert)
    return lambda *argv: run_main(*files, *TRAIN, *folders, *model, *LORA, "--max_steps", "6", *argv)


def probabilities(model, tokenizer, texts):
    model.eval()
    with torch.no_grad():
        return model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1)


def test_a_stock_classifier_is_merged_and_peft_loads_its_adapter(classify, tmp_path, tiny_bert, caplog):
    with caplog.at_level("INFO"):
        classify("--lora_dropout", "0.1")
    said = next(record.getMessage() for record in caplog.records if record.getMessage().startswith("LoRA:"))
    assert re.fullmatch(
        r"LoRA: 0\.000\d+ M of 0\.00\d+ M weights are trained: rank 2 beside 8 linear layers, "
        r"and in full bert\.pooler, classifier\.",
        said,
    )
    out = tmp_path / "out"
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert type(model) is BertForSequenceClassification
    assert not (out / "adapter_config.json").exists()
    assert read_json(out / "adapter" / "adapter_config.json")["base_model_name_or_path"] == tiny_bert
    tokenizer, texts = AutoTokenizer.from_pretrained(out), [row["text"] for row in review_rows(8)]
    expected = probabilities(model, tokenizer, texts)
    base = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=2)
    adapted = PeftModel.from_pretrained(base, str(out / "adapter"))
    torch.testing.assert_close(probabilities(adapted, tokenizer, texts), expected, atol=1e-5, rtol=1e-5)
    written = read_csv(out / "predictions.csv")
    answers = Predictor.from_pretrained(str(out))(texts)
    assert [row["prediction"] for row in written[:8]] == [answer["prediction"] for answer in answers]
    assert "adapter" in read_json(out / "run.json")["files"]
    assert "rank of LoRA" in (out / "README.md").read_text(encoding="utf-8")


def test_every_other_method_works_beside_it(classify, tmp_path, caplog):
    classify(*METHODS)
    assert "does not compute without padding" not in caplog.text  # so it was packed
    out = tmp_path / "out"
    scores = read_json(out / "eval_all_checkpoints.json")
    log = read_json(out / "trainer_state.json")["log_history"]
    assert list(scores) == ["checkpoint-3", "checkpoint-6"]
    assert type(AutoModelForSequenceClassification.from_pretrained(out)) is BertForSequenceClassification
    final = read_json(out / "eval_results.json")["eval_loss"]
    averaged = {entry["step"]: entry["eval_loss"] for entry in log if "eval_loss" in entry}
    assert final == pytest.approx(min(averaged[3], averaged[6]), rel=1e-5)  # the average of the best checkpoint


def test_checkpoints_are_scored_as_they_were(classify, tmp_path):
    classify("--eval_all_checkpoints", *SAVED)
    scores = read_json(tmp_path / "out" / "eval_all_checkpoints.json")
    log = read_json(tmp_path / "out" / "trainer_state.json")["log_history"]
    while_training = {entry["step"]: entry["eval_loss"] for entry in log if "eval_loss" in entry}
    for step in (3, 6):
        assert scores[f"checkpoint-{step}"]["eval_loss"] == pytest.approx(while_training[step], rel=1e-6)
    final = read_json(tmp_path / "out" / "eval_results.json")["eval_loss"]
    assert final == pytest.approx(while_training[6], rel=1e-5)


def test_a_model_of_ours_with_columns_is_merged(classify, tmp_path):
    classify("--pooler", "mean", "--categorical_columns", "shop", "--numeric_columns", "price")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert type(model) is ExtForSequenceClassification
    row = {"text": "this pen number 3 is great", "shop": "north", "price": "2"}
    assert Predictor.from_pretrained(str(tmp_path / "out"))([row])[0]["prediction"] in ("good", "bad")


def test_a_tagger_with_a_crf_is_merged(tmp_path, tiny_bert):
    path = write_columns(tmp_path / "train.txt", english(30))
    files = ("--train_file", path, "--validation_file", path, "--test_file", path)
    where = ("--output_dir", tmp_path / "out", "--cache_dir", tmp_path / "cache")
    model = ("--model_name_or_path", tiny_bert, "--decoder", "crf", "--head_rnn", "lstm", "--head_rnn_hidden_size", "8")
    run_main(*files, *TRAIN, *where, *model, *LORA, "--max_steps", "4", script="run_ner.py")
    assert type(AutoModelForTokenClassification.from_pretrained(tmp_path / "out")) is ExtForTokenClassification
    kept = read_json(tmp_path / "out" / "adapter" / "adapter_config.json")["modules_to_save"]
    assert set(kept) == {"head_rnn", "emission_layer", "crf"}


def test_an_encoder_with_new_tokens_is_merged(tmp_path):
    encoder = save_tiny_encoder(tmp_path / "encoder")
    corpus = write_documents(tmp_path / "text.txt", english_documents(40))
    words = tmp_path / "words.txt"
    words.write_text("quietly\nlibrary\n", encoding="utf-8")
    flags = ("--model_name_or_path", encoder, "--train_file", corpus, "--add_tokens", words, "--do_train", "--do_eval")
    flags += ("--cache_dir", tmp_path / "cache", "--use_cpu", "--write_report", "false", "--max_seq_length", "48")
    flags += ("--max_steps", "6", "--save_strategy", "steps", "--save_steps", "3", *LORA)

    def run(out, *more):
        run_main(*flags, "--output_dir", tmp_path / out, *more, script="run_continue_pretrain.py")
        return AutoModelForMaskedLM.from_pretrained(tmp_path / out)

    model = run("out")
    again = run("again", "--resume_from_checkpoint", tmp_path / "out" / "checkpoint-3").state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in model.state_dict().items())
    assert type(model) is BertForMaskedLM
    table, decoder = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert table is decoder
    base = BertForMaskedLM.from_pretrained(encoder)
    loaded = base.get_input_embeddings().weight.detach().clone()
    assert torch.equal(table[: len(loaded)], loaded)
    assert len(table) == len(loaded) + 2
    base.resize_token_embeddings(len(table))
    adapted = PeftModel.from_pretrained(base, str(tmp_path / "out" / "adapter")).eval()
    ids = torch.arange(len(table) - 40, len(table)).unsqueeze(0)
    with torch.no_grad():
        found, expected = adapted(input_ids=ids).logits, model.eval()(input_ids=ids).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    kept = read_json(tmp_path / "out" / "adapter" / "adapter_config.json")
    assert kept["modules_to_save"] == ["cls.predictions.transform"]
    assert list(kept["trainable_token_indices"].values()) == [[len(loaded), len(loaded) + 1]]


# --- what it does not go with -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--freeze_encoder", "1"], "--lora_r freezes the encoder itself – leave out --freeze_encoder"),
        (["--adversarial", "fgm_weight"], "use fgm"),
        (["--lora_target_modules", "quary"], "known: .attention.output.dense., .attention.self.key."),
        (["--lora_r", "0"], "--lora_r must be at least 1, got 0"),
        (["--lora_alpha", "0"], "--lora_alpha must be positive"),
        (["--lora_dropout", "1"], "--lora_dropout is a share"),
        (["--lora_target_modules", ","], "--lora_target_modules names no layer"),
        (["--gradient_checkpointing_kwargs", '{"use_reentrant": true}'], "reentrant"),
    ],
)
def test_what_it_does_not_go_with_is_one_line(classify, flags, words):
    with pytest.raises(UserError, match=words):
        classify(*flags)


def test_a_model_from_scratch_has_nothing_to_adapt(tmp_path):
    with pytest.raises(UserError, match="--lora_r trains beside a pretrained encoder – name one"):
        run_main("--do_train", "--output_dir", tmp_path / "out", "--lora_r", "2")


def test_without_training_it_does_nothing_and_says_so(caplog):
    args = ExtTrainingArguments(output_dir="unused", use_cpu=True, lora_r=2)
    check_lora(args, ModelArguments())
    assert "--lora_r does nothing without --do_train" in caplog.text


def test_a_missing_package_is_named_with_its_extra(classify, monkeypatch):
    monkeypatch.setattr(adapter, "is_peft_available", lambda: False)
    with pytest.raises(UserError, match=r"--lora_r needs the package peft – pip install 'hf_ext\[peft\]'"):
        classify()
