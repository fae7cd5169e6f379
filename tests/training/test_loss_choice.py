"""Which loss the flags choose, and where they are refused in one line."""

from __future__ import annotations

import pytest
import torch
from loss_models import CrfTagger, tiny_tagger, tiny_two_heads
from torch.nn import functional
from training_models import SIZES, tiny_bert
from transformers import BertConfig, BertLMHeadModel, Trainer, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer
from hf_ext.training.losses import registry as members
from hf_ext.training.losses.choice import choose_loss, owns_loss


def test_nothing_is_chosen_unless_asked(arguments, rows, bert, tmp_path):
    assert choose_loss(arguments(), bert, rows) is None
    assert choose_loss(TrainingArguments(str(tmp_path), use_cpu=True, label_smoothing_factor=0.1), bert, rows) is None
    assert ExtTrainer(bert, arguments(), train_dataset=rows).compute_loss_func is None


@pytest.mark.parametrize(
    ("problem_type", "num_labels", "label", "expected"),
    [
        (None, 3, 1, members.FocalLoss),
        (None, 3, [1.0, 0.0, 0.0], members.BinaryFocalLoss),
        ("multi_label_classification", 3, None, members.BinaryFocalLoss),
        ("single_label_classification", 3, None, members.FocalLoss),
    ],
)
def test_a_name_means_the_loss_of_the_kind_of_label(arguments, problem_type, num_labels, label, expected):
    model = tiny_bert(num_labels=num_labels, problem_type=problem_type)
    rows = [{"input_ids": [1], "labels": label}] if label is not None else None
    assert type(choose_loss(arguments(loss="focal"), model, rows)) is expected


def test_weights_and_smoothing_alone_take_the_usual_loss_of_the_kind(arguments, bert):
    assert type(choose_loss(arguments(label_smoothing_factor=0.1), bert)) is members.CrossEntropyLoss
    multi = tiny_bert(problem_type="multi_label_classification")
    assert type(choose_loss(arguments(class_weights="1,2,3"), multi)) is members.BinaryCrossEntropyLoss
    assert type(choose_loss(arguments(loss="mae"), tiny_bert(num_labels=1))) is members.AbsoluteErrorLoss


def test_settings_reach_the_loss(arguments, bert):
    args = arguments(loss="focal", focal_gamma=1.5, class_weights="1,2.5,1", label_smoothing_factor=0.1)
    settings = choose_loss(args, bert).settings
    assert (settings.focal_gamma, settings.label_smoothing) == (1.5, 0.1)
    assert settings.class_weights.tolist() == [1.0, 2.5, 1.0]


def test_the_trainer_minimises_it_and_evaluates_with_it(arguments, rows):
    model = tiny_bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    batch = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    options = {"weight": torch.tensor([1.0, 2.5, 1.0]), "label_smoothing": 0.1, "reduction": "sum"}
    with torch.no_grad():
        logits = model(batch["input_ids"]).logits
    expected = functional.cross_entropy(logits, batch["labels"], **options).item() / len(rows)
    args = arguments(
        class_weights="1,2.5,1",
        label_smoothing_factor=0.1,
        max_steps=1,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=3,
        per_device_eval_batch_size=5,
    )
    trainer = ExtTrainer(model, args, train_dataset=rows, eval_dataset=rows)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-6)
    assert trainer.train().training_loss == pytest.approx(expected, rel=1e-6)


def test_smoothing_is_what_trainer_computes(arguments, rows):
    losses = []
    for trainer_class in (Trainer, ExtTrainer):
        model = tiny_bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        args = arguments(label_smoothing_factor=0.2, max_steps=1, per_device_train_batch_size=12)
        losses.append(trainer_class(model, args, train_dataset=rows).train().training_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


FLAGS = [{"loss": "focal"}, {"class_weights": "1,1,1"}, {"label_smoothing_factor": 0.1}]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_crf_model_keeps_its_loss(arguments, rows, flag):
    (name,) = flag
    with pytest.raises(UserError, match=rf"CrfTagger has a loss of its own.*leave out --{name}"):
        ExtTrainer(tiny_tagger(CrfTagger), arguments(**flag), train_dataset=rows)


def test_a_class_may_say_that_it_owns_its_loss(arguments, bert):
    assert not owns_loss(bert)
    owning = type("Owning", (type(bert),), {"owns_loss": True})(bert.config)
    assert owns_loss(owning)
    assert owns_loss(torch.nn.Sequential(owning))  # as an adapter wraps it
    assert owns_loss(tiny_two_heads())
    with pytest.raises(UserError, match="leave out --loss and --class_weights"):
        choose_loss(arguments(loss="focal", class_weights="balanced"), owning)


@pytest.mark.parametrize("problem_type", ["regression", "multi_label_classification"])
def test_smoothing_needs_one_label_a_row(arguments, problem_type):
    model = tiny_bert(num_labels=1, problem_type=problem_type)
    with pytest.raises(UserError, match=f"needs one label a row – leave it out for {problem_type}"):
        ExtTrainer(model, arguments(label_smoothing_factor=0.1))


def test_a_loss_of_another_kind_of_label_is_refused_with_those_that_fit(arguments, bert):
    with pytest.raises(UserError, match=r"bce does not fit single_label.* – use cross_entropy, focal, dice, poly1$"):
        choose_loss(arguments(loss="bce"), bert)
    with pytest.raises(UserError, match=r"dice does not fit regression – use mse, mae, huber$"):
        choose_loss(arguments(loss="dice"), tiny_bert(num_labels=1))


@pytest.mark.parametrize("name", ["zlpr", "mse"])
def test_weights_are_refused_where_a_loss_has_none(arguments, name):
    kinds = {"zlpr": {"problem_type": "multi_label_classification"}, "mse": {"num_labels": 1}}
    with pytest.raises(UserError, match="--class_weights does not go with"):
        choose_loss(arguments(loss=name, class_weights="1,1,1"), tiny_bert(**kinds[name]))


def test_a_loss_function_from_python_and_a_loss_flag_exclude_one_another(arguments, bert):
    with pytest.raises(ValueError, match="compute_loss_func replaces"):
        ExtTrainer(bert, arguments(loss="focal"), compute_loss_func=lambda *_, **__: None)


def test_labels_of_causal_models_are_shifted_by_trainer_not_by_us(arguments):
    model = BertLMHeadModel(BertConfig(**SIZES, is_decoder=True))
    assert choose_loss(arguments(label_smoothing_factor=0.1), model) is None
    with pytest.raises(UserError, match="causal"):
        choose_loss(arguments(loss="focal"), model)


def test_a_model_that_is_built_by_a_function_gets_its_loss_too(arguments, rows):
    trainer = ExtTrainer(args=arguments(loss="focal", max_steps=1), model_init=lambda: tiny_bert(), train_dataset=rows)
    assert type(trainer.compute_loss_func) is members.FocalLoss
    trainer.train()


def test_wrong_names_and_numbers_are_refused_by_the_arguments(arguments):
    with pytest.raises(ValueError, match="did you mean 'focal'"):
        arguments(loss="vocal")
    with pytest.raises(ValueError, match="focal_gamma"):
        arguments(loss="focal", focal_gamma=-1)
    with pytest.raises(ValueError, match="multitask_alpha must be from 0 to 1"):
        arguments(multitask_alpha=1.5)
    with pytest.raises(ValueError, match="count rare labels twice"):
        arguments(weighted_sampling=True, class_weights="balanced")
    assert arguments(class_weights=[1, 2.5, 1]).class_weights == "1,2.5,1"  # a list in a YAML file


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_alpha_weighs_the_two_losses_of_a_model(arguments, rows, alpha):
    for row in rows:
        row["scores"] = float(row["labels"]) / 2
    model = tiny_two_heads().eval()
    batch = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    with torch.no_grad():
        _, first, second = model.losses(**batch)
    args = arguments(multitask_alpha=alpha, label_names=["labels", "scores"], per_device_eval_batch_size=12)
    found = ExtTrainer(model, args, eval_dataset=rows).evaluate()["eval_loss"]
    assert found == pytest.approx((alpha * first + (1 - alpha) * second).item(), rel=1e-6)
    assert model.config.multitask_alpha == alpha


def test_alpha_needs_two_heads_and_stays_where_it_was_if_unset(arguments, bert):
    with pytest.raises(UserError, match="--multitask_alpha needs a model with two heads"):
        ExtTrainer(bert, arguments(multitask_alpha=0.5))
    model = tiny_two_heads()
    ExtTrainer(model, arguments())
    assert model.config.multitask_alpha == 0.5
