"""A search for the flags that do best on the validation rows, through Trainer's own ``hyperparameter_search``."""
