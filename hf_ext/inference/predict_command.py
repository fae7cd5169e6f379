"""Answer every row of a file by a saved model: labels, numbers, or entities.

python -m hf_ext.inference.predictor outputs/mine new.csv -o answers.csv
python -m hf_ext.inference.predictor outputs/tagger new.txt -o entities.jsonl --precision auto
"""

from __future__ import annotations

import logging

from hf_ext.data.arguments import DataArguments, split_names
from hf_ext.data.tagging.arguments import FORMATS, TaggingDataArguments
from hf_ext.inference.command_line import CommandLine, leave_out_bars, loading_options
from hf_ext.inference.preconditions import check_answer_file, check_source

logger = logging.getLogger(__name__)


def main(argv: list[str]) -> None:
    """Answer the rows of a file; help and mistakes in the flags are answered before torch is loaded.

    Raises:
        UserError: For whatever is wrong with the flags, the model or the file.
    """
    arguments = build_command_line().parse_args(argv)
    check_source(arguments.file)
    check_answer_file(arguments.output)
    from hf_ext.inference.file_prediction import FileOptions, predict_file
    from hf_ext.inference.predictor import Predictor

    kept = arguments.keep_columns
    options = FileOptions(
        text_column_names=arguments.text_column_names,
        text_pair_column_name=arguments.text_pair_column_name,
        id_column_name=arguments.id_column_name,
        column_names=arguments.column_names,
        delimiter=arguments.delimiter,
        quoting=arguments.quoting,
        file_format=arguments.file_format,
        keep_columns=None if kept == "all" else tuple(split_names(kept)),
    )
    leave_out_bars()
    loaded = Predictor.from_pretrained(arguments.model, **loading_options(arguments))
    rows = predict_file(loaded, arguments.file, arguments.output, options)
    logger.info("%d rows answered: %s", rows, arguments.output)


def build_command_line() -> CommandLine:
    """Make the parser."""
    parser = CommandLine(__doc__)
    parser.add_argument("file", help="Rows to answer: .csv .tsv .json .jsonl .parquet or .txt; CoNLL for taggers.")
    parser.add_argument("-o", "--output", required=True, help="Where the answers go: a .csv or .jsonl file.")
    parser.add_loading_flags()
    parser.add_argument("--text_column_names", help="Text columns, where the file calls them otherwise than training.")
    parser.add_argument("--text_pair_column_name", help="The second text of a pair, likewise.")
    parser.add_argument("--id_column_name", help="Column that names a row; unset counts rows from 0.")
    parser.add_argument("--column_names", help="Names of the columns of a file without a header line.")
    parser.add_argument("--delimiter", help="What separates cells; unset goes by the extension.")
    parser.add_argument(
        "--quoting",
        default=DataArguments.quoting,
        choices=("auto", "minimal", "none"),
        help="Whether quotation marks enclose cells.",
    )
    parser.add_argument(
        "--file_format", default=TaggingDataArguments.file_format, choices=FORMATS, help="Taggers: how a file is read."
    )
    parser.add_argument("--keep_columns", default="all", help="Input columns to repeat: all, or some by name.")
    return parser
