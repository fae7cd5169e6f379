"""After a run its folder explains itself: every file is known, the card says what is so, the record can be read."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from reviews import review_rows
from scripts.ner_files import english as tagged_english
from scripts.ner_files import write_columns
from scripts.pretraining_files import english, save_tiny_encoder, write_documents
from scripts.support import TRAIN, read_csv, read_json, run_main, write_csv
from tokenization.corpus_texts import english_lines

from hf_ext.report.folder_files import describe_file

SHOWN = (*TRAIN, "--write_report", "true", "--logging_steps", "2", "--eval_strategy", "epoch")
TEXTCNN = ("--model_type", "textcnn", "--embedding_size", "8", "--filter_num", "4", "--filter_sizes", "2")
BILSTM = ("--embedding_size", "8", "--rnn_hidden_size", "4", "--num_train_epochs", "2")
PICTURES = importlib.util.find_spec("matplotlib") is not None
TENSORBOARD = importlib.util.find_spec("tensorboard") is not None
needs_pictures = pytest.mark.skipif(not PICTURES, reason="matplotlib is not installed")


def run(script: str, folder: Path, *flags) -> Path:
    """Run a script and give its output folder."""
    where = ("--output_dir", folder / "out", "--cache_dir", folder / "cache")
    run_main(*flags, *where, script=f"{script}.py")
    return folder / "out"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, tiny_bert) -> Path:
    """A stock encoder, fine-tuned and evaluated, without any test rows."""
    folder = tmp_path_factory.mktemp("classifier")
    files = ("--train_file", write_csv(folder / "train.csv", review_rows(60)))
    files += ("--validation_file", write_csv(folder / "dev.csv", review_rows(20, offset=500)))
    flags = [flag for flag in SHOWN if flag != "--do_predict"]
    flags += ("--report_to", "tensorboard") if TENSORBOARD else ()
    rates = ("--head_learning_rate", "1e-3", "--id_column_name", "id", "--learning_rate", "2e-3")
    return run("run_classification", folder, *files, *flags, *rates, "--model_name_or_path", tiny_bert)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tagger")
    files = ("--train_file", write_columns(folder / "train.txt", tagged_english(40)))
    files += ("--validation_file", write_columns(folder / "dev.txt", tagged_english(15, offset=200)))
    flags = [flag for flag in SHOWN if flag != "--do_predict"]
    return run("run_ner", folder, *files, *flags, *BILSTM)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    encoder = save_tiny_encoder(folder / "encoder")
    text = ("--train_file", write_documents(folder / "a.txt", english(40)), "--max_seq_length", "48")
    flags = [flag for flag in SHOWN if flag != "--do_predict"]
    few = ("--max_steps", "8", "--per_device_train_batch_size", "4")
    return run("run_continue_pretrain", folder, *text, *flags, *few, "--model_name_or_path", encoder)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "corpus.txt").write_text("\n".join(english_lines()), encoding="utf-8")
    return run("train_tokenizer", folder, "--train_file", folder / "corpus.txt", "--vocab_size", 80)


@pytest.mark.parametrize("script", ["classifier", "tagger", "pretrained", "tokenizer"])
def test_every_file_that_a_run_leaves_is_explained(script, request):
    folder = request.getfixturevalue(script)
    left = {path.name for path in folder.iterdir()}
    assert [name for name in left if describe_file(name) is None] == []
    record = read_json(folder / "run.json")
    assert set(record["files"]) == left - {"run.json"}
    assert record["files"] == {name: describe_file(name) for name in record["files"]}


@needs_pictures
def test_each_task_has_its_pictures_and_tables(classifier, tagger, pretrained):
    assert {path.name for path in classifier.glob("*.png")} == {
        *("learning_curves.png", "confusion_matrix.png", "calibration.png")
    }
    assert {path.name for path in tagger.glob("*.png")} == {"learning_curves.png"}
    assert {path.name for path in pretrained.glob("*.png")} == {"learning_curves.png", "perplexity.png"}
    assert {"label_report.csv", "errors.csv"} <= {path.name for path in classifier.iterdir()}
    assert {"entity_report.csv", "entity_errors.csv"} <= {path.name for path in tagger.iterdir()}


def test_the_figures_of_labels_are_those_of_the_validation_rows(classifier):
    report = {row["label"]: row for row in read_csv(classifier / "label_report.csv", encoding="utf-8-sig")}
    right = sum(int(row["correct"]) for row in report.values())
    assert sum(int(row["rows"]) for row in report.values()) == 20
    assert right / 20 == pytest.approx(read_json(classifier / "eval_results.json")["eval_accuracy"])
    errors = read_csv(classifier / "errors.csv", encoding="utf-8-sig")
    texts = {row["id"]: row["text"] for row in review_rows(20, offset=500)}
    assert len(errors) == 20 - right
    assert all(texts[row["id"]] == row["text"] for row in errors)
    sureness = [float(row["confidence"]) for row in errors]
    assert sureness == sorted(sureness, reverse=True)


def test_the_figures_of_types_are_those_of_the_validation_sentences(tagger):
    total = read_csv(tagger / "entity_report.csv", encoding="utf-8-sig")[-1]
    results = read_json(tagger / "eval_results.json")
    assert float(total["f1"]) == pytest.approx(results["eval_f1"], abs=1e-5)
    assert float(total["recall"]) == pytest.approx(results["eval_recall"], abs=1e-5)


@pytest.mark.parametrize(
    ("script", "task"),
    [("classifier", "text-classification"), ("tagger", "token-classification"), ("pretrained", "fill-mask")],
)
def test_the_card_is_one_that_the_hub_can_read(script, task, request):
    folder = request.getfixturevalue(script)
    card = ModelCard.load(folder / "README.md")
    assert card.data.pipeline_tag == task
    assert card.data.library_name == "transformers"
    results = read_json(folder / "all_results.json")
    figures = {result.metric_name: result.metric_value for result in card.data.eval_results}
    for name, value in figures.items():
        assert value == pytest.approx(results[f"eval_{name.replace(' ', '_')}"], abs=1e-4)
    assert figures
    for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", card.text):
        assert (folder / picture).is_file()
    assert str(folder.parent) not in card.content  # where it lies is nobody's business


def test_the_card_says_labels_settings_and_where_to_be_careful(classifier):
    text = (classifier / "README.md").read_text(encoding="utf-8")
    assert "2 labels: `bad`, `good`." in text
    assert "| learning rate | 0.002 |" in text
    assert "The figures come from 20 rows" in text
    assert "By label (validation rows)" in text
    assert "Expected calibration error" in text
    assert "| train | 60 |" in text
    assert not any(row["text"] in text for row in review_rows(60))  # no row of the user leaves with the card


@pytest.mark.parametrize(
    ("script", "answer"), [("classifier", "'label'"), ("tagger", "'entities'"), ("pretrained", "'token_str'")]
)
def test_the_python_of_the_card_runs(script, answer, request, monkeypatch, capsys):
    folder = request.getfixturevalue(script)
    monkeypatch.chdir(folder.parent)
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})
    assert answer in capsys.readouterr().out


def test_the_record_tells_arguments_data_versions_machine_and_cost(classifier):
    record = read_json(classifier / "run.json")
    assert record["did"] == ["train", "eval"]
    assert record["arguments"]["training"]["head_learning_rate"] == 1e-3
    assert record["arguments"]["data"]["id_column_name"] == "id"
    train = classifier.parent / "train.csv"
    assert record["data"][str(train)]["sha256"] == hashlib.sha256(train.read_bytes()).hexdigest()
    assert record["versions"]["transformers"]
    assert record["machine"]["device"] == "cpu"
    assert record["cost"]["cost_train_seconds"] > 0
    assert record["started"] < record["ended"] or record["started"] == record["ended"]


@pytest.mark.skipif(not (TENSORBOARD and PICTURES), reason="tensorboard or matplotlib is not installed")
def test_tensorboard_has_every_rate_every_loss_and_the_confusion_matrix(classifier):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars, images = set(), set()
    for path in (classifier / "runs").rglob("events.*"):
        events = EventAccumulator(str(path)).Reload()
        scalars |= set(events.Tags()["scalars"])
        images |= set(events.Tags()["images"])
    assert {"train/loss", "eval/loss", "eval/accuracy"} <= scalars
    assert {"train/learning_rate/encoder", "train/learning_rate/head"} <= scalars
    assert images == {"confusion_matrix"}


def test_a_later_prediction_into_the_folder_keeps_the_record_of_the_training(classifier, tmp_path):
    before = read_json(classifier / "run.json")
    new = write_csv(tmp_path / "new.csv", review_rows(4, offset=900), ["id", "text"])
    flags = ("--model_name_or_path", classifier, "--do_predict", "--test_file", new, "--use_cpu")
    run("run_classification", classifier.parent, *flags, "--disable_tqdm", "true", "--overwrite_output_dir")
    record = read_json(classifier / "run.json")
    assert record["did"] == ["predict"]
    assert record["trained_by"] == json.loads(json.dumps(before))
    assert "errors.csv" not in record["files"]  # of the training: the card tells of it
    for name in ("README.md", "errors.csv", "learning_curves.png"):
        assert (classifier / name).exists() or not PICTURES
