"""Which rows meet in a batch: by chance, by length, by a budget of tokens; and the way back to input order."""
