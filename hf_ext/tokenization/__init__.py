"""Tokenizers made from one's own text, vectors for their tokens, and tokenizers that read words one by one.

Names are imported on first use, as in ``hf_ext.data``.
"""

from __future__ import annotations

from hf_ext.lazy import lazy_names

_HOMES = {
    "AddedEntry": "extension",
    "add_tokens": "extension",
    "build_tokenizer": "vocabulary",
    "put_space_before_words": "words",
    "read_token_list": "token_list",
    "read_vector_tokens": "vectors",
    "read_word_vectors": "vectors",
}
__all__ = sorted(_HOMES)
__getattr__ = lazy_names(__name__, _HOMES)
