"""The parts of a script: saved schemas and the metric that chooses the best checkpoint."""

from __future__ import annotations

import pytest
from transformers import BertConfig, BertForSequenceClassification, BertModel

from hf_ext.cli.classifier_building import check_best_metric, load_classifier, load_saved_schema
from hf_ext.data.arguments import DataArguments
from hf_ext.errors import UserError
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, LabelSchema, TaskSchema
from hf_ext.tokenization import build_tokenizer
from hf_ext.training.arguments import ExtTrainingArguments

TINY = {"vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


def save(folder, model_class, **settings) -> ModelArguments:
    model_class(BertConfig(**TINY, **settings)).save_pretrained(folder)
    return ModelArguments(model_name_or_path=str(folder))


def test_an_encoder_without_a_classifier_can_be_trained_but_not_asked(tmp_path):
    arguments = save(tmp_path, BertModel)
    assert load_saved_schema(arguments, trains=True) is None
    with pytest.raises(UserError, match=r"holds no trained classifier.* – add --do_train"):
        load_saved_schema(arguments, trains=False)


@pytest.mark.parametrize("trains", [True, False])
def test_a_foreign_classifier_brings_its_labels_in_its_own_order(tmp_path, trains):
    arguments = save(tmp_path, BertForSequenceClassification, id2label={0: "pos", 1: "neg"})
    schema = load_saved_schema(arguments, trains=trains)
    assert schema.labels == LabelSchema(names=("pos", "neg"))
    assert schema.text.columns == ()


def test_the_kind_of_a_foreign_task_is_kept(tmp_path):
    many = save(tmp_path / "many", BertForSequenceClassification, id2label={0: "a", 1: "b"}, problem_type=MULTI_LABEL)
    assert load_saved_schema(many, trains=False).labels == LabelSchema(MULTI_LABEL, ("a", "b"))
    number = save(tmp_path / "number", BertForSequenceClassification, num_labels=1)
    assert load_saved_schema(number, trains=False).labels == LabelSchema(REGRESSION)


def test_labels_without_names_are_no_labels(tmp_path):
    assert load_saved_schema(save(tmp_path, BertForSequenceClassification, num_labels=3), trains=False) is None


def check(metric, problem_type="single_label_classification", **flags):
    args = ExtTrainingArguments(output_dir="unused", use_cpu=True, metric_for_best_model=metric)
    check_best_metric(args, LabelSchema(problem_type, ("a", "b")), DataArguments(**flags))


@pytest.mark.parametrize("metric", [None, "loss", "eval_loss", "f1_macro", "eval_f1_weighted", "roc_auc"])
def test_metrics_that_an_evaluation_gives_are_fine(metric):
    check(metric)


def test_a_metric_that_does_not_exist_is_refused_before_training():
    with pytest.raises(UserError, match="no such metric – did you mean 'f1_weighted'"):
        check("f1_wheighted")
    with pytest.raises(UserError, match="spearman"):
        check("spearman")
    check("spearman", REGRESSION)
    check("anything", metric_name="own_metric.py")


def test_a_tokenizer_of_another_model_is_noticed(tmp_path, caplog):
    arguments = save(tmp_path, BertModel)
    schema = TaskSchema(LabelSchema(names=("a", "b")))
    load_classifier(arguments, schema, build_tokenizer(["a b"] * 3, level="word"))
    assert "the model knows" not in caplog.text
    load_classifier(arguments, schema, build_tokenizer(["a b c d e f g h i j"] * 3, level="word"))
    assert "the model knows 10" in caplog.text
