"""Steps and evaluations of masked language models; ``main`` runs in two processes.

Every case sees the same eight rows in one optimizer step, cut into micro-batches in different ways, in float64.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from loss_scale_cases import CatchGradient
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from masked_models import MODELS, Vocabulary, build_masked_model, masked_batch, positions_of, stock_inputs

from hf_ext.models.masked_head import project_masked_only
from hf_ext.models.vocabulary_rows import extend_embeddings
from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.new_rows import NewRowsOnly

ROWS = 8
ON_TWO_PROCESSES = [("bert", False, 1), *((family, pairs, 4) for family, pairs in MODELS)]
EVALUATED, EVAL_SIZES = 7, (1, 2)


def build_rows(pairs, count=ROWS):
    """Give rows with unequal numbers of masked tokens; two have none."""
    batch = masked_batch(count, 6, pairs=pairs, seed=5)
    batch["labels"][5] = -100
    return [{name: value[i] for name, value in batch.items()} for i in range(count)]


def collate(rows):
    """Stack rows and say where they are masked."""
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return {**batch, "masked_positions": positions_of(batch["labels"])}


def build_ours(family, pairs, **changes):
    """Build a model that projects masked positions only."""
    model = build_masked_model(family, pairs=pairs, dtype=torch.float64, **changes)
    assert project_masked_only(model)
    return model


def arguments(folder, **changes):
    """Make the arguments of a short run."""
    settings = {"output_dir": folder, "use_cpu": True, "disable_tqdm": True, "save_strategy": "no"}
    return ExtTrainingArguments(**{**settings, "remove_unused_columns": False, **changes})


def step_gradient(family, pairs, steps, processes=1):
    """Give the gradient of one optimizer step over all rows, cut into ``steps`` micro-batches a process."""
    catch = CatchGradient()
    with tempfile.TemporaryDirectory() as folder:
        args = arguments(
            folder,
            max_steps=1,
            max_grad_norm=0.0,
            per_device_train_batch_size=ROWS // (steps * processes),
            gradient_accumulation_steps=steps,
        )
        rows = build_rows(pairs)
        ExtTrainer(
            build_ours(family, pairs), args, train_dataset=rows, data_collator=collate, callbacks=[catch]
        ).train()
    return catch.gradients


def true_gradient(family, pairs):
    """Give the gradient of the stock head's mean over all masked tokens, without any trainer."""
    model, batch = build_masked_model(family, pairs=pairs, dtype=torch.float64), collate(build_rows(pairs))
    batch.pop("masked_positions")
    model(**stock_inputs(family, batch)).loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def evaluate(family, pairs, batch_size):
    """Give the losses that an evaluation of the first rows finds."""
    with tempfile.TemporaryDirectory() as folder:
        args = arguments(folder, per_device_eval_batch_size=batch_size, prediction_loss_only=True)
        trainer = ExtTrainer(build_ours(family, pairs), args, data_collator=collate)
        metrics = trainer.evaluate(build_rows(pairs, EVALUATED))
    return {name: value for name, value in metrics.items() if name.endswith("loss")}


def true_losses(family, pairs):
    """Give the mean over all masked tokens and over all pairs of the evaluated rows, from the stock scores."""
    model = build_masked_model(family, pairs=pairs, dtype=torch.float64).eval()
    batch = collate(build_rows(pairs, EVALUATED))
    with torch.no_grad():
        output = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    masked = torch.nn.functional.cross_entropy(output[0].flatten(0, 1), batch["labels"].flatten()).item()
    if not pairs:
        return {"eval_loss": masked}
    sentences = torch.nn.functional.cross_entropy(output[1], batch["next_sentence_label"]).item()
    return {"eval_loss": masked + sentences, "eval_mlm_loss": masked, "eval_sentence_loss": sentences}


def train_new_rows(processes, folder, *, steps=2, max_steps=4, resume=False, callbacks=(), **changes):
    """Train with a first phase of new rows only, and give the model and the trainer."""
    model = build_masked_model("bert", dtype=torch.float64)
    new = extend_embeddings(model, Vocabulary(43), {"t40": [7, 8], "t41": [9], "t42": [7]})
    project_masked_only(model)
    rows = build_rows(False)
    for i, row in enumerate(rows):
        row["input_ids"][3] = row["labels"][3] = 40 + i % 3
    settings = {"learning_rate": 1e-2, "weight_decay": 0.1, "max_steps": max_steps, "lr_scheduler_type": "constant"}
    batches = {"per_device_train_batch_size": 2 // processes, "gradient_accumulation_steps": 2}
    args = arguments(folder, **{**settings, **batches, **changes})
    trainer = ExtTrainer(
        model, args, train_dataset=rows, data_collator=collate, callbacks=[NewRowsOnly(new, steps), *callbacks]
    )
    trainer.train(resume_from_checkpoint=resume)
    return model, trainer


def main(path):
    """Compute every two-process case and let process 0 write the tensors to one file."""
    torch.set_num_threads(1)
    found = {}
    for family, pairs, steps in ON_TWO_PROCESSES:
        for name, gradient in step_gradient(family, pairs, steps, processes=2).items():
            found[f"{family}/{pairs}/{steps}/{name}"] = gradient
    for pairs in (False, True):
        for size in EVAL_SIZES:
            for name, loss in evaluate("bert", pairs, size).items():
                found[f"evaluation/{pairs}/{size}/{name}"] = torch.tensor(loss, dtype=torch.float64)
    with tempfile.TemporaryDirectory() as folder:
        model, _ = train_new_rows(2, folder)
    found |= {f"new rows/{name}": weight.detach().clone() for name, weight in model.named_parameters()}
    if torch.distributed.get_rank() == 0:
        save_file(found, path)
    torch.distributed.destroy_process_group()
