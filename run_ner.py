#!/usr/bin/env python
"""Train a tagger from a checkout: the same as ``hf-ext train-ner``.

The steps are in ``hf_ext/cli/commands/train_ner.py``.
"""

from hf_ext.cli.command_lines import TAGGING
from hf_ext.cli.running import run_script

if __name__ == "__main__":  # --help and mistakes in the flags are answered here, before torch is loaded
    TAGGING.check()

from hf_ext.cli.commands.train_ner import main

if __name__ == "__main__":
    run_script(main)
