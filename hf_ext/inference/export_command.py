"""Write a saved model as ONNX, compared with the original on the way.

python -m hf_ext.inference.export outputs/mine -o mine.onnx      # and decisions.py beside it, which needs numpy only
python -m hf_ext.inference.export outputs/tagger -o tagger.onnx    # and viterbi.py, likewise
"""

from __future__ import annotations

import logging

from hf_ext.inference.command_line import CommandLine, leave_out_bars
from hf_ext.inference.preconditions import check_onnx_file, require_extra

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4  # largest difference of a score


def main(argv: list[str]) -> None:
    """Export the model that a command line names; help and mistakes are answered before torch is loaded.

    Raises:
        UserError: As ``export_onnx``, or if the model cannot be loaded.
    """
    arguments = build_command_line().parse_args(argv)
    require_extra("onnx", what="exporting")
    check_onnx_file(arguments.output)
    from hf_ext.inference.export import export_onnx
    from hf_ext.inference.predictor import Predictor

    leave_out_bars()
    predictor = Predictor.from_pretrained(
        arguments.model,
        device="cpu",
        trust_remote_code=arguments.trust_remote_code,
        revision=arguments.model_revision,
    )
    difference = export_onnx(predictor, arguments.output, tolerance=arguments.tolerance)
    logger.info("%s: largest difference to the original %.1e", arguments.output, difference)


def build_command_line() -> CommandLine:
    """Make the parser."""
    parser = CommandLine(__doc__)
    parser.add_argument("-o", "--output", required=True, help="Where the model goes: a .onnx file.")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="Largest difference of a score.")
    parser.add_code_flags()
    return parser
