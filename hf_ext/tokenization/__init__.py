"""Tokenizers made from one's own text, vectors for their tokens, and tokenizers that read words one by one."""

from hf_ext.tokenization.extension import AddedEntry, add_tokens, read_token_list
from hf_ext.tokenization.vectors import read_vector_tokens, read_word_vectors
from hf_ext.tokenization.vocabulary import build_tokenizer
from hf_ext.tokenization.words import put_space_before_words

__all__ = [
    "AddedEntry",
    "add_tokens",
    "build_tokenizer",
    "put_space_before_words",
    "read_token_list",
    "read_vector_tokens",
    "read_word_vectors",
]
