"""run_ner.py in this process: what it learns, what it writes, and that every word has a tag."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from scripts.ner_files import chinese, english, write_columns, write_folder, write_json_lines
from scripts.support import TRAIN, read_csv, read_json, run_main
from transformers import AutoModelForTokenClassification, BertForTokenClassification

from hf_ext.errors import UserError
from hf_ext.evaluation.entities import EntityCounts
from hf_ext.models.token_classification import ExtForTokenClassification

SIZES = ("--embedding_size", "24", "--rnn_hidden_size", "24", "--embedding_dropout", "0", "--classifier_dropout", "0")
SCRATCH = (*SIZES, "--learning_rate", "2e-2", "--per_device_train_batch_size", "8", "--num_train_epochs", "6")
FILES = {"predictions.txt", "predictions.jsonl", "predictions.conll"}
REPORTS = {"entity_report.csv", "entity_errors.csv"}


def files(folder: Path, make=english) -> list[str]:
    """Flags that name a train, validation and test file of columns."""
    train = write_columns(folder / "train.txt", make(60))
    dev = write_columns(folder / "dev.txt", make(15, offset=200))
    test = write_columns(folder / "test.txt", make(16, offset=300))
    return ["--train_file", train, "--validation_file", dev, "--test_file", test]


def run(folder: Path, *argv, out: str = "out") -> dict:
    where = ("--cache_dir", folder / "cache", "--output_dir", folder / out)
    return run_main(*argv, "--use_cpu", "--disable_tqdm", "true", *where, script="run_ner.py")


def tags_of(folder: Path) -> list[list[str]]:
    return [line.split() for line in (folder / "predictions.txt").read_text(encoding="utf-8").splitlines()]


def rows_of(folder: Path) -> list[dict]:
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with English files and a BiLSTM-CRF in ``out`` that has learned them."""
    folder = tmp_path_factory.mktemp("trained")
    run(folder, *files(folder), *TRAIN, *SCRATCH)
    return folder


# --- a whole run -----------------------------------------------------------------------------------------------------


def test_a_tagger_from_scratch_learns_and_leaves_the_promised_files(trained):
    results = read_json(trained / "out" / "all_results.json")
    assert results["eval_f1"] == results["predict_f1"] == 1.0
    for name in ("precision", "recall", "accuracy", "f1_macro", "f1_weighted"):
        assert results[f"eval_{name}"] == results[f"predict_{name}"] == 1.0
    assert (results["train_samples"], results["eval_samples"], results["predict_samples"]) == (60, 15, 16)
    left = {path.name for path in (trained / "out").iterdir()}
    expected = {"config.json", "model.safetensors", "tokenizer.json", "trainer_state.json", "README.md"}
    expected |= {f"{split}_results.json" for split in ("train", "eval", "predict", "all")}
    assert expected | FILES | REPORTS | {"training_args.json"} <= left
    assert not any(name.endswith((".bin", ".pkl", ".pickle")) for name in left)
    assert read_json(trained / "out" / "config.json")["tagging_schema"]["scheme"] == "BIO"


def test_every_word_has_a_tag_in_input_order(trained):
    source = english(16, offset=300)
    assert tags_of(trained / "out") == [tags for _, tags, _ in source]
    rows = rows_of(trained / "out")
    assert [row["words"] for row in rows] == [words for words, _, _ in source]
    assert [row["id"] for row in rows] == [str(i) for i in range(16)]
    first = rows[0]["entities"][0]
    assert (first["type"], first["text"]) == ("PER", "Ann Lee")
    assert 0.5 < first["confidence"] <= 1.0


def test_characters_of_chinese_are_words_and_names_are_written_without_blanks(tmp_path):
    run(tmp_path, *files(tmp_path, chinese), *TRAIN, *SCRATCH)
    results = read_json(tmp_path / "out" / "all_results.json")
    assert results["predict_f1"] == 1.0
    assert {entity["text"] for row in rows_of(tmp_path / "out") for entity in row["entities"]} >= {"王小明", "成都市"}
    assert read_json(tmp_path / "out" / "config.json")["tagging_schema"]["level"] == "character"


def test_the_scores_are_those_of_the_files(tmp_path):
    """A half-trained model, so that the figures are neither 0 nor 1."""
    flags = (*SIZES, "--learning_rate", "1e-2", "--max_steps", "25", "--per_device_train_batch_size", "4")
    run(tmp_path, *files(tmp_path), *TRAIN, *flags, "--return_entity_level_metrics")
    results = read_json(tmp_path / "out" / "all_results.json")
    counts = EntityCounts("BIO")
    for (_, gold, _), predicted in zip(english(16, offset=300), tags_of(tmp_path / "out"), strict=True):
        counts.add(gold, predicted)
    expected = counts.scores(entity_level=True)
    assert 0 < expected["f1"] < 1
    for name, value in expected.items():
        assert results[f"predict_{name}"] == pytest.approx(value), name
    table = {row["type"]: row for row in read_csv(tmp_path / "out" / "entity_report.csv", encoding="utf-8-sig")}
    assert float(table["total"]["f1"]) == pytest.approx(expected["f1"], abs=1e-4)
    errors = read_csv(tmp_path / "out" / "entity_errors.csv", encoding="utf-8-sig")
    assert {row["kind"] for row in errors} <= {"missed", "spurious", "wrong type", "wrong boundary"}
    missed = counts.gold.total() - counts.correct.total()
    assert sum(row["gold_type"] != "" for row in errors) >= missed


def test_evaluation_batch_by_batch_equals_the_scores_of_the_predictions(trained, tmp_path):
    test = ["--validation_file", trained / "test.txt", "--test_file", trained / "test.txt"]
    flags = ["--model_name_or_path", trained / "out", "--do_eval", "--do_predict", "--per_device_eval_batch_size", "3"]
    results = run(tmp_path, *flags, *test, "--return_entity_level_metrics", "--max_seq_length", "6")
    shared = {name for name in results["predict"] if name.startswith(("predict_f1", "predict_PER", "predict_acc"))}
    assert len(shared) > 5
    for name in shared:
        assert results["eval"][name.replace("predict_", "eval_", 1)] == results["predict"][name]


# --- predict only ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["columns", "json", "text"])
def test_a_saved_tagger_predicts_words_without_tags(trained, tmp_path, kind):
    sentences = english(16, offset=300)
    if kind == "columns":
        test = write_columns(tmp_path / "new.txt", sentences, tagged=False)
    elif kind == "json":
        test = write_json_lines(tmp_path / "new.jsonl", sentences, tagged=False)
    else:
        test = str(tmp_path / "new.txt")
        text = "".join(" ".join(words) + "\n" for words, _, _ in sentences)
        Path(test).write_text(text, encoding="utf-8")
    flags = ["--file_format", "text"] if kind == "text" else []
    results = run(tmp_path, "--model_name_or_path", trained / "out", "--do_predict", "--test_file", test, *flags)
    assert tags_of(tmp_path / "out") == tags_of(trained / "out")
    assert set(results) == {"predict"}
    assert "predict_f1" not in results["predict"]
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left >= FILES
    assert not left & REPORTS
    if kind == "text":
        assert rows_of(tmp_path / "out")[0]["entities"][0]["end_char"] == len("Ann Lee")


def test_a_saved_tagger_is_scored_where_tags_are_given(trained, tmp_path):
    flags = ["--model_name_or_path", trained / "out", "--do_predict", "--test_file", trained / "test.txt"]
    found = run(tmp_path, *flags, "--bootstrap_samples", "50")["predict"]
    assert [found[f"predict_f1{end}"] for end in ("_low", "", "_high")] == [1.0, 1.0, 1.0]
    assert tags_of(tmp_path / "out") == tags_of(trained / "out")
    before, after = rows_of(trained / "out"), rows_of(tmp_path / "out")
    assert [row["entities"] for row in after] == [row["entities"] for row in before]


def test_an_encoder_without_tags_is_not_asked(tiny_bert, tmp_path):
    test = write_columns(tmp_path / "new.txt", english(3), tagged=False)
    with pytest.raises(UserError, match=r"holds no trained tagger.* – add --do_train"):
        run(tmp_path, "--model_name_or_path", tiny_bert, "--do_predict", "--test_file", test)


# --- heads -----------------------------------------------------------------------------------------------------------


def test_a_plain_encoder_keeps_the_stock_head_which_loads_everywhere(tiny_bert, tmp_path):
    run(tmp_path, *files(tmp_path), *TRAIN, "--model_name_or_path", tiny_bert, "--max_steps", "3")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "out")
    assert type(model) is BertForTokenClassification
    assert model.config.id2label[0] == "O"
    assert all(len(row["tags"]) == len(row["words"]) for row in rows_of(tmp_path / "out"))
    flags = ["--model_name_or_path", tmp_path / "out", "--do_predict", "--test_file", tmp_path / "test.txt"]
    run(tmp_path, *flags, out="again")
    assert tags_of(tmp_path / "again") == tags_of(tmp_path / "out")


def test_a_stock_head_gives_the_tags_and_confidence_of_its_own_softmax(tiny_bert, tmp_path):
    flags = ["--model_name_or_path", tiny_bert, "--learning_rate", "5e-2", "--max_steps", "40"]
    run(tmp_path, *files(tmp_path, english), *TRAIN, *flags, "--per_device_train_batch_size", "4")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "out").eval()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    for row in rows_of(tmp_path / "out"):
        encoded = tokenizer(row["words"], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            probabilities = torch.softmax(model(**encoded).logits[0], -1)
        places = [encoded.word_ids().index(i) for i in range(len(row["words"]))]
        best, tags = probabilities[places].max(-1)
        assert [model.config.id2label[int(tag)] for tag in tags] == row["tags"]
        for entity in row["entities"]:
            expected = float(best[entity["start"] : entity["end"]].prod())
            assert entity["confidence"] == pytest.approx(expected, rel=1e-4)


def test_a_crf_on_an_encoder_learns_faster_than_the_encoder_and_says_so(tiny_bert, tmp_path, caplog):
    caplog.set_level("INFO")
    flags = ["--model_name_or_path", tiny_bert, "--decoder", "crf", "--learning_rate", "1e-4", "--max_steps", "2"]
    run(tmp_path, *files(tmp_path), *TRAIN, *flags)
    assert "The CRF learns at 0.0025, 25 times --learning_rate" in caplog.text
    assert read_json(tmp_path / "out" / "training_args.json")["crf_learning_rate"] == pytest.approx(2.5e-3)
    assert isinstance(AutoModelForTokenClassification.from_pretrained(tmp_path / "out"), ExtForTokenClassification)


@pytest.mark.parametrize("encoder", ["cnn", "lstm"])
def test_characters_of_words_are_read_too(tmp_path, encoder):
    flags = ("--character_encoder", encoder, "--character_embedding_size", "8", "--character_hidden_size", "8")
    results = run(tmp_path, *files(tmp_path), *TRAIN, *SCRATCH, *flags)
    assert results["predict"]["predict_f1"] == 1.0
    saved = ["--model_name_or_path", tmp_path / "out", "--do_predict", "--test_file", tmp_path / "test.txt"]
    assert run(tmp_path, *saved, out="again")["predict"]["predict_f1"] == 1.0


def test_word_vectors_from_a_file_start_the_embeddings(tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("1 24\nOslo " + " ".join(["2.5"] * 24) + "\n", encoding="utf-8")
    flags = ("--embedding_file", vectors, "--max_steps", "1", "--learning_rate", "1e-9")
    run(tmp_path, *files(tmp_path), *TRAIN, *SIZES, *flags)
    from safetensors.torch import load_file

    table = load_file(tmp_path / "out" / "model.safetensors")["recurrent.embeddings.weight"]
    assert bool((table - 2.5).abs().amax(1).lt(1e-3).any())


# --- sentence labels -------------------------------------------------------------------------------------------------


def test_intent_and_slots_are_learned_together(tmp_path):
    names = {"train": (60, 0), "dev": (15, 200), "test": (16, 300)}
    for name, (count, offset) in names.items():
        write_folder(tmp_path / "data" / name, english(count, offset=offset))
    results = run(tmp_path, "--data_dir", tmp_path / "data", *TRAIN, *SCRATCH, "--multitask_alpha", "0.3")
    for split in ("eval", "predict"):
        figures = {name: results[split][f"{split}_{name}"] for name in ("f1", "sentence_accuracy", "both_right")}
        assert figures == {"f1": 1.0, "sentence_accuracy": 1.0, "both_right": 1.0}
    parts = results["eval"]["eval_sentence_loss"], results["eval"]["eval_tag_loss"]
    assert results["eval"]["eval_loss"] == pytest.approx(0.3 * parts[0] + 0.7 * parts[1], rel=1e-5)
    rows = rows_of(tmp_path / "out")
    assert [row["sentence_label"] for row in rows] == [label for _, _, label in english(16, offset=300)]
    assert all(0.5 < row["sentence_probability"] <= 1 for row in rows)
    test = write_columns(tmp_path / "new.txt", english(16, offset=300), tagged=False)
    again = run(tmp_path, "--model_name_or_path", tmp_path / "out", "--do_predict", "--test_file", test, out="again")
    assert "predict_both_right" not in again["predict"]
    assert [row["sentence_label"] for row in rows_of(tmp_path / "again")] == [row["sentence_label"] for row in rows]


def test_a_sentence_without_words_gets_no_label_and_costs_no_point(tmp_path):
    for name, count in (("train", 60), ("test", 6)):
        write_folder(tmp_path / "data" / name, [*english(count), ([], [], "work")])
    flags = ("--do_train", "--do_predict", "--use_cpu", "--save_strategy", "no", *SCRATCH)
    results = run(tmp_path, "--data_dir", tmp_path / "data", *flags)
    assert results["predict"]["predict_sentence_accuracy"] == 1.0
    assert rows_of(tmp_path / "out")[-1]["sentence_label"] is None
    assert tags_of(tmp_path / "out")[-1] == []


# --- long documents --------------------------------------------------------------------------------------------------


def test_a_document_of_many_windows_gets_every_tag(trained, tmp_path):
    sentences = english(60, offset=400)
    words, tags = ([item for part in parts for item in part] for parts in list(zip(*sentences, strict=True))[:2])
    write_columns(tmp_path / "long.txt", [(words, tags, ""), *english(2)])
    files_ = ["--validation_file", tmp_path / "long.txt", "--test_file", tmp_path / "long.txt"]
    flags = ["--model_name_or_path", trained / "out", "--do_eval", "--do_predict", *files_, "--max_seq_length", "24"]
    results = run(tmp_path, *flags)
    assert len(tags_of(tmp_path / "out")[0]) == len(words) > 24 * 10
    assert results["eval"]["eval_f1"] == results["predict"]["predict_f1"] > 0.8
    assert results["predict"]["predict_samples"] == 3


# --- choices of the run ----------------------------------------------------------------------------------------------


def test_schemes_are_converted_on_request_and_kept_by_the_model(tmp_path):
    run(tmp_path, *files(tmp_path), *TRAIN, *SCRATCH, "--convert_scheme", "BIOES")
    results = read_json(tmp_path / "out" / "all_results.json")
    assert results["predict_f1"] == 1.0
    assert {tag[0] for tags in tags_of(tmp_path / "out") for tag in tags} == set("BIOES")
    assert read_json(tmp_path / "out" / "config.json")["tagging_schema"]["scheme"] == "BIOES"


def test_the_best_checkpoint_by_f1_is_kept(tmp_path):
    flags = ("--eval_strategy", "epoch", "--save_strategy", "epoch", "--save_total_limit", "1")
    best = ("--load_best_model_at_end", "--metric_for_best_model", "f1")
    train = [word for word in TRAIN if word not in ("--save_strategy", "no")]
    results = run(tmp_path, *files(tmp_path), *train, *SCRATCH, *flags, *best)
    state = read_json(tmp_path / "out" / "trainer_state.json")
    seen = [line["eval_f1"] for line in state["log_history"] if "eval_f1" in line]
    assert state["best_metric"] == max(seen) == results["eval"]["eval_f1"]


def test_all_checkpoints_are_scored_one_after_the_other(tmp_path):
    flags = ("--save_strategy", "steps", "--save_steps", "10", "--max_steps", "20", "--eval_all_checkpoints")
    train = [word for word in TRAIN if word not in ("--save_strategy", "no")]
    results = run(tmp_path, *files(tmp_path), *train, *SCRATCH, *flags)
    scores = read_json(tmp_path / "out" / "eval_all_checkpoints.json")
    assert list(scores) == ["checkpoint-10", "checkpoint-20"]
    assert scores["checkpoint-20"]["eval_f1"] == results["eval"]["eval_f1"]


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(tmp_path):
    flags = ("--max_steps", "8", "--save_strategy", "steps", "--save_steps", "4")
    train = [word for word in TRAIN if word not in ("--save_strategy", "no")]
    run(tmp_path, *files(tmp_path), *train, *SCRATCH, *flags)
    whole = rows_of(tmp_path / "out")
    (tmp_path / "out" / "predictions.jsonl").unlink()
    run(tmp_path, *files(tmp_path), *train, *SCRATCH, *flags, "--resume_from_checkpoint", tmp_path / "out/checkpoint-4")
    assert rows_of(tmp_path / "out") == whole


@pytest.mark.parametrize(
    ("changed", "message"),
    [("Ann", "other tokens: number .* there and .* here"), ("PER", "other labels: number .* is 'B-PER' there and .*")],
)
def test_a_run_is_not_resumed_with_data_that_give_the_weights_another_meaning(tmp_path, changed, message):
    train = [word for word in TRAIN if word not in ("--save_strategy", "no")]
    flags = (*train, *SIZES, "--save_strategy", "steps", "--save_steps", "2", "--max_steps")
    run(tmp_path, *files(tmp_path), *flags, "2")
    for name in ("train", "dev", "test"):
        path = tmp_path / f"{name}.txt"
        path.write_text(path.read_text(encoding="utf-8").replace(changed, "Zoe"), encoding="utf-8")
    named = ["--train_file", tmp_path / "train.txt", "--validation_file", tmp_path / "dev.txt"]
    with pytest.raises(UserError, match=f"checkpoint-2: the checkpoint has {message}"):
        run(tmp_path, *named, "--test_file", tmp_path / "test.txt", *flags, "4", "--resume_from_checkpoint", "true")


def test_figures_of_an_earlier_prediction_are_forgotten(trained, tmp_path):
    saved = ["--model_name_or_path", trained / "out", "--do_predict", "--test_file"]
    run(tmp_path, *saved, trained / "test.txt")
    assert read_json(tmp_path / "out" / "all_results.json")["predict_f1"] == 1.0
    run(tmp_path, *saved, write_columns(tmp_path / "new.txt", english(3), tagged=False))
    figures = read_json(tmp_path / "out" / "all_results.json")
    assert figures["predict_samples"] == 3
    assert "predict_f1" not in figures
    assert not REPORTS & {path.name for path in (tmp_path / "out").iterdir()}


def test_the_official_command_of_earlier_years_works(tmp_path, tiny_bert):
    for name, count, offset in (("train", 20, 0), ("dev", 6, 200), ("test", 6, 300)):
        write_json_lines(tmp_path / f"{name}.json", english(count, offset=offset))
    results = run(
        tmp_path,
        *("--model_name_or_path", tiny_bert, "--task_name", "ner", "--label_all_tokens"),
        *("--train_file", tmp_path / "train.json", "--validation_file", tmp_path / "dev.json"),
        *("--test_file", tmp_path / "test.json", "--text_column_name", "tokens", "--label_column_name", "ner_tags"),
        *("--per_gpu_train_batch_size", "8", "--per_gpu_eval_batch_size", "8", "--evaluation_strategy", "epoch"),
        *(
            "--overwrite_output_dir",
            "--no_cuda",
            "--num_train_epochs",
            "1",
            "--logging_steps",
            "5",
            "--save_steps",
            "50",
        ),
        *("--pad_to_max_length", "--max_seq_length", "32", "--preprocessing_num_workers", "1", "--overwrite_cache"),
        *("--return_entity_level_metrics", "--do_train", "--do_eval", "--do_predict", "--fp16_backend", "auto"),
    )
    assert "eval_PER_f1" in results["eval"] or "eval_LOC_f1" in results["eval"]
    assert [len(tags) for tags in tags_of(tmp_path / "out")] == [len(words) for words, _, _ in english(6, offset=300)]


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--metric_for_best_model", "f_1"], "did you mean 'f1'"),
        (["--metric_for_best_model", "PER_f1"], "no such metric"),
        (["--decoder", "viterbi"], "invalid choice"),
        (["--scheme", "BMES"], "train.txt:2"),
        (["--crf_learning_rate", "0.1", "--decoder", "softmax"], "has no CRF"),
        (["--label_all_tokens"], "--label_all_tokens is for stock heads"),
        (["--multitask_alpha", "0.5"], "needs a model with two heads"),
        (["--calibrate", "temperature"], "is for classifiers, not for taggers"),
        (["--model_type", "bert_crf"], "needs --model_name_or_path"),
    ],
)
def test_mistakes_in_flags_are_one_line(tmp_path, flags, words):
    with pytest.raises(UserError, match=words) as caught:
        run(tmp_path, *files(tmp_path), *TRAIN, *SCRATCH, "--max_steps", "1", *flags)
    assert "\n" not in str(caught.value)


def test_a_tag_that_training_has_not_seen_is_an_error_with_its_place(tmp_path):
    named = files(tmp_path)
    (tmp_path / "dev.txt").write_text("Ann\tB-PER\nhums\tO\nYesterday\tB-SONG\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"dev.txt:3: .*'B-SONG'"):
        run(tmp_path, *named, *TRAIN, *SCRATCH)


def test_nothing_to_do_is_answered(tmp_path):
    with pytest.raises(UserError, match="--do_train, --do_eval or --do_predict"):
        run(tmp_path, *files(tmp_path))
