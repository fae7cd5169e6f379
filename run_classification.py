#!/usr/bin/env python
"""Train a classifier from a checkout: the same as ``hf-ext train-classification``.

The steps are in ``hf_ext/cli/commands/train_classification.py``.
"""

from hf_ext.cli.command_lines import CLASSIFICATION
from hf_ext.cli.running import run_script

if __name__ == "__main__":  # --help and mistakes in the flags are answered here, before torch is loaded
    CLASSIFICATION.check()

from hf_ext.cli.commands.train_classification import main

if __name__ == "__main__":
    run_script(main)
