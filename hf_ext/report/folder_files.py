"""What each file in an output folder is: one line a file, for ``run.json`` and the documentation."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

# name, or a pattern of names, to what it is; the first one that fits counts
FILES: dict[str, str] = {
    "README.md": "model card: task, data, labels, figures, settings, how to load the model",
    "run.json": "record of the run: arguments, versions, git, checksums of the data, device, cost, files",
    "config.json": "settings of the model, its labels and what it expects of its data",
    "model.safetensors": "weights",
    "model-*.safetensors": "a part of the weights of a large model",
    "model.safetensors.index.json": "which part holds which weight",
    "generation_config.json": "settings that transformers keeps for models with a language head",
    "tokenizer.json": "the tokenizer",
    "tokenizer_config.json": "its settings",
    "special_tokens_map.json": "its special tokens, as older versions of transformers read them",
    "vocab.txt": "its tokens, one a line",
    "vocab.json": "its tokens and their numbers",
    "merges.txt": "its merges (BPE)",
    "added_tokens.json": "tokens that joined it later",
    "spiece.model": "the tokenizer as sentencepiece reads it",
    "sentencepiece.bpe.model": "the tokenizer as sentencepiece reads it",
    "training_args.json": "every training argument, defaults included",
    "all_results.json": "every figure of the run: metrics of each split, cost",
    "train_results.json": "figures of the training",
    "eval_results.json": "figures of the validation rows",
    "predict_results.json": "figures of the test rows",
    "baseline_eval_results.json": "figures of TF-IDF on the validation rows (--tfidf_baseline)",
    "baseline_predict_results.json": "figures of TF-IDF on the test rows (--tfidf_baseline)",
    "cost_results.json": "seconds, tokens and memory of each phase",
    "eval_all_checkpoints.json": "figures of each checkpoint (--eval_all_checkpoints)",
    "trainer_state.json": "the log and the state of the Trainer at the end",
    "train_log.jsonl": "every logged figure while it happened, a line each",
    "data_report.json": "figures of the data, and what is worth a look",
    "split_indices.json": "the rows of each split, where one file was split here",
    "best.yaml": "settings of the best trial of a search, to be run as they are (--tune)",
    "trials.csv": "each trial of a search: its values, its figure, its seconds",
    "tune.png": "the figure of each trial, and the best so far",
    "tune": "the study of a search, and the figures of its best trial",
    "folds.json": "how the folds were cut (--num_folds)",
    "fold-*": "the model of a fold, trained without it, with a report of its own",
    "out_of_fold_predictions.csv": "each training row as the model answers that was trained without its fold",
    "out_of_fold_predictions.jsonl": "the same as JSON, a row or sentence a line",
    "learning_curves.png": "loss, validation metrics and learning rate of each group over the steps",
    "confusion_matrix.png": "how often each label was taken for which",
    "calibration.png": "how often probabilities were right (reliability diagram), with the calibration error",
    "perplexity.png": "perplexity of masked words over the steps",
    "label_report.csv": "precision, recall, F1 and rows of each label",
    "errors.csv": "wrong rows with id and text, the most confident first; of numbers the largest error first",
    "entity_report.csv": "precision, recall, F1 and counts of each type of entity",
    "entity_errors.csv": "each wrong entity: missed, spurious, wrong type or wrong boundary, with its words",
    "predictions.csv": "prediction, probabilities and kept columns of each test row",
    "predictions.jsonl": "the same as JSON, a row or sentence a line",
    "predictions.txt": "predicted tags, a sentence a line, as the official script",
    "predictions.conll": "word, true tag, predicted tag, for conlleval",
    "predict_results.txt": "predictions as the official script writes them",
    "tokenizer_report.json": "measures of the tokenizer on held-out lines",
    "merged_tokens.json": "the tokens that joined an old tokenizer (--merge_into)",
    "adapter": "what LoRA has trained, by itself, for peft (--lora_r)",
    "checkpoint-*": "a checkpoint to resume from",
    "runs": "logs for TensorBoard (--report_to tensorboard)",
}
OWN_FILES = ("README.md", "run.json")


def describe_file(name: str) -> str | None:
    """Say what a file of an output folder is, or None if it is none of ours."""
    return next((what for pattern, what in FILES.items() if fnmatchcase(name, pattern)), None)


def list_files(folder: Path, *, since: float) -> dict[str, str]:
    """Name the files in a folder that are not older than a moment, with what each of them is.

    Args:
        folder: The output folder.
        since: Seconds since 1970, as ``time.time``.
    """
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        what = describe_file(path.name)
        if what is not None and path.stat().st_mtime >= since - 1:  # some file systems know no fractions
            found[path.name] = what
    return found
