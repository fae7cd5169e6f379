from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reviews import review_rows
from scripts.support import TRAIN, read_csv, read_json, run_main, write_csv
from transformers import AutoConfig, AutoModelForSequenceClassification

from hf_ext.errors import UserError

SCRATCH = ("--model_type", "textcnn", "--embedding_size", "16", "--filter_num", "8", "--filter_sizes", "2,3")
SCRATCH += ("--learning_rate", "1e-2", "--per_device_train_batch_size", "8", "--embedding_dropout", "0")


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Flags that name a train, validation and test file."""
    train = write_csv(tmp_path / "train.csv", review_rows(120))
    dev = write_csv(tmp_path / "dev.csv", review_rows(30, offset=500))
    test = write_csv(tmp_path / "test.csv", review_rows(31, offset=900))
    return ["--train_file", train, "--validation_file", dev, "--test_file", test]


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def run(files, out, *argv):
    return run_main(*files, *TRAIN, "--output_dir", out, "--cache_dir", out.parent / "cache", *argv)


def test_a_model_from_scratch_learns_and_leaves_the_promised_files(files, out):
    run(files, out, *SCRATCH, "--id_column_name", "id", "--keep_columns", "text,shop", "--num_train_epochs", "12")
    results = read_json(out / "all_results.json")
    assert results["eval_f1_weighted"] == 1.0
    assert results["predict_f1_weighted"] == 1.0
    assert (results["train_samples"], results["eval_samples"], results["predict_samples"]) == (120, 30, 31)
    for name in ("f1_macro", "f1_micro", "accuracy", "mcc", "precision_weighted", "recall_weighted", "roc_auc"):
        assert results[f"eval_{name}"] == 1.0
    left = {path.name for path in out.iterdir()}
    expected = {"config.json", "model.safetensors", "tokenizer.json", "trainer_state.json", "README.md"}
    expected |= {f"{split}_results.json" for split in ("train", "eval", "predict", "all")}
    expected |= {"predictions.csv", "predictions.jsonl", "predict_results.txt", "training_args.json"}
    assert expected <= left
    assert not any(name.endswith((".bin", ".pkl", ".pickle")) for name in left)


def test_predictions_stand_in_input_order_with_ids_names_and_probabilities(files, out):
    run(files, out, *SCRATCH, "--id_column_name", "id", "--keep_columns", "shop", "--num_train_epochs", "12")
    rows, source = read_csv(out / "predictions.csv"), review_rows(31, offset=900)
    assert [row["id"] for row in rows] == [row["id"] for row in source]
    assert [row["shop"] for row in rows] == [row["shop"] for row in source]
    assert [row["prediction"] for row in rows] == [row["label"] for row in source]
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    for row, line in zip(rows, lines, strict=True):
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-3)  # each in half precision
        assert line["score"] == pytest.approx(max(line["probabilities"].values()), rel=1e-3)
        assert float(row["score"]) == pytest.approx(line["score"], abs=1e-4)


def test_predict_only_needs_the_test_file_and_the_saved_folder(files, out, tmp_path):
    run(files, out, *SCRATCH, "--id_column_name", "id", "--categorical_columns", "shop", "--numeric_columns", "price")
    unlabelled = write_csv(tmp_path / "new.csv", review_rows(31, offset=900), ["id", "text", "shop", "price"])
    later = tmp_path / "later"
    run_main(
        *("--model_name_or_path", out, "--test_file", unlabelled, "--do_predict", "--use_cpu"),
        *("--disable_tqdm", "true", "--output_dir", later),
    )
    assert read_csv(later / "predictions.csv") == read_csv(out / "predictions.csv")
    assert "predict_f1_weighted" not in read_json(later / "all_results.json")


def test_evaluating_a_saved_folder_gives_the_figures_of_the_training_run(files, out, tmp_path):
    run(files, out, *SCRATCH)
    run_main(
        *("--model_name_or_path", out, *files[2:4], "--do_eval", "--use_cpu", "--per_device_eval_batch_size", "64"),
        *("--disable_tqdm", "true", "--output_dir", tmp_path / "later"),
    )
    first, second = read_json(out / "eval_results.json"), read_json(tmp_path / "later" / "eval_results.json")
    for name in ("eval_loss", "eval_f1_weighted", "eval_accuracy"):
        assert second[name] == first[name]


def test_a_stock_head_stays_stock(files, out, tiny_bert):
    run(files, out, "--model_name_or_path", tiny_bert, "--learning_rate", "1e-2")
    config = AutoConfig.from_pretrained(out)
    assert config.architectures == ["BertForSequenceClassification"]
    assert config.id2label == {0: "bad", 1: "good"}
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert type(model).__module__.startswith("transformers.")


@pytest.mark.parametrize("flags", [("--bf16",), ("--activation_checkpointing",), ("--freeze_encoder", "1")])
@pytest.mark.parametrize("head", [(), ("--pooler", "lstm", "--lstm_hidden_size", "8", "--lstm_layers", "1")])
def test_savings_work_with_stock_heads_and_ours(files, out, tiny_bert, flags, head):
    run(files, out, "--model_name_or_path", tiny_bert, "--max_steps", "3", *flags, *head)
    assert np.isfinite(read_json(out / "all_results.json")["eval_loss"])


@pytest.mark.parametrize("fusion", ["concat", "gated", "attention"])
def test_columns_help_where_the_text_says_nothing(tmp_path, out, fusion):
    def rows(count, offset):
        found = review_rows(count, offset=offset)
        return [{**row, "text": "this is it", "label": "good" if row["shop"] == "west" else "bad"} for row in found]

    test = rows(20, 900)
    test[0] |= {"shop": "never seen", "price": "", "text": ""}
    files = ["--train_file", write_csv(tmp_path / "a.csv", rows(90, 0)), "--text_column_names", "text"]
    files += ["--validation_file", write_csv(tmp_path / "b.csv", rows(20, 500))]
    files += ["--test_file", write_csv(tmp_path / "c.csv", test)]
    run(
        *(files, out, *SCRATCH, "--categorical_columns", "shop", "--numeric_columns", "price", "--fusion", fusion),
        *("--num_train_epochs", "15", "--label_column_name", "label"),
    )
    assert read_json(out / "all_results.json")["eval_f1_weighted"] == 1.0
    assert len(read_csv(out / "predictions.csv")) == 20


def test_columns_may_be_written_into_the_text(files, out):
    run(files, out, *SCRATCH, "--categorical_columns", "shop", "--numeric_columns", "price", "--columns_as_text")
    schema = read_json(out / "config.json")["task_schema"]
    assert schema["text"]["columns_as_text"] == ["shop", "price"]
    assert schema["columns"] == {"categorical": [], "numeric": []}


def test_multi_label_rows_from_json_lists(tmp_path, out):
    def write(name, count):
        rows = [
            {"text": row["text"], "labels": [row["label"], "book"] if "book" in row["text"] else [row["label"]]}
            for row in review_rows(count)
        ]
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        return path

    files = ["--train_file", write("a.jsonl", 90), "--validation_file", write("b.jsonl", 30)]
    flags = ("--num_train_epochs", "20", "--bootstrap_samples", "100")
    run([*files, "--test_file", write("c.jsonl", 30)], out, *SCRATCH, *flags)
    results = read_json(out / "all_results.json")
    ends = [results[f"predict_f1_weighted{end}"] for end in ("_low", "", "_high")]
    assert ends == sorted(ends)
    assert results["eval_f1_micro"] > 0.95
    assert read_json(out / "config.json")["problem_type"] == "multi_label_classification"
    first = json.loads((out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert sorted(first["prediction"]) == ["bad", "book"]


def test_numbers_are_labels_unless_regression_is_asked_for(tmp_path, out):
    rows = [{"text": row["text"], "label": "4.5" if row["label"] == "good" else "1.0"} for row in review_rows(60)]
    path = write_csv(tmp_path / "a.csv", rows)
    files = ["--train_file", path, "--validation_file", path, "--test_file", path]
    run(files, out, *SCRATCH, "--max_steps", "2")
    assert read_json(out / "config.json")["id2label"] == {"0": "1.0", "1": "4.5"}
    run(files, out.with_name("regression"), *SCRATCH, "--do_regression", "--num_train_epochs", "25")
    results = read_json(out.with_name("regression") / "all_results.json")
    assert results["eval_spearman"] > 0.8
    assert results["eval_mse"] < 1.0


def test_pairs_reach_the_model_as_two_segments(tmp_path, out, tiny_bert):
    rows = [{"sentence1": r["text"], "sentence2": r["text"][::-1], "label": r["label"]} for r in review_rows(40)]
    path = write_csv(tmp_path / "a.csv", rows)
    run(["--train_file", path, "--validation_file", path, "--test_file", path], out, "--model_name_or_path", tiny_bert)
    assert read_json(out / "config.json")["task_schema"]["text"]["pair_column"] == "sentence2"


def test_one_file_is_split_and_the_row_numbers_are_saved_and_reused(tmp_path, out):
    path = write_csv(tmp_path / "all.csv", review_rows(100))
    split = ["--train_file", path, "--validation_split", "0.2", "--test_split", "0.1"]
    run(split, out, *SCRATCH)
    indices = read_json(out / "split_indices.json")
    assert sorted(indices["train"] + indices["validation"] + indices["test"]) == list(range(100))
    assert (len(indices["validation"]), len(indices["test"])) == (20, 10)
    again = out.with_name("again")
    run(["--train_file", path, "--split_indices", out / "split_indices.json"], again, *SCRATCH)
    assert read_json(again / "split_indices.json") == indices
    assert read_csv(again / "predictions.csv") == read_csv(out / "predictions.csv")


def test_streaming_trains_without_holding_the_rows(files, out):
    run(files, out, *SCRATCH, "--streaming", "--max_steps", "60")
    assert read_json(out / "all_results.json")["eval_f1_weighted"] > 0.9


def test_streaming_needs_a_number_of_steps(files, out):
    with pytest.raises(UserError, match="add --max_steps"):
        run(files, out, *SCRATCH, "--streaming")


def test_a_finished_folder_is_not_overwritten_by_accident(files, out):
    run(files, out, *SCRATCH, "--max_steps", "2")
    with pytest.raises(UserError, match="--overwrite_output_dir"):
        run(files, out, *SCRATCH, "--max_steps", "2")
    run(files, out, *SCRATCH, "--max_steps", "2", "--overwrite_output_dir")


def test_the_best_checkpoint_by_a_named_metric_is_kept_and_all_can_be_evaluated(files, out):
    run(
        *(files, out, *SCRATCH, "--num_train_epochs", "3", "--eval_strategy", "epoch", "--save_strategy", "epoch"),
        *("--load_best_model_at_end", "--metric_for_best_model", "f1_weighted", "--eval_all_checkpoints"),
    )
    scores = read_json(out / "eval_all_checkpoints.json")
    assert len(scores) == 3
    best = max(metrics["eval_f1_weighted"] for metrics in scores.values())
    assert read_json(out / "all_results.json")["eval_f1_weighted"] == best


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(files, out):
    steps = ("--max_steps", "8", "--save_strategy", "steps", "--save_steps", "4")
    run(files, out, *SCRATCH, *steps)
    whole = (out / "predictions.csv").read_text(encoding="utf-8")
    (out / "predictions.csv").unlink()
    run(files, out, *SCRATCH, *steps, "--resume_from_checkpoint", out / "checkpoint-4")
    assert (out / "predictions.csv").read_text(encoding="utf-8") == whole


def test_the_tfidf_floor_is_printed_beside_the_result(files, out, capsys):
    run(files, out, *SCRATCH, "--tfidf_baseline")
    assert read_json(out / "all_results.json")["baseline_predict_f1_weighted"] == 1.0
    printed = capsys.readouterr().out
    assert "TF-IDF floor" in printed
    assert "predictions.csv" in printed


def test_the_old_run_command_works_on_its_data_layout(tmp_path, out, tiny_bert):
    folder = tmp_path / "THUNews"
    folder.mkdir()
    write_csv(folder / "train.csv", review_rows(40), ["label", "text"])
    write_csv(folder / "dev.csv", review_rows(10, offset=500), ["label", "text"])
    write_csv(folder / "test.csv", review_rows(10, offset=900), ["text"])
    run_main(
        *("--task_name=THUNews", "--model_type=bert_cnn", "--model_name_or_path", tiny_bert, "--data_dir", folder),
        *("--output_dir", out, "--do_train", "--do_eval", "--do_predict", "--do_lower_case", "--max_seq_length=512"),
        *("--per_gpu_train_batch_size=2", "--per_gpu_eval_batch_size=16", "--gradient_accumulation_steps=1"),
        *("--learning_rate=2e-5", "--num_train_epochs=1.0", "--logging_steps=14923", "--save_steps=14923"),
        *("--overwrite_output_dir", "--filter_sizes=3,4,5", "--filter_num=256", "--lstm_layers=1"),
        *("--lstm_hidden_size=512", "--lstm_dropout=0.1", "--gru_layers=1", "--gru_hidden_size=512"),
        *("--gru_dropout=0.1", "--no_cuda"),
    )
    config = read_json(out / "config.json")
    assert (config["pooler"], config["pooler_settings"]["filter_sizes"]) == ("textcnn", [3, 4, 5])
    assert {row["prediction"] for row in read_csv(out / "predictions.csv")} <= {"good", "bad"}


def test_word_vectors_from_a_file_start_the_embeddings(files, out, tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("2 16\nlovely " + " ".join(["2.5"] * 16) + "\nabsent " + " ".join(["1"] * 16), encoding="utf-8")
    run(files, out, *SCRATCH, "--embedding_file", vectors, "--max_steps", "1", "--learning_rate", "1e-9")
    from safetensors.torch import load_file

    table = load_file(out / "model.safetensors")["recurrent.embeddings.weight"]
    assert bool((table - 2.5).abs().amax(1).lt(1e-3).any())


def test_nothing_to_do_is_answered(files):
    with pytest.raises(UserError, match="--do_train, --do_eval or --do_predict"):
        run_main(*files, "--use_cpu")


def test_seeds_make_runs_equal(files, out):
    run(files, out, *SCRATCH, "--max_steps", "5", "--seed", "3")
    run(files, out.with_name("again"), *SCRATCH, "--max_steps", "5", "--seed", "3")
    left, right = out, out.with_name("again")
    assert (left / "model.safetensors").read_bytes() == (right / "model.safetensors").read_bytes()


def test_predicting_without_a_test_file_asks_for_one_instead_of_the_demo(files, out, tiny_bert):
    run(files, out, "--model_name_or_path", tiny_bert, "--max_steps", "1")
    with pytest.raises(UserError, match="--do_predict requires test rows"):
        run_main("--model_name_or_path", out, "--do_predict", "--use_cpu", "--output_dir", out)


def test_texts_longer_than_the_model_are_cut_whatever_the_tokenizer_claims(tmp_path, out, tiny_bert):
    rows = [{"text": "this book is lovely " * 100, "label": "a"}, {"text": "this pen", "label": "b"}] * 4
    path = write_csv(tmp_path / "long.csv", rows)
    files = ["--train_file", path, "--validation_file", path, "--test_file", path]
    results = run(files, out, "--model_name_or_path", tiny_bert, "--max_steps", "1", "--pad_to_max_length")
    assert results["predict"]["predict_samples"] == 8


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--report_to", "wanbd"], "wanbd is not supported"),
        (["--dataloader_drop_last", "--per_device_train_batch_size", "500"], "do not fill one batch of 500"),
        (["--metric_for_best_model", "f1_wheighted"], "did you mean 'f1_weighted'"),
        (["--resume_from_checkpoint", "nowhere"], "not a checkpoint"),
    ],
)
def test_flags_that_transformers_stumbles_over_are_answered(files, out, tiny_bert, flags, words):
    with pytest.raises(UserError, match=words) as caught:
        run(files, out, "--model_name_or_path", tiny_bert, "--max_steps", "1", *flags)
    assert "\n" not in str(caught.value)
