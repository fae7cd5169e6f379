"""``python -m hf_ext`` is ``hf-ext``; ``torchrun -m hf_ext`` needs it."""

from hf_ext.cli.console import main

if __name__ == "__main__":
    main()
