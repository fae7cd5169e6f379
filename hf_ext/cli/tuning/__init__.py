"""``--tune``: the file that says what is searched, the search, and what it leaves behind."""
