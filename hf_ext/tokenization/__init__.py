"""Tokenizers made from one's own text, and vectors for their tokens."""

from hf_ext.tokenization.vectors import read_word_vectors
from hf_ext.tokenization.vocabulary import build_tokenizer

__all__ = ["build_tokenizer", "read_word_vectors"]
