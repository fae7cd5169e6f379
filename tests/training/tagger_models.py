"""Taggers, rows and an independent objective for the tests of training: every sentence by itself, in float64."""

from __future__ import annotations

import torch
from torchcrf import CRF
from transformers import BertConfig

from hf_ext.models import ExtConfig, ExtForJointClassification, ExtForTokenClassification, TaggingSchema

ALPHA = 0.3
HEADS = ("softmax", "crf", "rnn_crf", "joint")
TAGS = ("O", "B-X", "I-X")
SENTENCE_LABELS = ("ask", "buy", "sell")
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
IGNORED = -100


def build_model(head):
    """Build the same float64 weights every time; there is no dropout, and the CRF scores as after some training."""
    torch.manual_seed(3)
    encoder = BertConfig(attn_implementation="eager", initializer_range=0.2, **SIZES, **NO_DROPOUT)
    config = ExtConfig(
        encoder_config=encoder,
        tag_decoder="softmax" if head == "softmax" else "crf",
        head_rnn="gru" if head == "rnn_crf" else "none",
        head_rnn_hidden_size=5,
        classifier_dropout=0.0,
        multitask_alpha=ALPHA if head == "joint" else None,
    )
    TaggingSchema(TAGS, "BIO", sentence_labels=SENTENCE_LABELS if head == "joint" else ()).write_into(config)
    model = (ExtForJointClassification if head == "joint" else ExtForTokenClassification)(config)
    if model.crf is not None:
        for weight in model.crf.parameters():
            torch.nn.init.normal_(weight)
    return model.double()


def build_rows(head, count):
    """Give rows of 5 to 8 tokens: words of one or two tokens between two special ones; labels are missing unevenly."""
    draw = torch.Generator().manual_seed(4)
    rows = []
    for i in range(count):
        length = 5 + i * 3 % 4
        words = [int(0 < t < length - 1 and (t == 1 or (i + t) % 4 > 0)) for t in range(length)]
        labels = [(i + 2 * t) % 3 if on and (i + t) % 5 and i != 2 else IGNORED for t, on in enumerate(words)]
        row = {"input_ids": torch.randint(1, 40, (length,), generator=draw).tolist(), "word_mask": words}
        row["labels"] = labels
        if head == "joint":
            row["sentence_labels"] = IGNORED if i in (1, 4, 5) else i % 3
        rows.append(row)
    return rows


def collate(rows):
    """Pad on the right."""
    longest = max(len(row["input_ids"]) for row in rows)
    fillers = {"input_ids": 0, "word_mask": 0, "labels": IGNORED}
    batch = {
        name: torch.tensor([row[name] + [fill] * (longest - len(row[name])) for row in rows])
        for name, fill in fillers.items()
    }
    batch["attention_mask"] = torch.tensor(
        [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
    )
    if "sentence_labels" in rows[0]:
        batch["sentence_labels"] = torch.tensor([row["sentence_labels"] for row in rows])
    return batch


class Objective:
    """The losses over all rows, one sentence after the other, with torchcrf and without padding.

    Args:
        model: Whose layers are read.
        rows: The rows.
    """

    def __init__(self, model, rows):
        self.model, self.rows = model, rows
        self.embedded = [model.get_input_embeddings()(torch.tensor([row["input_ids"]])) for row in rows]

    def emissions(self, i, shift=None, mask=1.0):
        """Give the token vectors and the tags' scores of row ``i``, its embeddings shifted, its words masked."""
        embedded = self.embedded[i] if shift is None else self.embedded[i] + shift
        tokens = self.model.encoder(inputs_embeds=embedded)[0][0]
        words = tokens[torch.tensor(self.rows[i]["word_mask"]).bool()]
        if self.model.head_rnn is not None:
            words = self.model.head_rnn(words[None])[0][0]
        return tokens, self.model.emission_layer(words * mask)

    def losses(self, shifts=None, mask=1.0):
        """Give the mean loss over the labelled words and the one over the labelled sentences."""
        tags, words, sentences, count = 0.0, 0, 0.0, 0
        for i, row in enumerate(self.rows):
            tokens, scores = self.emissions(i, None if shifts is None else shifts[i], mask)
            labels = torch.tensor([tag for tag, on in zip(row["labels"], row["word_mask"], strict=True) if on])
            kept = labels != IGNORED
            words += int(kept.sum())
            if kept.any():
                tags = tags - self.likelihood(scores[kept], labels[kept])
            label = row.get("sentence_labels", IGNORED)
            if label != IGNORED:
                count += 1
                sentences = sentences - self.model.sentence_layer(tokens[0]).log_softmax(-1)[label]
        return tags / words if words else tags, sentences / count if count else sentences

    def likelihood(self, scores, labels):
        """Give the log-likelihood of one sentence."""
        if self.model.crf is None:
            return scores.log_softmax(-1)[torch.arange(len(labels)), labels].sum()
        crf = CRF(len(TAGS), batch_first=True).double()
        for name in list(crf._parameters):
            del crf._parameters[name]
            setattr(crf, name, getattr(self.model.crf, name))
        return crf(scores[None], labels[None])

    def loss(self, shifts=None, mask=1.0):
        """Give the whole loss."""
        tags, sentences = self.losses(shifts, mask)
        return ALPHA * sentences + (1 - ALPHA) * tags if hasattr(self.model, "sentence_layer") else tags
