"""What is wrong with data and stops a run, what is merely odd and is counted; ``python -m hf_ext.data.checks``."""
