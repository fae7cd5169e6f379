"""run_continue_pretrain.py in this process: what it learns, what its figures mean, what it leaves for other scripts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from scripts.pretraining_files import chinese, english, save_tiny_encoder, write_documents, write_rows
from scripts.support import read_json, run_main, write_csv
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertForPreTraining

from hf_ext.data.pretraining import MaskingCollator, PretrainingData, PretrainingDataArguments
from hf_ext.errors import UserError

TINY = "hidden_size=16,num_hidden_layers=1,num_attention_heads=2,intermediate_size=32,max_position_embeddings=64"
QUICK = ("--per_device_train_batch_size", "4", "--learning_rate", "1e-2", "--save_strategy", "no")
TRAIN = ("--do_train", "--do_eval", "--max_steps", "6", *QUICK)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    return save_tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A folder with English paragraphs and Chinese rows."""
    folder = tmp_path_factory.mktemp("corpus")
    write_documents(folder / "a.txt", english(40))
    write_rows(folder / "b.jsonl", chinese(40))
    return folder


def run(folder: Path, *argv, out: str = "out") -> dict:
    where = ("--cache_dir", folder / "cache", "--output_dir", folder / out)
    quiet = ("--use_cpu", "--disable_tqdm", "true", "--write_report", "false")
    return run_main(*argv, *quiet, *where, script="run_continue_pretrain.py")


@pytest.fixture(scope="module")
def trained(encoder, corpus, tmp_path_factory) -> Path:
    """A folder with ``out``: the encoder pretrained further with whole words, and evaluated on the way."""
    folder = tmp_path_factory.mktemp("trained")
    flags = ("--masking", "whole_word", "--max_seq_length", "48", "--validation_split_percentage", "20")
    steps = ("--do_train", "--do_eval", "--max_steps", "60", "--eval_strategy", "steps", "--eval_steps", "20")
    run(folder, "--model_name_or_path", encoder, "--train_file", corpus, *flags, *steps, *QUICK)
    return folder


# --- a whole run -----------------------------------------------------------------------------------------------------


def test_it_learns_and_leaves_the_promised_files(trained):
    curve = [json.loads(line) for line in (trained / "out" / "train_log.jsonl").read_text("utf-8").splitlines()]
    perplexities = [line["eval_perplexity"] for line in curve if "eval_perplexity" in line]
    first, _, third, last = perplexities  # three on the way, one at the end
    assert 130 > first > third == last  # tokens in the vocabulary
    left = {path.name for path in (trained / "out").iterdir()}
    expected = {"config.json", "model.safetensors", "tokenizer.json", "trainer_state.json", "README.md"}
    expected |= {"train_results.json", "eval_results.json", "all_results.json", "split_indices.json"}
    assert expected <= left
    assert not any(name.endswith((".bin", ".pkl", ".pickle")) for name in left)
    assert read_json(trained / "out" / "config.json")["architectures"] == ["BertForMaskedLM"]


def test_the_figures_of_rows_and_masks_are_there(trained):
    results = read_json(trained / "out" / "all_results.json")
    for split in ("train", "eval"):
        assert results[f"{split}_mask_rate"] == pytest.approx(0.15, abs=0.02)
        assert 0.8 < results[f"{split}_utilisation"] <= 1
        assert results[f"{split}_tokens_per_second"] > 0
        assert results[f"{split}_samples"] > 1
    assert results["eval_perplexity"] == math.exp(results["eval_loss"])


def test_the_evaluation_loss_is_that_of_the_dense_stock_head_on_the_same_masks(trained, corpus):
    """All masked tokens of the validation rows count once, whatever the batches are."""
    model = AutoModelForMaskedLM.from_pretrained(trained / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(trained / "out")
    arguments = PretrainingDataArguments(
        train_file=str(corpus), masking="whole_word", max_seq_length=48, validation_split_percentage=20
    )
    data = PretrainingData.from_arguments(arguments, needs={"validation"}, cache_dir=str(trained / "cache"))
    rows = data.tokenize(tokenizer, cache_dir=trained / "cache" / "hf_ext")["validation"]
    collator = MaskingCollator(tokenizer, masking="whole_word", isolate_documents=True)
    total, count = 0.0, 0
    for row in rows:
        batch = collator([row])
        batch.pop("masked_positions")
        labels = batch.pop("labels")
        with torch.no_grad():
            scores = model(**batch).logits.double()
        total += float(torch.nn.functional.cross_entropy(scores[0], labels[0], reduction="sum"))
        count += int(labels.ne(-100).sum())
    assert read_json(trained / "out" / "eval_results.json")["eval_loss"] == pytest.approx(total / count, rel=1e-5)


def test_another_run_evaluates_the_saved_model_to_the_same_loss_in_other_batches(trained, corpus, tmp_path):
    flags = ("--masking", "whole_word", "--max_seq_length", "48", "--validation_split_percentage", "20")
    again = run(
        tmp_path, "--model_name_or_path", trained / "out", "--train_file", corpus, *flags, "--do_eval",
        "--per_device_eval_batch_size", "3",
    )  # fmt: skip
    expected = read_json(trained / "out" / "eval_results.json")["eval_loss"]
    assert again["eval"]["eval_loss"] == pytest.approx(expected, rel=1e-5)


# --- what other scripts take -----------------------------------------------------------------------------------------


def test_the_classification_script_finds_every_encoder_weight(trained, tmp_path):
    rows = [{"text": text, "label": str(i % 2)} for i, text in enumerate(english(16))]
    files = ("--train_file", write_csv(tmp_path / "train.csv", rows), "--do_train", "--save_strategy", "no")
    stay = ("--learning_rate", "0", "--max_steps", "1", "--use_cpu", "--disable_tqdm", "true")
    where = ("--cache_dir", tmp_path / "cache", "--output_dir", tmp_path / "out")
    run_main("--model_name_or_path", trained / "out", *files, *stay, *where)
    assert_same_encoder(trained / "out", tmp_path / "out")


def test_the_tagging_script_finds_every_encoder_weight(trained, tmp_path):
    lines = "".join("".join(f"{word}\tO\n" for word in text.split()) + "Oslo\tB-LOC\n\n" for text in english(8))
    (tmp_path / "train.conll").write_text(lines, encoding="utf-8")
    files = ("--train_file", tmp_path / "train.conll", "--do_train", "--save_strategy", "no")
    stay = ("--learning_rate", "0", "--max_steps", "1", "--use_cpu", "--disable_tqdm", "true")
    where = ("--cache_dir", tmp_path / "cache", "--output_dir", tmp_path / "out")
    run_main("--model_name_or_path", trained / "out", *files, *stay, *where, script="run_ner.py")
    assert_same_encoder(trained / "out", tmp_path / "out")


def assert_same_encoder(left: Path, right: Path) -> None:
    one, two = (AutoModel.from_pretrained(folder).state_dict() for folder in (left, right))
    names = {name for name in one if not name.startswith("pooler.")}
    assert names
    assert names == {name for name in two if not name.startswith("pooler.")}
    assert all(torch.equal(one[name], two[name]) for name in names)


# --- other kinds of run ----------------------------------------------------------------------------------------------


def test_from_scratch_with_overridden_sizes_and_a_tokenizer_counted_from_the_text(corpus, tmp_path):
    results = run(tmp_path, "--model_type", "bert", "--config_overrides", TINY, "--train_file", corpus, *TRAIN)
    assert math.isfinite(results["eval"]["eval_perplexity"])
    config = read_json(tmp_path / "out" / "config.json")
    assert (config["hidden_size"], config["num_hidden_layers"]) == (16, 1)
    assert config["vocab_size"] == len(AutoTokenizer.from_pretrained(tmp_path / "out"))


def test_line_by_line_gives_each_line_a_row(encoder, tmp_path):
    lines = english(12)
    (tmp_path / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    flags = ("--train_file", tmp_path / "lines.txt", "--validation_file", tmp_path / "lines.txt", "--line_by_line")
    results = run(tmp_path, "--model_name_or_path", encoder, *flags, "--do_eval")
    assert results["eval"]["eval_samples"] >= len(lines)


@pytest.mark.parametrize("kind", ["next_sentence", "sentence_order"])
def test_sentence_pairs_train_both_heads_and_perplexity_is_of_the_masked_tokens_alone(kind, encoder, corpus, tmp_path):
    flags = ("--sentence_pairs", kind, "--max_seq_length", "48")
    results = run(tmp_path, "--model_name_or_path", encoder, "--train_file", corpus, *flags, *TRAIN)["eval"]
    assert results["eval_loss"] == pytest.approx(results["eval_mlm_loss"] + results["eval_sentence_loss"])
    assert results["eval_perplexity"] == math.exp(results["eval_mlm_loss"])
    model = BertForPreTraining.from_pretrained(tmp_path / "out")
    assert model.cls.seq_relationship.out_features == 2


def test_a_stream_is_read_while_training(encoder, corpus, tmp_path):
    flags = ("--streaming", "--shuffle_buffer_size", "8", "--max_seq_length", "48")
    held = ("--validation_file", write_documents(tmp_path / "dev.txt", english(6, offset=90)))
    results = run(tmp_path, "--model_name_or_path", encoder, "--train_file", corpus, *held, *flags, *TRAIN)
    assert math.isfinite(results["train"]["train_loss"])
    assert math.isfinite(results["eval"]["eval_perplexity"])


def test_new_tokens_start_as_the_mean_of_their_pieces_and_are_saved(encoder, corpus, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("harbour\nlibrary\n图书馆\n", encoding="utf-8")
    stay = ("--do_train", "--learning_rate", "0", "--max_steps", "1", "--save_strategy", "no")
    flags = ("--add_tokens", words, "--pad_vocab_to_multiple_of", "8")
    run(tmp_path, "--model_name_or_path", encoder, "--train_file", corpus, *flags, *stay)
    tokenizer, before = AutoTokenizer.from_pretrained(tmp_path / "out"), AutoTokenizer.from_pretrained(encoder)
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "out")
    old = AutoModel.from_pretrained(encoder).get_input_embeddings().weight
    new = model.get_input_embeddings().weight
    assert len(new) % 8 == 0
    assert torch.equal(new[: len(old)], old)
    for word in ("harbour", "library", "图书馆"):
        pieces = before(word, add_special_tokens=False)["input_ids"]
        found = tokenizer(word, add_special_tokens=False)["input_ids"]
        assert len(pieces) > 1
        assert len(found) == 1
        torch.testing.assert_close(new[found[0]], old[pieces].mean(0))


@pytest.mark.parametrize(
    "flags",
    [
        ("--adversarial", "fgm"),
        ("--adversarial", "pgd", "--adversarial_fraction", "0.5"),
        ("--ema_decay", "0.9"),
        ("--layerwise_lr_decay", "0.9", "--head_learning_rate", "1e-3"),
        ("--gradient_accumulation_steps", "2", "--train_sampling_strategy", "group_by_length"),
        ("--masking", "span", "--pad_to_max_length"),
        ("--packing", "concat", "--dataloader_num_workers", "1"),
    ],
    ids=lambda flags: flags[1],
)
def test_other_methods_go_together_with_it(flags, encoder, corpus, tmp_path):
    few = ("--max_train_samples", "24", "--max_eval_samples", "5", "--max_seq_length", "48")
    results = run(tmp_path, "--model_name_or_path", encoder, "--train_file", corpus, *few, *TRAIN, *flags)
    assert math.isfinite(results["eval"]["eval_perplexity"])


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--do_eval", "--streaming", "--do_train"), "--max_steps"),
        (("--do_predict",), "nothing to predict"),
        (("--do_train", "--rdrop_alpha", "1"), "--rdrop_alpha is not for masked language modelling"),
        (("--do_train", "--label_smoothing_factor", "0.1"), "--label_smoothing_factor"),
        (("--do_train", "--adversarial", "vat"), "vat"),
        (("--do_train", "--metric_for_best_model", "perplexty"), "did you mean 'perplexity'"),
        (("--do_train", "--remove_unused_columns", "true"), "--remove_unused_columns"),
        ((), "nothing to do"),
    ],
)
def test_what_makes_no_sense_is_answered_in_one_line(flags, message, encoder, corpus, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        run(tmp_path, "--model_name_or_path", encoder, "--train_file", corpus, *flags)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_model_without_a_head_for_pairs_is_refused(tmp_path, corpus):
    scratch = ("--model_type", "roberta", "--config_overrides", TINY, "--sentence_pairs", "next_sentence")
    with pytest.raises(UserError, match="sentence_pairs"):
        run(tmp_path, *scratch, "--train_file", corpus, *TRAIN)
