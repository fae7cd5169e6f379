#!/usr/bin/env python
"""Train a tokenizer from a checkout: the same as ``hf-ext train-tokenizer``.

The steps are in ``hf_ext/cli/commands/train_tokenizer.py``.
"""

from hf_ext.cli.command_lines import TOKENIZER
from hf_ext.cli.running import run_script

if __name__ == "__main__":  # --help and mistakes in the flags are answered here, before torch is loaded
    TOKENIZER.check()

from hf_ext.cli.commands.train_tokenizer import main

if __name__ == "__main__":
    run_script(main)
