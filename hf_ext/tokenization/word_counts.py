"""How often each word of a corpus occurs, in memory that does not grow with the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

BATCH = 2000  # texts between two looks at the size of the table


class WordCounts:
    """Count words; when the table grows beyond its budget, go on with a random half of all occurrences.

    This is a concise sample (Gibbons and Matias, 1998, SIGMOD, section 3): at any time the table holds each occurrence
    of the corpus with the same probability ``rate``, so that counts keep their proportions in expectation. Where the
    table never fills up, the counts are exact. Frequent words stay in any case; what a small budget thins out are
    words that occur once or twice. Characters are counted exactly beside it.

    Args:
        budget: UTF-8 bytes of different words that the table may hold. Training needs some 100 bytes for each.
        seed: The same texts and seed give the same counts.
    """

    def __init__(self, budget: int, *, seed: int = 42) -> None:
        if budget < 1:
            raise ValueError(f"budget must be at least 1, got {budget}.")
        self.budget = budget
        self.rate = 1.0
        self.words: Counter[str] = Counter()
        self.characters: Counter[str] = Counter()
        self.inner_characters: set[str] = set()  # those that occur behind the first of a word
        self.texts = 0
        self._random = np.random.default_rng(seed)

    def count(self, texts: Iterable[Sequence[str]]) -> WordCounts:
        """Count the words of each text."""
        for words in texts:
            self.texts += 1
            self.characters.update("".join(words))
            self.inner_characters.update("".join([word[1:] for word in words]))
            if self.rate == 1.0:
                self.words.update(words)
            else:
                kept = self._random.random(len(words)) < self.rate
                self.words.update(word for word, keep in zip(words, kept, strict=True) if keep)
            if self.texts % BATCH == 0:
                self._keep_budget()
        self._keep_budget()
        return self

    def lines(self, words_a_line: int = 1000) -> Iterator[str]:
        """Give every word as often as it was counted, with blanks between, in lines of some words."""
        held: list[str] = []
        for word in sorted(self.words):
            number = self.words[word]
            while number:
                taken = min(number, words_a_line - len(held))
                held += [word] * taken
                number -= taken
                if len(held) == words_a_line:
                    yield " ".join(held)
                    held = []
        if held:
            yield " ".join(held)

    def _keep_budget(self) -> None:
        while sum(len(word.encode()) for word in self.words) > self.budget:
            self.rate /= 2
            self._halve()

    def _halve(self) -> None:
        """Drop each occurrence with probability one half."""
        names = list(self.words)
        kept = self._random.binomial(np.fromiter(self.words.values(), dtype=np.int64, count=len(names)), 0.5)
        self.words = Counter({name: int(number) for name, number in zip(names, kept, strict=True) if number})
