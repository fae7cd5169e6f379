"""``--num_folds``: a model for each fold, what they say of the rows they have not seen, and all of them as one."""
