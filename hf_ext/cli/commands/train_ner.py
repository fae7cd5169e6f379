"""Train a tagger of words with an encoder or from scratch, with a label for the sentence if wanted."""

from __future__ import annotations

from transformers import PreTrainedModel

from hf_ext.cli.command_lines import TAGGING
from hf_ext.cli.faults import blame_flags
from hf_ext.cli.folds.loading import asks_for_folds
from hf_ext.cli.folds.tagging import SentenceFolds
from hf_ext.cli.lora_checks import check_lora
from hf_ext.cli.main_process_first import main_process_first
from hf_ext.cli.padding import length_multiple, settle_padding
from hf_ext.cli.running import start_session
from hf_ext.cli.tagger_building import (
    build_tagger,
    check_best_metric,
    check_choosing,
    choose_crf_rate,
    fit_characters,
    load_saved_schema,
    load_word_tokenizer,
    use_demo_data,
)
from hf_ext.cli.tagging_outcome import TaggingOutcome
from hf_ext.cli.tuning.search import plan_search
from hf_ext.data.tagging import TaggingCollator, TaggingData
from hf_ext.evaluation.tagging_metrics import TaggingMetric
from hf_ext.models.positions import count_positions
from hf_ext.models.tagger_arguments import TaggerArguments
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
    model_args, data_args, args = TAGGING.parse(argv)
    if fold is None and asks_for_folds(model_args, data_args):
        return SentenceFolds.run(main, argv)
    data_args.fold = fold
    search = plan_search(TAGGING, argv, args)
    check_output_dir(args)
    check_choosing(args)
    settle_padding(args, data_args)
    check_lora(args, model_args)

    # 2. Logging and seeds
    start_session(args)
    outcome = TaggingOutcome(args)

    # 3. Data: read and check the sentences; fit tags, scheme and labels on the training split only
    saved = load_saved_schema(model_args, trains=args.do_train)
    if args.do_train and not data_args.names_data:
        use_demo_data(data_args)
    data = TaggingData.from_arguments(
        data_args, saved=saved, needs=outcome.needs, cache_dir=model_args.cache_dir, token=model_args.token
    )
    check_best_metric(args, data.schema, data_args)
    fit_characters(model_args, data)

    # 4. Tokenizer: the model's own, reading word by word, or one whose tokens are the training words
    tokenizer = load_word_tokenizer(model_args, data)

    # 5. Model: stock head, or encoder + layers over the words + softmax or CRF, sized by the schema
    def build(model_args: TaggerArguments, args: ExtTrainingArguments) -> PreTrainedModel:
        model = build_tagger(model_args, data.schema, tokenizer, label_all_tokens=data_args.label_all_tokens)
        choose_crf_rate(args, model_args, model)
        return add_lora(model, args)

    model = build(model_args, args)

    # 6. Features: windows, tokenised once, the main process first; the others read its cache
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
            data_collator=TaggingCollator(
                tokenizer,
                pad_to_multiple_of=length_multiple(args),
                max_length=data.max_length if data_args.pad_to_max_length else None,
            ),
            processing_class=tokenizer,
            compute_metrics=TaggingMetric(
                data.schema,
                features["validation"]["sentence"][:] if "validation" in features else (),
                entity_level=data_args.return_entity_level_metrics,
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
