"""A given tokenizer with more tokens: words of a list, or the vocabulary of another tokenizer merged in.

Where a word stands alone between the cuts of the pre-tokenizer, it joins the model's own vocabulary: ``art`` then
reads the word ``art`` and leaves ``start`` alone. A word that the pre-tokenizer cuts or that has no blanks around it
(``COVID-19``, ``New York``, Chinese words in running text) becomes an added token, found before anything is cut; one
that is written with blanks around it is then matched as a whole word only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerBase

from hf_ext.errors import UserError
from hf_ext.tokenization.model_vocabulary import ModelVocabulary, open_vocabulary
from hf_ext.tokenization.token_list import AddedEntry, read_token_list

__all__ = ["AddedEntry", "add_tokens", "merge_vocabulary", "read_token_list"]

# scripts that put no blanks between words: Thai to Lao, Myanmar, Khmer, kana, Han
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)

MARKS = ("##", "Ġ", "▁")  # what tokens inside of words, or after a blank, begin with, by kind of tokenizer


def add_tokens(
    tokenizer: PreTrainedTokenizerBase, entries: Iterable[AddedEntry], *, use_descriptions: bool = True
) -> dict[str, list[int]]:
    """Add tokens to a fast tokenizer, in place; the same list gives the same ids every time.

    Words that already are one token are left as they are. Tokens take the form that the tokenizer gives to texts
    (``iPhone`` becomes ``iphone`` in an uncased one). A BPE tokenizer also needs the tokens on the way from the pieces
    to the word; they are among the new ones.

    Args:
        tokenizer: A fast tokenizer; changed.
        entries: The tokens, as ``read_token_list`` gives them.
        use_descriptions: Give the pieces of the description, where there is one, instead of the word's.

    Returns:
        Every new token, spelled as in the vocabulary, to the old ids that stood in its place: what
        ``extend_embeddings`` needs. An unknown word has the unknown token's id.

    Raises:
        ValueError: If the tokenizer is not a fast one.
        UserError: If an entry is spelled as a vocabulary would that this tokenizer does not have.
    """
    backend = _backend(tokenizer)
    entries = list(entries)
    _check_spelling(tokenizer, entries)
    vocabulary = open_vocabulary(backend)
    unknown = tokenizer.unk_token_id
    new: dict[str, list[int]] = {}
    whole: dict[str, list[int]] = {}  # to be added tokens
    for entry in entries:
        described = _ids(backend, entry.description) if entry.description and use_descriptions else []
        forms, alone = ([entry.token], True) if entry.as_written else _find_forms(backend, entry.token)
        pieces = [i for form in forms for i in vocabulary.pieces(form)]
        if len(pieces) == 1 and pieces[0] != unknown and not entry.as_written:
            continue
        found = vocabulary.add(forms[0]) if alone else None
        if found is None and entry.as_written:
            raise UserError(f"the vocabulary cannot hold {entry.token!r}", fix="add it as texts spell it")
        if found is None:
            whole[entry.token] = described or _without(pieces, unknown)
        elif found:
            word = list(found)[-1]  # of BPE the last is the word, the others lead to it
            new |= {token: _without(ids, unknown) for token, ids in found.items()}
            new[word] = described or new[word]
    vocabulary.commit()
    return new | _add_whole(tokenizer, whole, vocabulary)


def merge_vocabulary(tokenizer: PreTrainedTokenizerBase, trained: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Take the tokens of a newly trained tokenizer into an old one, in place, the frequent ones first.

    Old tokens keep their ids. The new tokenizer should have been trained with the old one's settings, so that both
    cut texts alike.

    Args:
        tokenizer: The old fast tokenizer; changed.
        trained: Where the new tokens come from; its special tokens are left out.

    Returns:
        As ``add_tokens``.

    Raises:
        UserError: If the two are not of the same kind.
    """
    kinds = [_kind(_backend(one)) for one in (tokenizer, trained)]
    if kinds[0] != kinds[1]:
        raise UserError(f"a {kinds[1]} vocabulary cannot be merged into a {kinds[0]} tokenizer", fix="train the same")
    return add_tokens(tokenizer, list_new_tokens(tokenizer, trained))


def list_new_tokens(tokenizer: PreTrainedTokenizerBase, trained: PreTrainedTokenizerBase) -> list[AddedEntry]:
    """List what a trained tokenizer has and an old one lacks, in the order of its ids, as ``add_tokens`` takes it."""
    old = tokenizer.get_vocab()
    special = set(trained.all_special_tokens)
    backend, vocabulary = _backend(tokenizer), trained.get_vocab()
    found = (token for token in sorted(vocabulary, key=vocabulary.__getitem__) if token not in old)
    reachable = _kind(backend) != "BPE"
    return [
        AddedEntry(token, as_written=True)
        for token in found
        if token not in special and (reachable or open_to(backend, token))
    ]


def open_to(backend: Tokenizer, form: str) -> bool:
    """Tell whether a BPE model can put a form together: it knows all of its characters."""
    values = "".join(token.value for token in backend.model.tokenize(form))
    return values == form


def _check_spelling(tokenizer: PreTrainedTokenizerBase, entries: Iterable[AddedEntry]) -> None:
    """Refuse tokens that are spelled as another kind of tokenizer does, which would never be found in a text."""
    for mark in MARKS:
        marked = next((entry.token for entry in entries if entry.as_written and entry.token.startswith(mark)), None)
        if marked is not None and not any(token.startswith(mark) for token in tokenizer.get_vocab()):
            what = f"{marked!r} is spelled for another kind of tokenizer: none of the tokens begins with {mark!r}"
            raise UserError(what, fix="merge into the tokenizer of the model that is trained")


def _backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(f"{type(tokenizer).__name__} is not a fast tokenizer; tokens cannot be added to it.")
    return backend


def _kind(backend: Tokenizer) -> str:
    return json.loads(backend.to_str())["model"]["type"]


def _ids(backend: Tokenizer, text: str) -> list[int]:
    return backend.encode(text, add_special_tokens=False).ids


def _cut(backend: Tokenizer, text: str) -> list[str]:
    """Give what the pre-tokenizer hands to the model, one by one."""
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    if backend.pre_tokenizer is None:
        return [text]
    return [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(text)]


def _find_forms(backend: Tokenizer, word: str) -> tuple[list[str], bool]:
    """Find the forms that a word has in the middle of a text, and whether it stands there alone, in one form."""
    before, after = ("的", "的") if _is_unspaced(word) else ("x ", " x")
    first, middle, whole = (
        _cut(backend, before.strip()),
        _cut(backend, before + word),
        _cut(backend, before + word + after),
    )
    kept = len(first)
    if middle[:kept] == first:
        forms = middle[kept:]
        return forms, len(forms) == 1 and whole[: kept + 1] == middle and len(whole) == len(middle) + 1
    start = middle[kept - 1].removeprefix(first[-1])  # nothing is cut between the word and what stands before it
    return [start, *middle[kept:]], False


def _is_unspaced(word: str) -> bool:
    return any(UNSPACED.match(edge) for edge in (word[0], word[-1]))


def _without(pieces: list[int], unknown: int | None) -> list[int]:
    """Leave the unknown token out unless there is nothing else."""
    return [i for i in pieces if i != unknown] or pieces[:1]


def _add_whole(
    tokenizer: PreTrainedTokenizerBase, whole: dict[str, list[int]], vocabulary: ModelVocabulary
) -> dict[str, list[int]]:
    """Add what must be found before anything is cut; give those that became new."""
    for word in whole:
        tokenizer.add_tokens(AddedToken(word, single_word=_is_word(word), normalized=True, special=False))
    ids = tokenizer.get_vocab()
    return {word: pieces for word, pieces in whole.items() if ids[word] >= vocabulary.old_size}


def _is_word(word: str) -> bool:
    """Tell whether a word has letters or digits at both edges, of a script with blanks between words."""
    return not _is_unspaced(word) and all(re.match(r"\w", edge) for edge in (word[0], word[-1]))
