"""Taggers in training: gradients and losses are those of every sentence by itself, whatever the batches."""

from __future__ import annotations

import json
import logging

import pytest
import tagger_cases as cases
import torch
from loss_references import REFERENCES
from tagger_models import ALPHA, Objective, build_model, build_rows, collate

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer
from hf_ext.training.losses.row_count import NUM_ROWS, tell_rows
from hf_ext.training.watch.progress import ProgressLines, describe_named_losses
from hf_ext.training.watch.train_log import TRAIN_LOG

TOLERANCE = 1e-12
NAMED = ("sentence_loss", "tag_loss")


@pytest.mark.parametrize("steps", cases.STEPS)
@pytest.mark.parametrize("method", cases.METHODS)
@pytest.mark.parametrize("head", cases.HEADS)
def test_the_gradient_is_the_objectives_whatever_the_accumulation(head, method, steps):
    found, _ = cases.train_one_step(head, method, steps)
    assert cases.relative_error(found, cases.true_gradient(head, method)) <= TOLERANCE


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    return cases.on_two_processes(tmp_path_factory.mktemp("taggers") / "found.json")


@pytest.mark.slow
@pytest.mark.parametrize("head", cases.HEADS)
def test_the_gradient_is_the_objectives_on_two_processes(two_processes, head):
    errors = {name: error for name, error in two_processes["errors"].items() if name.startswith(f"{head}/")}
    assert len(errors) == len(cases.METHODS) * len(cases.STEPS_OF_TWO)
    assert max(errors.values()) <= TOLERANCE


@pytest.mark.parametrize("head", cases.HEADS)
def test_evaluation_losses_are_means_over_all_words_and_sentences_for_every_batch_size(head):
    for count in cases.COUNTS:
        expected = cases.true_losses(head, count)
        for size in cases.BATCH_SIZES:
            assert cases.evaluate(head, count, size) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("head", cases.HEADS)
def test_evaluation_losses_and_predictions_are_the_same_on_two_processes(two_processes, head):
    for count in cases.COUNTS:
        for size in cases.BATCH_SIZES[::2]:
            found = two_processes["losses"][f"{head}/{count}/{size}"]
            assert found == pytest.approx(cases.true_losses(head, count), rel=1e-6)
    one, two = cases.predict(head, 7, 2), two_processes["predictions"][head]
    assert two[0] == one[0]
    assert torch.allclose(torch.tensor(two[1:]), torch.tensor(one[1:]))


def expected_logs():
    found = cases.true_losses("joint", cases.ROWS)
    return {name: found[name] for name in ("loss", *NAMED)}


@pytest.mark.parametrize("steps", cases.STEPS)
@pytest.mark.parametrize("method", ["plain", "fgm"])
def test_the_parts_of_a_joint_loss_are_logged_by_name_and_add_up(method, steps):
    _, logs = cases.train_one_step("joint", method, steps)
    found = {name: logs[0][name] for name in ("loss", *NAMED)}
    assert found == pytest.approx(expected_logs(), rel=1e-6)
    assert found["loss"] == pytest.approx(ALPHA * found["sentence_loss"] + (1 - ALPHA) * found["tag_loss"], rel=1e-6)
    assert list(logs[0])[:3] == ["loss", *NAMED]


@pytest.mark.slow
def test_the_parts_are_means_over_all_processes(two_processes):
    for steps in cases.STEPS_OF_TWO:
        log = two_processes["logs"][f"joint/plain/{steps}"]
        assert {name: log[name] for name in ("loss", *NAMED)} == pytest.approx(expected_logs(), rel=1e-6)
    log = two_processes["logs"]["not averaged"]  # each process divides by its own counts
    assert log["loss"] == pytest.approx(ALPHA * log["sentence_loss"] + (1 - ALPHA) * log["tag_loss"], rel=1e-6)


def test_rdrop_logs_the_mean_of_both_passes():
    _, logs = cases.train_one_step("joint", "rdrop", 2)
    model = build_model("joint")
    objective = Objective(model, build_rows("joint", cases.ROWS))
    both = [objective.losses(mask=mask) for mask in cases.word_masks(model)]
    assert logs[0]["tag_loss"] == pytest.approx(sum(tags.item() for tags, _ in both) / 2, rel=1e-6)
    assert logs[0]["sentence_loss"] == pytest.approx(both[0][1].item(), rel=1e-6)


def test_models_with_one_loss_log_what_they_did_before():
    _, logs = cases.train_one_step("crf", "plain", 1)
    assert not set(NAMED) & set(logs[0])


def joint_trainer(arguments, count=6, **changes):
    settings = {"per_device_train_batch_size": 2, "logging_steps": 2, "max_steps": 6, "learning_rate": 1e-3}
    rows = build_rows("joint", count)
    args = arguments(**{**settings, **changes})
    return ExtTrainer(build_model("joint"), args, train_dataset=rows, eval_dataset=rows, data_collator=collate)


def test_logs_are_means_over_the_steps_since_the_last_log(arguments):
    every = joint_trainer(arguments, logging_steps=1)
    every.train()
    others = joint_trainer(arguments, logging_steps=2)
    others.train()
    each = [log for log in every.state.log_history if "loss" in log]
    pairs = [log for log in others.state.log_history if "loss" in log]
    assert (len(each), len(pairs)) == (6, 3)
    for i, log in enumerate(pairs):
        for name in NAMED:
            assert log[name] == pytest.approx((each[2 * i][name] + each[2 * i + 1][name]) / 2, rel=1e-6)


def test_a_second_training_begins_its_means_anew(arguments):
    trainer = joint_trainer(arguments, max_steps=3, logging_steps=2)
    trainer.train()  # the third step is not logged
    trainer.train()
    logs = [log for log in trainer.state.log_history if "tag_loss" in log]
    assert len(logs) == 1
    assert logs[0]["loss"] == pytest.approx(ALPHA * logs[0]["sentence_loss"] + (1 - ALPHA) * logs[0]["tag_loss"])


def test_named_losses_stand_in_the_log_file_the_progress_lines_and_the_best_metric(arguments, tmp_path, caplog):
    trainer = joint_trainer(
        arguments,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        metric_for_best_model="tag_loss",
        greater_is_better=False,
        load_best_model_at_end=True,
        disable_tqdm=False,
    )
    assert any(isinstance(callback, ProgressLines) for callback in trainer.callback_handler.callbacks)
    with caplog.at_level(logging.INFO, logger="hf_ext"):
        trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "out" / TRAIN_LOG).read_text().splitlines()]
    assert sum("tag_loss" in line and "loss_step" in line for line in lines) == 3
    assert sum("eval_tag_loss" in line for line in lines) == 3
    assert "sentence_loss" in next(r.getMessage() for r in caplog.records if "step 2 of 6" in r.getMessage())
    evaluated = [line["eval_tag_loss"] for line in lines if "eval_tag_loss" in line]
    assert trainer.state.best_metric == pytest.approx(min(evaluated))


def test_progress_names_the_parts_of_the_training_loss_only():
    logs = {"loss": 1.0, "sentence_loss": 0.5, "tag_loss": 1.25, "learning_rate": 0.1}
    assert describe_named_losses(logs) == "sentence_loss 0.5, tag_loss 1.25"
    assert describe_named_losses({"eval_loss": 1.0, "eval_tag_loss": 2.0}) == ""


def test_evaluation_without_any_sentence_label_leaves_that_loss_out(arguments):
    rows = build_rows("joint", 4)
    for row in rows:
        row["sentence_labels"] = -100
    metrics = joint_trainer(arguments).evaluate(rows)
    assert "eval_sentence_loss" not in metrics
    assert metrics["eval_loss"] == pytest.approx((1 - ALPHA) * metrics["eval_tag_loss"])


def test_label_names_are_found_and_predictions_are_tags_and_sentence_scores(arguments):
    trainer = joint_trainer(arguments)
    assert trainer.label_names == ["labels", "sentence_labels"]
    output = trainer.predict(build_rows("joint", 3))
    tags, sentences = output.predictions
    labels, sentence_labels = output.label_ids
    assert tags.shape == labels.shape
    assert ((tags == -100) | (tags >= 0)).all()
    assert (sentences.shape, sentence_labels.shape) == ((3, 3), (3,))
    trainer.model.wants_probabilities = True
    assert len(trainer.predict(build_rows("joint", 3)).predictions) == 4


def test_rows_are_told_only_to_models_that_count_them(arguments):
    batches = [collate(build_rows("joint", 8)[start : start + 4]) for start in (0, 4)]
    tell_rows(joint_trainer(arguments), batches)
    assert [batch[NUM_ROWS].item() for batch in batches] == [5.0, 5.0]  # of 8 sentences three have no label
    plain = ExtTrainer(build_model("crf"), arguments(), data_collator=collate)
    batch = collate(build_rows("crf", 2))
    tell_rows(plain, [batch])
    assert NUM_ROWS not in batch


# --- what else the trainer offers -------------------------------------------------------------------------------------


def trainer_for(head, arguments, **flags):
    rows = build_rows(head, 8)
    args = arguments(**{"per_device_train_batch_size": 4, "max_steps": 4, "learning_rate": 1e-2, **flags})
    return ExtTrainer(build_model(head), args, train_dataset=rows, eval_dataset=rows, data_collator=collate)


@pytest.mark.parametrize("head", cases.HEADS)
def test_all_methods_together_train_save_and_resume(head, arguments):
    flags = {
        "adversarial": "fgm",
        "rdrop_alpha": 1.0,
        "ema_decay": 0.5,
        "head_learning_rate": 3e-2,
        "save_strategy": "steps",
        "save_steps": 2,
        **({} if head == "softmax" else {"crf_learning_rate": 0.1}),
    }
    trainer = trainer_for(head, arguments, **flags)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before
    again = trainer_for(head, arguments, **flags)
    again.train(resume_from_checkpoint=f"{again.args.output_dir}/checkpoint-2")
    for name, weight in again.model.state_dict().items():
        assert torch.equal(weight, trainer.model.state_dict()[name]), name


def test_the_crf_has_a_group_of_its_own_that_does_not_decay(arguments):
    trainer = trainer_for("crf", arguments, crf_learning_rate=0.1, head_learning_rate=0.05, weight_decay=0.1)
    groups = {group["name"]: group for group in trainer.create_optimizer().param_groups}
    crf = [group for name, group in groups.items() if "crf" in name]
    assert len(crf) == 1
    assert (crf[0]["lr"], crf[0]["weight_decay"]) == (0.1, 0.0)
    assert {id(weight) for weight in crf[0]["params"]} == {id(w) for w in trainer.model.crf.parameters()}
    emissions = trainer.model.emission_layer.weight
    assert next(g["lr"] for g in groups.values() if any(w is emissions for w in g["params"])) == 0.05


@pytest.mark.parametrize("loss", ["focal", "dice"])
def test_another_loss_reads_the_scores_of_a_softmax_tagger(loss, arguments):
    trainer = trainer_for("softmax", arguments, loss=loss)
    batch = collate(build_rows("softmax", 8))
    labels = batch.pop("labels")
    with torch.no_grad():
        logits = trainer.model.eval()(**batch).logits
    expected = REFERENCES[loss](logits, labels, weights=None, smoothing=0.0, gamma=2.0) / (labels != -100).sum()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("head", ["crf", "joint"])
def test_another_loss_is_refused_where_the_model_has_its_own(head, arguments):
    with pytest.raises(UserError, match="has a loss of its own"):
        trainer_for(head, arguments, loss="focal")


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_the_weight_of_two_losses_is_refused_for_a_model_with_one(head, arguments):
    with pytest.raises(UserError, match=r"--multitask_alpha needs a model with two heads.* – leave it out"):
        trainer_for(head, arguments, multitask_alpha=0.4)


def test_the_weight_of_two_losses_reaches_training_evaluation_and_the_saved_config(arguments, tmp_path):
    trainer = trainer_for("joint", arguments, multitask_alpha=0.9)
    metrics = trainer.evaluate()
    expected = 0.9 * metrics["eval_sentence_loss"] + 0.1 * metrics["eval_tag_loss"]
    assert metrics["eval_loss"] == pytest.approx(expected)
    trainer.save_model(str(tmp_path / "saved"))
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["multitask_alpha"] == 0.9
