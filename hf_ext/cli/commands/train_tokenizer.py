"""Train a tokenizer on text of one's own, or teach an old one new words."""

from __future__ import annotations

from hf_ext.cli.command_lines import TOKENIZER
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
    text_args, args = TOKENIZER.parse(argv)
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
