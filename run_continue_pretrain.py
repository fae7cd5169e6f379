#!/usr/bin/env python
"""Pretrain an encoder from a checkout: the same as ``hf-ext pretrain``.

The steps are in ``hf_ext/cli/commands/pretrain.py``.
"""

from hf_ext.cli.command_lines import PRETRAINING
from hf_ext.cli.running import run_script

if __name__ == "__main__":  # --help and mistakes in the flags are answered here, before torch is loaded
    PRETRAINING.check()

from hf_ext.cli.commands.pretrain import main

if __name__ == "__main__":
    run_script(main)
