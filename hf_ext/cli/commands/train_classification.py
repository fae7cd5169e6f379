"""Train an encoder, or a model from scratch, for text classification, with or without table columns."""

from __future__ import annotations

from transformers import PreTrainedModel

from hf_ext.cli.choosing import check_choosing
from hf_ext.cli.classification_outcome import ClassificationOutcome
from hf_ext.cli.classifier_building import (
    check_best_metric,
    check_streaming,
    load_classifier,
    load_saved_schema,
    load_text_tokenizer,
    use_demo_data,
)
from hf_ext.cli.command_lines import CLASSIFICATION
from hf_ext.cli.faults import blame_flags
from hf_ext.cli.folds.classification import RowFolds
from hf_ext.cli.folds.loading import asks_for_folds
from hf_ext.cli.lora_checks import check_lora
from hf_ext.cli.main_process_first import main_process_first
from hf_ext.cli.padding import length_multiple, settle_padding
from hf_ext.cli.running import start_session
from hf_ext.cli.tuning.search import plan_search
from hf_ext.data.classification import ClassificationData
from hf_ext.data.collators import ClassificationCollator
from hf_ext.evaluation.metrics import build_compute_metrics
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.positions import count_positions
from hf_ext.training.arguments import ExtTrainingArguments, check_output_dir
from hf_ext.training.lora.adapter import add_lora
from hf_ext.training.trainer import ExtTrainer


def main(argv: list[str], *, fold: int | None = None) -> dict:
    """Run the eight steps and give the metrics of each split.

    Args:
        argv: The words of the command line.
        fold: With ``--num_folds`` the one that is left out; None runs all of them.
    """
    # 1. Arguments: command line over YAML or JSON file over defaults
    model_args, data_args, args = CLASSIFICATION.parse(argv)
    if fold is None and asks_for_folds(model_args, data_args):
        return RowFolds.run(main, argv)
    data_args.fold = fold
    search = plan_search(CLASSIFICATION, argv, args)
    check_output_dir(args)
    settle_padding(args, data_args)
    check_streaming(data_args, args.max_steps)
    check_lora(args, model_args)

    # 2. Logging and seeds
    start_session(args)
    outcome = ClassificationOutcome(args, fits_rule=fold is None)

    # 3. Data: read and check the rows; fit labels and columns on the training split only
    saved = load_saved_schema(model_args, trains=args.do_train)
    if args.do_train and not data_args.names_data:
        use_demo_data(data_args)
    data = ClassificationData.from_arguments(
        data_args, saved=saved, needs=outcome.needs, cache_dir=model_args.cache_dir, token=model_args.token
    )
    check_best_metric(args, data.schema.labels, data_args)
    check_choosing(args, data.schema.labels, model_args.model_name_or_path)

    # 4. Tokenizer: the model's own, or one built from the training text
    tokenizer = load_text_tokenizer(model_args, data)

    # 5. Model: stock head, or encoder + pooler + table columns, sized by the schemas
    def build(model_args: ModelArguments, args: ExtTrainingArguments) -> PreTrainedModel:
        return add_lora(load_classifier(model_args, data.schema, tokenizer), args)

    model = build(model_args, args)

    # 6. Features: tokenised once, the main process first; the others read its cache
    with main_process_first(args):
        with outcome.clock.tokenising():
            features = data.tokenize(
                tokenizer,
                cache_dir=outcome.cache_dir(model_args.cache_dir),
                overwrite=data_args.overwrite_cache,
                num_workers=data_args.preprocessing_num_workers,
                positions=count_positions(model),
            )
        outcome.report(data)

    # 7. Trainer
    with blame_flags():
        trainer = ExtTrainer(
            model=model,
            args=args,
            train_dataset=features.get("train"),
            eval_dataset=features.get("validation"),
            data_collator=ClassificationCollator(
                tokenizer,
                pad_to_multiple_of=length_multiple(args),
                max_length=data.max_length if data_args.pad_to_max_length else None,
            ),
            processing_class=tokenizer,
            compute_metrics=build_compute_metrics(
                data.schema.labels.problem_type, metric_name=data_args.metric_name, cache_dir=model_args.cache_dir
            ),
        )

    # 8. Train, evaluate, predict; write metrics, predictions and the model; say where they are
    if search is not None:
        return search.run(trainer, build, metric=outcome.main_metric(data))
    if args.do_train:
        outcome.train(trainer, data)
    if args.do_eval:
        outcome.evaluate(trainer, data)
    if args.do_predict:
        outcome.predict(trainer, data, features["test"])
    return outcome.finish(trainer, data, model_args, data_args)
