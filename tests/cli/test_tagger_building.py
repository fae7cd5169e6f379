"""The parts of run_ner.py: saved schemas, metrics by name, tokenizers that read words, the rate of a CRF."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForTokenClassification,
    BertModel,
    EvalPrediction,
    PreTrainedTokenizerFast,
    RobertaTokenizerFast,
)

from hf_ext.cli.tagger_building import (
    CRF_RATE_FACTOR,
    build_tagger,
    check_best_metric,
    choose_crf_rate,
    load_saved_schema,
    load_word_tokenizer,
    use_demo_data,
)
from hf_ext.cli.tagging_outcome import best_tags, score_sentence_labels
from hf_ext.data.tagging import TaggingData, TaggingDataArguments
from hf_ext.errors import UserError
from hf_ext.evaluation.tagging_metrics import TaggingMetric
from hf_ext.models.tagger_arguments import TaggerArguments
from hf_ext.models.tagging_schema import TaggingSchema
from hf_ext.tokenization import build_tokenizer
from hf_ext.training.arguments import ExtTrainingArguments

TINY = {"vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
TAGS = ("O", "B-PER", "I-PER")
SCHEMA = TaggingSchema(TAGS, "BIO")
JOINT = TaggingSchema(TAGS, "BIO", sentence_labels=("ask", "tell"))


def save(folder, model_class, **settings) -> str:
    model_class(BertConfig(**TINY, **settings)).save_pretrained(folder)
    return str(folder)


def arguments(**flags) -> ExtTrainingArguments:
    return ExtTrainingArguments(output_dir="unused", use_cpu=True, do_train=True, learning_rate=1e-4, **flags)


# --- saved schemas ---------------------------------------------------------------------------------------------------


def test_an_encoder_without_a_tagger_can_be_trained_but_not_asked(tmp_path):
    named = TaggerArguments(model_name_or_path=save(tmp_path, BertModel))
    assert load_saved_schema(named, trains=True) is None
    with pytest.raises(UserError, match=r"holds no trained tagger .* tagging words"):
        load_saved_schema(named, trains=False)


def test_a_foreign_tagger_brings_its_tags_and_their_scheme(tmp_path):
    folder = save(tmp_path, BertForTokenClassification, id2label=dict(enumerate(("O", "B-X", "I-X", "E-X", "S-X"))))
    schema = load_saved_schema(TaggerArguments(model_name_or_path=folder), trains=False)
    assert schema.tags == ("O", "B-X", "I-X", "E-X", "S-X")
    assert schema.scheme == "BIOES"


def test_nothing_is_known_from_scratch():
    assert load_saved_schema(TaggerArguments(), trains=True) is None


# --- metrics by name -------------------------------------------------------------------------------------------------


def figures(schema: TaggingSchema, *, entity_level: bool) -> list[str]:
    """Name what an evaluation really gives."""
    metric = TaggingMetric(schema, [0], entity_level=entity_level)
    tags, labels = np.array([[0, 1, 2]]), np.array([[0, 1, 2]])
    if not schema.sentence_labels:
        return list(metric(EvalPrediction(tags, labels)))
    return list(metric(EvalPrediction((tags, np.array([[0.0, 1.0]])), (labels, np.array([1])))))


@pytest.mark.parametrize("schema", [SCHEMA, JOINT])
@pytest.mark.parametrize("entity_level", [False, True])
def test_every_figure_of_an_evaluation_can_choose_the_best_checkpoint(schema, entity_level):
    flags = TaggingDataArguments(return_entity_level_metrics=entity_level)
    for name in ["loss", *figures(schema, entity_level=entity_level)]:
        check_best_metric(arguments(metric_for_best_model=name), schema, flags)
        check_best_metric(arguments(metric_for_best_model=f"eval_{name}"), schema, flags)


@pytest.mark.parametrize("name", ["PER_f1", "sentence_accuracy", "f1_micro"])
def test_a_figure_that_no_evaluation_gives_is_refused(name):
    with pytest.raises(UserError, match="no such metric"):
        check_best_metric(arguments(metric_for_best_model=name), SCHEMA, TaggingDataArguments())


# --- tokenizers ------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path) -> TaggingData:
    path = tmp_path / "train.txt"
    path.write_text("paris\tB-LOC\nis\tO\nnice\tO\n\nrome\tB-LOC\nis\tO\ntoo\tO\n", encoding="utf-8")
    flags = TaggingDataArguments(train_file=str(path))
    return TaggingData.from_arguments(flags, saved=None, needs={"train"})


def byte_level(folder) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=list(special.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(["paris is nice", "in paris"] * 20, trainer)
    RobertaTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return str(folder)


def test_a_byte_level_tokenizer_reads_words_as_after_a_blank(tmp_path, data, caplog):
    caplog.set_level("INFO")
    folder = byte_level(tmp_path / "roberta")
    tokenizer = load_word_tokenizer(TaggerArguments(tokenizer_name=folder), data)
    words = tokenizer(["paris", "is"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    assert words == tokenizer(" paris is", add_special_tokens=False)["input_ids"]
    assert "add_prefix_space" in caplog.text


def test_a_slow_tokenizer_is_refused_in_one_line(tmp_path, data, monkeypatch):
    monkeypatch.setattr(PreTrainedTokenizerFast, "is_fast", False)
    build_tokenizer(["paris is nice"] * 2, level="word").save_pretrained(tmp_path / "slow")
    with pytest.raises(UserError, match="slow tokenizer, which cannot tell the word of a token") as caught:
        load_word_tokenizer(TaggerArguments(tokenizer_name=str(tmp_path / "slow")), data)
    assert "\n" not in str(caught.value)


def test_from_scratch_the_training_words_are_the_tokens(data):
    tokenizer = load_word_tokenizer(TaggerArguments(min_token_count=1), data)
    assert {"paris", "is", "nice", "rome", "too"} <= set(tokenizer.get_vocab())


def test_without_a_model_and_without_training_there_is_nothing_to_ask(data):
    data.splits["test"] = data.splits.pop("train")
    with pytest.raises(UserError, match="there is no model to evaluate or predict with"):
        load_word_tokenizer(TaggerArguments(), data)


# --- the rate of a CRF -----------------------------------------------------------------------------------------------


def rate(tmp_path, *, decoder="crf", scratch=False, model_flags=None, **flags) -> float | None:
    args = arguments(**flags)
    folder = None if scratch else save(tmp_path, BertModel)
    named = TaggerArguments(model_name_or_path=folder, decoder=decoder, **(model_flags or {}))
    model = build_tagger(named, SCHEMA, build_tokenizer(["a b"] * 3, level="whole"))
    choose_crf_rate(args, named, model)
    return args.crf_learning_rate


def test_the_crf_of_a_pretrained_encoder_learns_faster(tmp_path):
    assert rate(tmp_path) == pytest.approx(CRF_RATE_FACTOR * 1e-4)


@pytest.mark.parametrize(
    ("expected", "settings"),
    [
        (None, {"decoder": "softmax"}),
        (None, {"scratch": True}),
        (None, {"head_learning_rate": 1e-3}),
        (None, {"model_flags": {"freeze_encoder": "all"}}),
        (None, {"optim": "galore_adamw", "optim_target_modules": ["query"]}),
        (0.5, {"crf_learning_rate": 0.5}),
    ],
)
def test_the_rate_is_left_as_it_is_where_a_multiple_makes_no_sense(tmp_path, expected, settings):
    assert rate(tmp_path, **settings) == expected


# --- the rest --------------------------------------------------------------------------------------------------------


def test_the_demo_fills_in_its_files(tmp_path, monkeypatch):
    from hf_ext.cli import tagger_building

    made = {name: tmp_path / name for name in ("train", "validation", "test")}
    monkeypatch.setattr(tagger_building, "prepare_tagging_demo", lambda folder: made)
    flags = TaggingDataArguments()
    assert not flags.names_data
    use_demo_data(flags)
    assert (flags.train_file, flags.validation_file, flags.test_file) == tuple(map(str, made.values()))


def test_best_tags_are_those_of_the_softmax_and_filled_places_stay_empty():
    import torch

    logits = torch.randn(2, 3, 4, dtype=torch.float64)
    logits[1, 2] = -100.0
    tags, each, given = best_tags((logits, torch.zeros(1)))
    shares = logits.exp() / logits.exp().sum(-1, keepdim=True)
    assert torch.equal(tags[0], shares[0].argmax(-1))
    assert int(tags[1, 2]) == -100
    torch.testing.assert_close(each[0], shares[0].amax(-1).float())
    assert each is given


def test_sentence_labels_are_scored_where_they_are_known():
    gold, guess = ["ask", "tell", None, "ask"], ["ask", "ask", "ask", "ask"]
    scores = score_sentence_labels(gold, guess, [True, True, True, False])
    assert scores == {"sentence_accuracy": pytest.approx(2 / 3), "both_right": pytest.approx(1 / 3)}
    assert score_sentence_labels(gold, guess, [None] * 4) == {"sentence_accuracy": pytest.approx(2 / 3)}
    assert score_sentence_labels([None] * 4, guess, [True] * 4) == {}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.gz", gzip.compress(b"Ann 1 2\n" * 99, mtime=0)[:-12], "cannot be read .* – check --embedding_file"),
        ("a.txt", b"Ann 1 2\nLee 1 nan\n", "the vector of 'Lee' holds a number that is not finite"),
    ],
)
def test_a_file_of_vectors_that_is_broken_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    arguments = TaggerArguments(embedding_file=str(path))
    tokenizer = build_tokenizer(["Ann Lee"], level="whole", min_count=1)
    with pytest.raises(UserError, match=f"{path}: {message}"):
        build_tagger(arguments, SCHEMA, tokenizer)


def test_vectors_beside_a_pretrained_model_are_answered(tmp_path, caplog):
    named = save(tmp_path, BertModel)
    tokenizer = build_tokenizer(["Ann Lee"], level="whole", min_count=1)
    build_tagger(TaggerArguments(model_name_or_path=named, embedding_file="vectors.txt"), SCHEMA, tokenizer)
    assert "--embedding_file is for taggers from scratch" in caplog.text
