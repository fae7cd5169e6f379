"""A vector for each word from its characters, for alphabetic languages."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .packing import build_rnn, run_packed

PADDING = 0  # the id that fills words up; tagging_schema.py numbers characters so


class CharacterTable(nn.Embedding):
    """Character vectors, drawn from ``U(-b, b)`` with ``b = sqrt(3 / size)`` (Ma and Hovy, 2016, section 3.1.1).

    A class of its own because loading initialises by class, and 0.02 is too quiet for a few narrow layers.

    Args:
        num_characters: Rows, padding and unknown included.
        size: Width of a vector.
    """

    def __init__(self, num_characters: int, size: int) -> None:
        super().__init__(num_characters, size, padding_idx=PADDING)

    def reset_parameters(self) -> None:
        """Draw the vectors; padding is zero. What came from a checkpoint is left alone."""
        bound = math.sqrt(3 / self.embedding_dim)
        init.uniform_(self.weight, -bound, bound)
        if not getattr(self.weight, "_is_hf_initialized", False):  # checked here: a slice loses the flag
            init.zeros_(self.weight[PADDING])


class CharacterConvolution(nn.Conv1d):
    """A convolution that starts Glorot-uniform (Ma and Hovy, 2016, section 3.1.2), its bias at zero."""

    def reset_parameters(self) -> None:
        """Start the layer anew; what came from a checkpoint is left alone."""
        init.xavier_uniform_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class CharacterEncoder(nn.Module):
    """Turn the characters of each word into one vector; the contract of every character encoder.

    Neither the words of a batch nor the length that its words are filled up to change the vector of a word. A word
    without characters is the zero vector.

    Args:
        num_characters: Rows of the table, padding (id 0) and unknown (id 1) included.
        embedding_size: Width of a character vector.
        dropout: Dropout on the character vectors.
        output_size: Width of a word's vector.
    """

    def __init__(self, num_characters: int, embedding_size: int, *, dropout: float, output_size: int) -> None:
        super().__init__()
        self.table = CharacterTable(num_characters, embedding_size)
        self.dropout = nn.Dropout(dropout)
        self.output_size = output_size

    def forward(self, char_ids: Tensor) -> Tensor:
        """Encode a batch of words.

        Args:
            char_ids: Ids, 0 for padding, shape ``(B, W, C)`` for C characters.

        Returns:
            Vectors, shape ``(B, W, output_size)``.
        """
        batch, words, length = char_ids.shape
        if not batch * words * length:
            return self.table.weight.new_zeros(batch, words, self.output_size)
        ids = char_ids.reshape(batch * words, length)
        vectors = self.encode(self.dropout(self.table(ids)), ids != PADDING)
        return vectors.reshape(batch, words, self.output_size)

    def encode(self, characters: Tensor, real: Tensor) -> Tensor:
        """Encode words.

        Args:
            characters: Character vectors, shape ``(N, C, E)`` for N words.
            real: True for characters, False for padding on the right, shape ``(N, C)``.

        Returns:
            Vectors, zeros for words without a character, shape ``(N, output_size)``.
        """
        raise NotImplementedError


class ConvolutionalCharacters(CharacterEncoder):
    """The largest answer of each filter over the places of a word (Ma and Hovy, 2016, arXiv:1603.01354, section 2.1).

    Filters are 3 characters wide and see zeros beyond both ends of the word.

    When: capitals, affixes and digits tell much; as good as the LSTM in most comparisons, and faster.

    Args:
        num_characters: Rows of the table.
        embedding_size: Width of a character vector (30 in the paper).
        hidden_size: Filters (30 in the paper).
        dropout: Dropout on the character vectors.
    """

    def __init__(self, num_characters: int, embedding_size: int, hidden_size: int, *, dropout: float) -> None:
        super().__init__(num_characters, embedding_size, dropout=dropout, output_size=hidden_size)
        self.convolution = CharacterConvolution(embedding_size, hidden_size, 3, padding=1)

    def encode(self, characters: Tensor, real: Tensor) -> Tensor:
        """Convolve and take the maximum; see ``CharacterEncoder``."""
        places = self.convolution(characters.transpose(1, 2)).transpose(1, 2)  # (N, C, F)
        lowest = torch.finfo(places.dtype).min
        best = places.masked_fill(~real.unsqueeze(-1), lowest).amax(1)  # (N, F)
        return best.masked_fill(~real.any(1, keepdim=True), 0.0)


class RecurrentCharacters(CharacterEncoder):
    """The last states of an LSTM in both directions (Lample et al., 2016, arXiv:1603.01360, section 4.1).

    When: long words whose parts have an order; slower than the convolution.

    Args:
        num_characters: Rows of the table.
        embedding_size: Width of a character vector (25 in the paper).
        hidden_size: Units in each direction (25 in the paper).
        dropout: Dropout on the character vectors.
    """

    def __init__(self, num_characters: int, embedding_size: int, hidden_size: int, *, dropout: float) -> None:
        super().__init__(num_characters, embedding_size, dropout=dropout, output_size=2 * hidden_size)
        self.rnn = build_rnn("lstm", embedding_size, hidden_size, num_layers=1, dropout=0.0)

    def encode(self, characters: Tensor, real: Tensor) -> Tensor:
        """Run over the characters; see ``CharacterEncoder``."""
        return run_packed(self.rnn, characters, real)[1]


def build_character_encoder(
    kind: str, num_characters: int, *, embedding_size: int, hidden_size: int, dropout: float
) -> CharacterEncoder | None:
    """Build a character encoder by name; None for ``none``.

    Raises:
        ValueError: If the name is unknown.
    """
    if kind == "none":
        return None
    if kind not in CHARACTER_ENCODERS:
        raise ValueError(f"character_encoder must be none or one of {', '.join(CHARACTER_ENCODERS)}; got {kind!r}.")
    return CHARACTER_ENCODERS[kind](num_characters, embedding_size, hidden_size, dropout=dropout)


def fit_words(vectors: Tensor, words: int) -> Tensor:
    """Give the words of a batch another number: zeros are added on the right, or padding taken away.

    Args:
        vectors: Shape ``(B, W, F)``.
        words: The number of words wanted.
    """
    return functional.pad(vectors, (0, 0, 0, words - vectors.shape[1]))


def init_weights(module: nn.Module) -> bool:
    """Start the table and the convolution; tensors that came from a checkpoint are left alone.

    Returns:
        Whether the module was one of ours.
    """
    if not isinstance(module, (CharacterTable, CharacterConvolution)):
        return False
    module.reset_parameters()
    return True


CHARACTER_ENCODERS: dict[str, type[ConvolutionalCharacters] | type[RecurrentCharacters]] = {
    "cnn": ConvolutionalCharacters,
    "lstm": RecurrentCharacters,
}
