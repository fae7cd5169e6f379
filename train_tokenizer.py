#!/usr/bin/env python
"""Train a tokenizer on your own text, or teach an old one new words: WordPiece, BPE, Unigram, words, characters.

    python train_tokenizer.py --train_file corpus.txt --kind wordpiece --vocab_size 8000
    python train_tokenizer.py examples/tokenizer_novels.yaml --kind unigram
    python train_tokenizer.py --train_file news/ --merge_into bert-base-chinese --output_dir outputs/merged

The corpus is streamed; memory does not grow with it. ``--help`` lists the flags.
"""

from hf_ext.cli.quick_start import check_command_line
from hf_ext.data.text_lines_arguments import TextLinesArguments
from hf_ext.tokenization.arguments import TokenizerArguments

if __name__ == "__main__":  # --help and mistakes in the flags are answered here, before torch is loaded
    check_command_line((TextLinesArguments, TokenizerArguments), __doc__, trains=False)

from hf_ext.cli import parse_arguments, run_script
from hf_ext.cli.tokenizer_building import (
    check_tokenizer_folder,
    count_words,
    draw_blueprint,
    request_vocabulary,
    start_tokenizer_session,
)
from hf_ext.cli.tokenizer_outcome import TokenizerOutcome
from hf_ext.data.text_lines import TextLines


def main(argv: list[str]) -> dict:
    """Run the eight steps and give the figures of the new tokenizer, of the reference and of the corpus."""
    # 1. Arguments: command line over YAML or JSON file over defaults
    text_args, args = parse_arguments((TextLinesArguments, TokenizerArguments), argv)
    check_tokenizer_folder(args)

    # 2. Quiet libraries
    start_tokenizer_session()
    outcome = TokenizerOutcome(args)

    # 3. Settings: normalisation, cuts, special tokens, templates; from flags or from another tokenizer
    blueprint = draw_blueprint(args)

    # 4. Corpus: streamed, some lines held out
    lines = TextLines(text_args, cache_dir=args.cache_dir, token=args.token)

    # 5. Words and how often they occur, in bounded memory
    counts = count_words(lines, blueprint, args)

    # 6. Vocabulary
    trained = blueprint.learn(counts, request_vocabulary(blueprint, args))

    # 7. Merge it into an old tokenizer, if one is named
    tokenizer = outcome.merge(trained)

    # 8. Save, measure on the held-out lines, say where everything is
    return outcome.finish(tokenizer, counts, lines)


if __name__ == "__main__":
    run_script(main)
