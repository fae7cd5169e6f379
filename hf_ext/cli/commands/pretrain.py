"""Pretrain an encoder further on text of one's own, or from scratch."""

from __future__ import annotations

from hf_ext.cli.command_lines import PRETRAINING
from hf_ext.cli.faults import blame_flags
from hf_ext.cli.lora_checks import check_lora
from hf_ext.cli.main_process_first import main_process_first
from hf_ext.cli.padding import settle_padding
from hf_ext.cli.pretraining_building import (
    build_callbacks,
    build_collator,
    build_pretraining_model,
    check_model,
    check_pretraining_flags,
    check_tokens,
    extend_tokenizer,
    load_pretraining_tokenizer,
    use_pretraining_demo,
)
from hf_ext.cli.pretraining_outcome import PretrainingOutcome
from hf_ext.cli.running import start_session
from hf_ext.data.pretraining import PretrainingData
from hf_ext.models.positions import count_positions
from hf_ext.training.arguments import check_output_dir
from hf_ext.training.lora.adapter import add_lora
from hf_ext.training.pretraining import PretrainingTrainer


def main(argv: list[str]) -> dict:
    """Run the eight steps and give the figures of each split."""
    # 1. Arguments: command line over YAML or JSON file over defaults
    model_args, data_args, args = PRETRAINING.parse(argv)
    check_output_dir(args)
    settle_padding(args, data_args)
    check_pretraining_flags(args, data_args)
    check_lora(args, model_args)

    # 2. Logging and seeds
    start_session(args)
    outcome = PretrainingOutcome(args)

    # 3. Data: read the documents; hold some of them out for validation, seeded
    if args.do_train and not data_args.names_data:
        use_pretraining_demo(model_args, data_args)
    check_model(model_args)
    data = PretrainingData.from_arguments(
        data_args, needs=outcome.needs, cache_dir=model_args.cache_dir, token=model_args.token
    )

    # 4. Tokenizer: the model's own with the tokens that are to join it, or one counted from the training text
    tokenizer = load_pretraining_tokenizer(model_args, data)
    pieces = extend_tokenizer(model_args, tokenizer)

    # 5. Model: a head for masked tokens, and for pairs of sentences if wanted; rows for new tokens
    pairs = data_args.has_sentence_pairs
    model, new_rows = build_pretraining_model(model_args, tokenizer, pieces, sentence_pairs=pairs)

    # 6. Rows: documents tokenised once and packed, the main process first; the others read its cache
    with main_process_first(args):
        with outcome.clock.tokenising():
            rows = data.tokenize(
                tokenizer,
                cache_dir=outcome.cache_dir(model_args.cache_dir),
                overwrite=data_args.overwrite_cache,
                num_workers=data_args.preprocessing_num_workers,
                positions=count_positions(model),
            )
        outcome.report(data)
    check_tokens(rows, tokenizer)

    # 7. Trainer: words are masked anew in every epoch
    collator = build_collator(tokenizer, model, data, args)
    with blame_flags():
        trainer = PretrainingTrainer(
            model=add_lora(model, args, new_rows=new_rows),
            args=args,
            train_dataset=rows.get("train"),
            eval_dataset=rows.get("validation"),
            data_collator=collator,
            processing_class=tokenizer,
            callbacks=build_callbacks(model_args, collator, new_rows),
        )

    # 8. Train and evaluate; write figures and the model; say where they are
    if args.do_train:
        outcome.train(trainer, data)
    if args.do_eval:
        outcome.evaluate(trainer, data)
    return outcome.finish(trainer, data, model_args, data_args)
