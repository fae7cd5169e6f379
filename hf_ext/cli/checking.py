"""What a run would say of its data, without the run: ``python -m hf_ext.data.checks``.

    python -m hf_ext.data.checks --train_file train.csv --validation_file dev.csv
    python -m hf_ext.data.checks examples/wnut17.yaml --task ner

The flags and the YAML file are those of the script of the task. Without ``--do_train`` and its like all files that are
named are looked at. Ends with status 2 and one line where the run would. No model is loaded; a tokenizer is where one
is named, to count what ``--max_seq_length`` cuts off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from hf_ext.cli.feature_cache import find_feature_cache
from hf_ext.cli.parsing import parse_arguments
from hf_ext.cli.quick_start import outline_training_arguments
from hf_ext.data.arguments import DataArguments, SourceArguments
from hf_ext.data.checks.report import DataReport, write_report
from hf_ext.data.checks.summary import summarise
from hf_ext.data.pretraining.arguments import PretrainingDataArguments
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.errors import UserError
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.checkpoint_arguments import CheckpointArguments
from hf_ext.models.pretraining_arguments import PretrainingModelArguments
from hf_ext.models.tagger_arguments import TaggerArguments

ACTIONS = {"train": "do_train", "validation": "do_eval", "test": "do_predict"}


def main(argv: list[str]) -> DataReport:
    """Check the data that a command line names, print what was found, and write it where ``--output_dir`` says.

    Raises:
        UserError: For whatever would stop the run before its model is loaded.
    """
    # 1. Arguments: those of the script of the task, read without torch
    task, words = take_task(argv)
    model_type, data_type, check = TASKS[task]
    training_type = outline_training_arguments() or _training_arguments()
    types = (model_type, data_type, training_type)
    model_args, data_args, args = parse_arguments(types, words, defaults={"output_dir": ""})
    if not data_args.names_data:
        raise UserError("no data is named", where="command line", fix="pass --train_file, or a YAML file that does")

    # 2. Data: read and checked as the script does
    needs = {split for split, action in ACTIONS.items() if getattr(args, action)}
    report = check(model_args, data_args, needs or find_needs(data_args))

    # 3. What was found
    sys.stdout.write(f"{summarise(report)}\n")
    if args.output_dir:
        write_report(report, Path(args.output_dir))
    return report


def take_task(argv: Sequence[str]) -> tuple[str, list[str]]:
    """Take the name of the task out of a command line.

    ``--task`` is a flag of classification too (``single_label`` and so on); such a value stays where it is.
    """
    words, chosen = list(argv), "classification"
    for task in TASKS:
        for written in (["--task", task], [f"--task={task}"]):
            for i in range(len(words) - len(written), -1, -1):
                if words[i : i + len(written)] == written:
                    del words[i : i + len(written)]
                    chosen = task
    return chosen, words


def find_needs(arguments: SourceArguments | PretrainingDataArguments) -> set[str]:
    """Give the splits that a command line has rows for, where it does not say what to do with them."""
    named = {"train": arguments.train_file, "validation": arguments.validation_file}
    if isinstance(arguments, PretrainingDataArguments):
        held_out = arguments.validation_split_percentage > 0
    else:
        named["test"] = arguments.test_file
        held_out = bool(arguments.validation_split or arguments.split_indices)
        if arguments.test_split:
            named["test"] = arguments.train_file or arguments.data_dir
    found = {split for split, file in named.items() if file}
    if arguments.dataset_name:
        found.add("train")
    if isinstance(arguments, SourceArguments) and arguments.data_dir:
        found.update(_splits_of_folder(arguments, arguments.data_dir))
    return found | ({"validation"} if held_out and "train" in found else set())


def _splits_of_folder(arguments: SourceArguments, folder: str) -> Collection[str]:
    if isinstance(arguments, TaggingDataArguments):
        from hf_ext.data.tagging.sources import find_sentence_paths

        return find_sentence_paths(folder).keys()
    from hf_ext.data.files import find_split_files

    return find_split_files(folder).keys()


def _check_classification(model_args: ModelArguments, data_args: DataArguments, needs: set[str]) -> DataReport:
    from hf_ext.data.checks.classification import inspect_classification
    from hf_ext.data.classification import ClassificationData

    saved = None
    if "train" not in needs and model_args.model_name_or_path:  # of a saved model only its config is read
        from hf_ext.cli.classifier_building import load_saved_schema

        saved = load_saved_schema(model_args, trains=False)
    data = ClassificationData.from_arguments(
        data_args, saved=saved, needs=needs, cache_dir=model_args.cache_dir, token=model_args.token
    )
    if model_args.tokenizer_name or model_args.model_name_or_path:
        from hf_ext.cli.classifier_building import load_text_tokenizer

        _tokenise(data, load_text_tokenizer(model_args, data), model_args, data_args)
    return inspect_classification(data)


def _check_ner(model_args: TaggerArguments, data_args: TaggingDataArguments, needs: set[str]) -> DataReport:
    from hf_ext.data.checks.tagging import inspect_tagging
    from hf_ext.data.tagging import TaggingData

    saved = None
    if "train" not in needs and model_args.model_name_or_path:
        from hf_ext.cli.tagger_building import load_saved_schema

        saved = load_saved_schema(model_args, trains=False)
    data = TaggingData.from_arguments(
        data_args, saved=saved, needs=needs, cache_dir=model_args.cache_dir, token=model_args.token
    )
    if model_args.tokenizer_name or model_args.model_name_or_path:
        from hf_ext.cli.tagger_building import load_word_tokenizer

        _tokenise(data, load_word_tokenizer(model_args, data), model_args, data_args)
    return inspect_tagging(data)


def _check_pretraining(
    model_args: PretrainingModelArguments, data_args: PretrainingDataArguments, needs: set[str]
) -> DataReport:
    from hf_ext.data.checks.pretraining import inspect_pretraining
    from hf_ext.data.pretraining import PretrainingData

    data = PretrainingData.from_arguments(
        data_args, needs=needs - {"test"}, cache_dir=model_args.cache_dir, token=model_args.token
    )
    return inspect_pretraining(data)


def _tokenise(data: Any, tokenizer: Any, model_args: CheckpointArguments, data_args: SourceArguments) -> None:
    """Make the features as the run does, which then finds them; what is cut off is noted on the way."""
    from hf_ext.models.pretrained import load_config

    config = load_config(model_args)
    encoder = getattr(config, "encoder_config", config)
    data.tokenize(
        tokenizer,
        cache_dir=find_feature_cache(model_args.cache_dir),
        overwrite=data_args.overwrite_cache,
        num_workers=data_args.preprocessing_num_workers,
        positions=getattr(encoder, "max_position_embeddings", None),
    )


def _training_arguments() -> type:
    from hf_ext.training.arguments import ExtTrainingArguments

    return ExtTrainingArguments


Check = Callable[[Any, Any, set[str]], DataReport]

TASKS: dict[str, tuple[type, type, Check]] = {
    "classification": (ModelArguments, DataArguments, _check_classification),
    "ner": (TaggerArguments, TaggingDataArguments, _check_ner),
    "pretraining": (PretrainingModelArguments, PretrainingDataArguments, _check_pretraining),
}
