"""ExtForTokenClassification: every word by itself as the oracle, families, saving, constraints, memory."""

from __future__ import annotations

import copy

import pytest
import torch
from model_factories import FAMILIES, VOCAB_SIZE, encoder_config, poison, recurrent_config
from tagger_factories import TAGS, arguments, batch, build, padded, schema
from test_sequence_classification import NEVER_USED
from test_word_vectors import CountWaits
from torch import Tensor
from torchcrf import CRF
from transformers import AutoModel, AutoModelForTokenClassification

from hf_ext.models.configuration import ExtConfig
from hf_ext.models.tag_schemes import illegal_places
from hf_ext.models.tagger_loading import load_tagger
from hf_ext.models.token_classification import ExtForTokenClassification

ENCODERS = {family: (lambda family=family: encoder_config(family)) for family in FAMILIES} | {
    "scratch": recurrent_config,
    "scratch_gru": lambda: recurrent_config(rnn="gru"),
}
KINDS = {
    "softmax": {"decoder": "softmax"},
    "crf": {"decoder": "crf"},
    "rnn_crf": {"decoder": "crf", "head_rnn": "lstm", "head_rnn_layers": 2},
    "characters_crf": {"decoder": "crf", "head_rnn": "gru", "character_encoder": "cnn"},
    "characters_softmax": {"decoder": "softmax", "character_encoder": "lstm"},
}


def make(kind: str, config=None, **flags) -> ExtForTokenClassification:
    model = build(config or recurrent_config(rnn="lstm"), **{**KINDS[kind], **flags})
    if model.crf is not None:  # as after some training: fresh transitions say little
        torch.manual_seed(5)
        for weight in model.crf.parameters():
            torch.nn.init.normal_(weight)
    return model


def inputs_for(kind: str, **settings) -> dict[str, Tensor]:
    return batch(characters="characters" in kind, **settings)


def word_scores(model: ExtForTokenClassification, inputs: dict[str, Tensor], row: int) -> Tensor:
    """Score the words of one row, alone, without padding and without the code that moves words: ``(W, K)``."""
    real = inputs["attention_mask"][row].bool()
    encoded = model.encoder(input_ids=inputs["input_ids"][row : row + 1, real])[0][0]
    words = encoded[inputs["word_mask"][row, real].bool()]
    if model.character_encoder is not None:
        words = torch.cat([words, model.character_encoder(inputs["char_ids"][row : row + 1, : len(words)])[0]], dim=-1)
    if model.head_rnn is not None:
        words = model.head_rnn(words.unsqueeze(0))[0][0]
    return model.emission_layer(words)


def plain_crf(model: ExtForTokenClassification) -> CRF:
    crf = CRF(len(TAGS), batch_first=True).double()
    crf.load_state_dict(model.crf.state_dict())
    return crf


def expected_row(model, inputs, row, **decoding) -> tuple[Tensor, list[int]]:
    """Give the summed negative log-likelihood of a row's labelled words and the best tags of all its words."""
    scores = word_scores(model, inputs, row)
    labels = inputs["labels"][row][inputs["word_mask"][row].bool()]
    kept = labels != -100
    if model.crf is None:
        loss = torch.nn.functional.cross_entropy(scores[kept], labels[kept], reduction="sum")
        return loss, scores.argmax(-1).tolist()
    crf = plain_crf(model)
    loss = -crf(scores[kept].unsqueeze(0), labels[kept].unsqueeze(0)) if kept.any() else scores.sum() * 0
    return loss, crf.decode(scores.unsqueeze(0))[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [False, True])
def test_loss_and_tags_are_those_of_each_sentence_by_itself(kind, left):
    model = make(kind, crf_constraints="none" if "crf" in kind else None).double()
    inputs = inputs_for(kind, rows=6, length=11, left=left)
    output = model(**inputs)
    losses, tags = zip(*(expected_row(model, inputs, row) for row in range(6)), strict=True)
    labelled = (inputs["labels"] != -100).sum()
    torch.testing.assert_close(output.loss, sum(losses) / labelled)
    for row in range(6):
        words = inputs["word_mask"][row].bool()
        assert output.tags[row, words].tolist() == tags[row]
        assert (output.tags[row, ~words] == -100).all()
        torch.testing.assert_close(output.logits[row, words], word_scores(model, inputs, row))
        assert not output.logits[row, ~words].any()
    assert output.tags.dtype == torch.long


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_marginals_and_their_chain_is_the_probability_of_the_path(kind):
    model = make(kind, crf_constraints="none" if "crf" in kind else None).double()
    model.wants_probabilities = True
    inputs = inputs_for(kind, rows=3, length=7)
    output = model(**inputs)
    for row in range(3):
        words = inputs["word_mask"][row].bool()
        scores, tags = word_scores(model, inputs, row), output.tags[row, words]
        alone, chained = output.tag_probabilities[row, words], output.chain_probabilities[row, words]
        if model.crf is None:
            expected = scores.softmax(-1).gather(-1, tags.unsqueeze(-1)).squeeze(-1).float()
            torch.testing.assert_close(alone, expected)
            assert torch.equal(alone, chained)
        else:
            path = plain_crf(model)(scores.unsqueeze(0), tags.unsqueeze(0)).exp()
            torch.testing.assert_close(chained.prod(), path.float())
        assert not output.tag_probabilities[row, ~words].any()
        assert not output.chain_probabilities[row, ~words].any()
    assert output.tag_probabilities.dtype == output.chain_probabilities.dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [False, True])
def test_more_padding_changes_nothing(kind, left):
    model = make(kind).double()
    inputs = inputs_for(kind, left=left)
    output, more = model(**inputs), model(**padded(inputs, 3, left=left))
    kept = slice(3, None) if left else slice(None, -3)
    torch.testing.assert_close(more.loss, output.loss)
    assert torch.equal(more.tags[:, kept], output.tags)
    assert (more.tags == -100).sum() == (output.tags == -100).sum() + 3 * len(output.tags)
    torch.testing.assert_close(more.logits[:, kept], output.logits)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_never_decide_which_words_exist(kind):
    model, inputs = make(kind), inputs_for(kind)
    with_labels = model(**inputs)
    labels = inputs.pop("labels")
    assert torch.equal(model(**inputs).tags, with_labels.tags)
    assert torch.equal(model(**inputs, labels=torch.full_like(labels, -100)).tags, with_labels.tags)
    assert (with_labels.tags != -100).equal(inputs["word_mask"].bool())


def test_without_word_mask_every_real_token_is_a_word():
    model, inputs = make("crf"), inputs_for("crf")
    del inputs["word_mask"], inputs["labels"]
    assert (model(**inputs).tags != -100).equal(inputs["attention_mask"].bool())


@pytest.mark.parametrize("kind", KINDS)
def test_the_sum_is_divided_by_the_items_that_are_given(kind):
    model, inputs = make(kind).double(), inputs_for(kind)
    labelled = int((inputs["labels"] != -100).sum())
    mean = model(**inputs).loss
    for items in (3 * labelled, torch.tensor(3 * labelled), torch.tensor(3.0 * labelled)):
        torch.testing.assert_close(model(**inputs, num_items_in_batch=items).loss, mean / 3)
    inputs["labels"].fill_(-100)
    assert model(**inputs).loss == 0
    assert model(**inputs, num_items_in_batch=0).loss == 0


@pytest.mark.parametrize("kind", KINDS)
def test_in_training_nothing_is_decoded(kind, monkeypatch):
    model = make(kind).train()
    model.wants_probabilities = True
    monkeypatch.setattr(type(model.tag_decoder), "viterbi_decode", None)
    assert list(model(**inputs_for(kind))) == ["loss", "logits"]


def test_outputs_come_in_the_promised_order_and_trainer_gathers_the_tags_alone():
    model, inputs = make("crf"), inputs_for("crf")
    model.wants_probabilities = True
    output = model(**inputs, output_hidden_states=True)
    expected = ["loss", "tags", "tag_probabilities", "chain_probabilities", "logits", "hidden_states"]
    assert list(output) == expected
    assert set(expected) - set(model.config.keys_to_ignore_at_inference) == set(expected[:4])
    assert isinstance(model(**inputs, return_dict=False), tuple)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("kind", ["softmax", "characters_crf"])
def test_every_weight_in_use_gets_a_finite_gradient(encoder, kind):
    model = make(kind, ENCODERS[encoder]()).train()
    model(**inputs_for(kind)).loss.backward()
    unused = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert all(name.endswith(NEVER_USED.get(encoder, ())) for name in unused)
    assert len(unused) == (0 if encoder not in NEVER_USED else 5)
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_and_loaded_answers_are_bitwise_equal_and_the_crf_stays_float32(encoder, dtype, tmp_path):
    make("characters_crf", ENCODERS[encoder]()).save_pretrained(tmp_path / "float32")
    inputs = inputs_for("characters_crf")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "float32", dtype=dtype)
    model.save_pretrained(tmp_path / "again")
    poison()
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / "again", dtype=dtype)
    assert type(loaded) is ExtForTokenClassification
    assert {weight.dtype for weight in loaded.encoder.parameters()} == {dtype}
    assert {weight.dtype for weight in loaded.crf.parameters()} == {torch.float32}
    found, again = model(**inputs), loaded(**inputs)
    assert torch.equal(found.logits, again.logits)
    assert torch.equal(found.tags, again.tags)
    assert torch.equal(found.loss, again.loss)
    assert again.logits.dtype == again.loss.dtype == torch.float32


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "softmax"])  # which is the stock head
def test_a_fresh_head_on_a_plain_checkpoint_is_initialised_whatever_the_memory_held(encoder, kind, tmp_path):
    source = AutoModel.from_config(ENCODERS[encoder]())
    source.save_pretrained(tmp_path)
    poison()
    wanted = schema(characters="characters" in kind)
    model = load_tagger(arguments(model_name_or_path=str(tmp_path), **KINDS[kind]), wanted)
    assert all(weight.isfinite().all() and weight.abs().max() < 10 for weight in model.parameters())
    own = {name: weight for name, weight in model.named_parameters() if not name.startswith(model.base_model_prefix)}
    assert all(weight.any() for name, weight in own.items() if "bias" not in name)
    if model.crf is not None:
        assert all(weight.abs().max() <= 0.1 for weight in model.crf.parameters())
    loaded, saved = model.encoder.state_dict(), source.state_dict()
    assert all(torch.equal(loaded[name], saved[name]) for name in loaded if name in saved)


@pytest.mark.parametrize("constraints", ["decode", "train"])
def test_decoded_sequences_are_legal_and_without_constraints_some_are_not(constraints):
    inputs = inputs_for("crf", rows=30, length=14)
    wrong = {}
    for chosen in (constraints, "none"):
        tags = make("crf", crf_constraints=chosen)(**inputs).tags
        names = [[TAGS[tag] for tag in row[row != -100].tolist()] for row in tags]
        wrong[chosen] = sum(bool(illegal_places(row, "BIO")) for row in names)
    assert wrong[constraints] == 0
    assert wrong["none"] > 10


def test_constraints_while_decoding_leave_the_likelihood_alone_and_in_training_change_it():
    inputs = inputs_for("crf")
    losses = {chosen: make("crf", crf_constraints=chosen)(**inputs).loss for chosen in ("none", "decode", "train")}
    assert torch.equal(losses["none"], losses["decode"])
    assert losses["none"] != losses["train"]


def test_constraints_are_no_part_of_what_is_saved(tmp_path):
    model = make("crf")
    model(**inputs_for("crf"))  # they have been used
    assert {name for name in model.state_dict() if name.startswith("crf")} == {
        "crf.start_transitions",
        "crf.end_transitions",
        "crf.transitions",
    }
    assert list(CRF(len(TAGS)).state_dict()) == list(model.crf.state_dict())


def test_a_model_without_a_schema_tags_without_constraints():
    model = ExtForTokenClassification(
        ExtConfig(encoder_config=recurrent_config(), tag_decoder="crf", num_labels=4)
    ).eval()
    assert model.crf.constrain == "none"
    assert model(input_ids=torch.ones(1, 3, dtype=torch.long)).tags.shape == (1, 3)
    assert ExtForTokenClassification(ExtConfig(encoder_config=recurrent_config())).config.tag_decoder == "softmax"


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "xlnet"])
def test_inputs_embeds_give_what_the_ids_give(family):
    model, inputs = make("crf", encoder_config(family)), inputs_for("crf")
    expected = model(**inputs)
    embeds = model.get_input_embeddings()(inputs.pop("input_ids"))
    found = model(inputs_embeds=embeds, **inputs)
    torch.testing.assert_close(found.loss, expected.loss)
    assert torch.equal(found.tags, expected.tags)


@pytest.mark.parametrize("family", ["bert", "modernbert", "scratch_gru"])
def test_activation_checkpointing_keeps_loss_and_gradients(family):
    model, inputs = make("rnn_crf", ENCODERS[family](), head_rnn_dropout=0.0), inputs_for("rnn_crf")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    found = {}
    for checkpointed in (False, True):
        if checkpointed:
            model.gradient_checkpointing_enable()
        model.train().zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        found[checkpointed] = [loss, *(p.grad.clone() for p in model.parameters() if p.grad is not None)]
    for plain, checkpointed in zip(*found.values(), strict=True):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("family", ["bert", "scratch_gru"])
def test_resized_vocabulary_survives_saving(family, tmp_path):
    model = make("crf", ENCODERS[family]())
    model.resize_token_embeddings(VOCAB_SIZE + 7)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert loaded.config.vocab_size == loaded.get_input_embeddings().num_embeddings == VOCAB_SIZE + 7
    ids = torch.tensor([[VOCAB_SIZE + 6, 7, 8]])
    assert torch.equal(loaded(ids).logits, model(ids).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_gives_a_float32_loss_near_the_plain_one(kind):
    model, inputs = make(kind, encoder_config("bert")).train(), inputs_for(kind)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(**inputs).loss
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(model(**inputs).loss.item(), rel=0.05)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", ["softmax", "crf"])
def test_training_and_decoding_never_wait_for_the_device(kind):
    model, inputs = make(kind, recurrent_config(rnn="none")), inputs_for(kind, rows=3, length=12)
    inputs["labels"].masked_fill_(inputs["word_mask"] == 0, -100)
    with CountWaits() as counted:
        model.train()(**inputs, num_items_in_batch=torch.tensor(5)).loss.backward()
        model.eval()(**inputs, num_items_in_batch=torch.tensor(5))
    assert counted.found == []


def test_characters_must_come_where_they_are_read_and_nowhere_else():
    inputs = inputs_for("characters_crf")
    with pytest.raises(ValueError, match="reads no characters, but char_ids came"):
        make("crf")(**inputs)
    del inputs["char_ids"]
    with pytest.raises(ValueError, match="needs char_ids"):
        make("characters_crf")(**inputs)


def test_a_copied_model_answers_alike():
    model, inputs = make("characters_crf"), inputs_for("characters_crf")
    model(**inputs)
    assert torch.equal(copy.deepcopy(model)(**inputs).tags, model(**inputs).tags)


def test_checkpoints_of_torchcrf_load(tmp_path):
    model = make("crf")
    other = CRF(len(TAGS), batch_first=True)
    model.crf.load_state_dict(other.state_dict())
    assert torch.equal(model.crf.transitions, other.transitions)
