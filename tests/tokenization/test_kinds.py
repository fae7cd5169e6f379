"""Every kind learns what the library learns from whole lines, loads anew, and is the same each time."""

from __future__ import annotations

import pytest
import sentencepiece
from tokenization.corpus_texts import chinese_lines, english_lines
from tokenization.extension_tokenizers import byte_bpe
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from hf_ext.errors import UserError
from hf_ext.tokenization.arguments import TokenizerArguments
from hf_ext.tokenization.blueprint import Blueprint
from hf_ext.tokenization.kinds import KINDS, VocabularyRequest
from hf_ext.tokenization.measures import measure
from hf_ext.tokenization.text_cutting import WordCutter
from hf_ext.tokenization.unigram import train_model
from hf_ext.tokenization.word_counts import WordCounts

LINES = english_lines() + chinese_lines()
HELD_OUT = english_lines(40, seed=1) + chinese_lines(40, seed=1)


def train(lines=LINES, *, budget: int = 100_000, blueprint: Blueprint | None = None, **flags):
    arguments = TokenizerArguments(**{"vocab_size": 400, "character_coverage": 1.0, **flags})
    blueprint = blueprint or Blueprint.from_arguments(arguments)
    cutter = WordCutter(blueprint.backend)
    counts = WordCounts(budget).count(cutter(line) for line in lines)
    request = VocabularyRequest(
        arguments.vocab_size,
        blueprint.special_tokens,
        blueprint.unknown,
        arguments.min_frequency,
        arguments.character_coverage,
    )
    return blueprint.learn(counts, request)


# --- against the library's own trainers ------------------------------------------------------------------------------


def test_byte_bpe_learns_the_merges_that_the_library_learns_from_whole_lines():
    ours = train(english_lines(), kind="byte_bpe", normalization="none")
    usual = Tokenizer(models.BPE())
    usual.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=400, min_frequency=2, special_tokens=special, initial_alphabet=alphabet)
    usual.train_from_iterator(english_lines(), trainer)
    assert ours.get_vocab() == usual.get_vocab()
    assert [ours.tokenize(line) for line in HELD_OUT] == [usual.encode(line).tokens for line in HELD_OUT]


def test_bpe_learns_the_merges_that_the_library_learns_from_whole_lines():
    ours = train(english_lines(), kind="bpe", normalization="none")
    usual = Tokenizer(models.BPE(unk_token="[UNK]", fuse_unk=True))
    usual.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    usual.train_from_iterator(
        english_lines(), trainers.BpeTrainer(vocab_size=400, min_frequency=2, special_tokens=special)
    )
    assert [ours.tokenize(line) for line in english_lines(40, seed=1)] == [
        usual.encode(line).tokens for line in english_lines(40, seed=1)
    ]


def test_unigram_cuts_held_out_text_as_sentencepiece_does():
    ours = train(kind="unigram", vocab_size=150, normalization="none")
    cutter = WordCutter(ours.backend_tokenizer)
    counts = WordCounts(100_000).count(cutter(line) for line in LINES)
    proto = train_model(counts, vocab_size=146, characters="".join(counts.characters), unknown="[UNK]")
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    for line in HELD_OUT:
        assert ours.tokenize(line) == processor.encode("▁" + line.replace(" ", "▁"), out_type=str)


def test_words_and_characters_are_the_most_frequent_ones():
    counted: dict[str, int] = {}
    for line in LINES:
        for word in line.replace(".", " . ").replace("'", " ' ").split():
            if word.isascii():
                counted[word] = counted.get(word, 0) + 1
    vocabulary = train(english_lines(), kind="word", vocab_size=12).get_vocab()
    best = sorted(counted, key=lambda word: (-counted[word], word))[:7]
    assert set(best) == set(sorted(vocabulary, key=vocabulary.get)[5:])


# --- what every kind keeps -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    return {kind: train(kind=kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_it_loads_by_auto_tokenizer_with_all_that_it_had(kind, trained, tmp_path):
    trained[kind].save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.is_fast
    assert loaded.get_vocab() == trained[kind].get_vocab()
    assert loaded.model_max_length == 512
    assert (
        loaded.pad_token_id,
        loaded.unk_token_id,
        loaded.cls_token_id,
        loaded.sep_token_id,
        loaded.mask_token_id,
    ) == (
        0,
        1,
        2,
        3,
        4,
    )
    pair = loaded("The block", "我们")
    assert pair["input_ids"] == trained[kind]("The block", "我们")["input_ids"]
    middle = pair["input_ids"].index(3)
    assert pair["input_ids"][0] == 2
    assert pair["input_ids"][-1] == 3
    assert pair["token_type_ids"] == [0] * (middle + 1) + [1] * (len(pair["input_ids"]) - middle - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_have_no_gap_and_do_not_outnumber_what_was_asked(kind, trained):
    ids = sorted(trained[kind].get_vocab().values())
    assert ids == list(range(len(ids)))
    assert len(ids) <= 400


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_text_gives_the_same_vocabulary(kind, trained):
    assert train(kind=kind).get_vocab() == trained[kind].get_vocab()


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_known_characters_comes_back(kind, trained):
    figures = measure(trained[kind], HELD_OUT)
    assert figures.coverage == 1.0
    assert figures.round_trip == 1.0, figures.first_failure
    if kind not in ("wordpiece", "word"):
        assert figures.round_trip_exact == 1.0, figures.first_failure


@pytest.mark.parametrize("kind", KINDS)
def test_text_comes_back_also_where_characters_and_digits_stand_apart(kind):
    tokenizer = train(kind=kind, chinese_apart=True, digits_apart=True)
    figures = measure(tokenizer, HELD_OUT)
    assert figures.round_trip == 1.0, figures.first_failure
    if kind not in ("wordpiece", "word"):
        assert figures.round_trip_exact == 1.0, figures.first_failure
    tokens = [token for token in tokenizer.get_vocab() if not token.startswith("[")]
    decoded = [tokenizer.convert_tokens_to_string([token]).strip() for token in tokens]
    assert not [text for text in decoded if len(text) > 1 and any("一" <= c <= "鿿" or c.isdigit() for c in text)]


def test_learned_pieces_are_longer_than_characters(trained):
    size = {kind: measure(trained[kind], HELD_OUT).tokens for kind in KINDS}
    assert max(size[kind] for kind in ("bpe", "byte_bpe", "unigram")) < 0.6 * size["character"]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "byte_bpe", "unigram", "character"])
def test_a_small_budget_still_knows_every_character(kind):
    tokenizer = train([*LINES, "ø 鱻"], kind=kind, budget=100, min_frequency=1)
    assert measure(tokenizer, [*HELD_OUT, "ø 鱻"]).coverage == 1.0
    assert len(tokenizer) <= 400


def test_unigram_gives_up_long_pieces_before_characters_that_a_sample_has_lost():
    letters = "".join(chr(0x4E00 + i) for i in range(200))
    lines = ["我们的贷款很多 我们的病毒很新"] * 100 + [letters[i : i + 8] for i in range(0, 200, 8)]
    tokenizer = train(lines, kind="unigram", vocab_size=230, budget=120)
    assert measure(tokenizer, lines).coverage == 1.0
    assert len(tokenizer) <= 230


def test_the_least_frequency_is_that_of_the_whole_text_where_a_sample_is_counted():
    lines = [f"w{i:03} w{i:03} w{i:03}" for i in range(300)] * 4
    whole = train(lines, kind="word", vocab_size=1000, min_frequency=12)
    sampled = train(lines, kind="word", vocab_size=1000, min_frequency=3, budget=600)
    assert len(whole) == 305  # each word occurs twelve times
    with pytest.raises(UserError, match="lower --min_frequency"):
        train(lines, kind="word", vocab_size=1000, min_frequency=13)
    assert 50 < len(sampled) - 5 <= 150


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "byte_bpe", "unigram", "character"])
def test_a_vocabulary_smaller_than_the_alphabet_is_refused_with_the_least_size(kind):
    with pytest.raises(UserError, match=r"--vocab_size 20 is smaller than the alphabet.* take at least \d+"):
        train(kind=kind, vocab_size=20)


@pytest.mark.parametrize("flags", [{"vocab_size": 5}, {"min_frequency": 1_000_000}])
def test_words_that_all_stay_out_are_an_error(flags):
    with pytest.raises(UserError, match="no token beside the 5 special ones – raise --vocab_size, or lower"):
        train(kind="word", **flags)


def test_rare_characters_are_unknown_when_the_coverage_says_so():
    tokenizer = train([*english_lines(), "ø"], kind="bpe", character_coverage=0.999)
    assert tokenizer.tokenize("ø") == ["▁", "[UNK]"]


# --- retraining ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "byte_bpe", "unigram", "word"])
def test_settings_of_a_tokenizer_are_kept_when_its_vocabulary_is_learned_anew(kind):
    flags = {"do_lower_case": True, "template_single": "$A [SEP]", "additional_special_tokens": "[E1],[E2]"}
    old = train(kind=kind, model_max_length=64, **flags)
    new = train(english_lines(seed=5), blueprint=Blueprint.from_tokenizer(old), kind=kind)
    same = train(english_lines(seed=5), kind=kind, **flags)
    assert new.get_vocab() == same.get_vocab()
    for text in ("The BLOCK 345", "[E1] chain"):
        assert new(text)["input_ids"] == same(text)["input_ids"]
        assert new(text, text)["input_ids"] == same(text, text)["input_ids"]
    assert new.model_max_length == 64
    assert new.all_special_tokens == old.all_special_tokens


def test_a_roberta_keeps_the_rules_of_its_special_tokens(tmp_path):
    old = byte_bpe(tmp_path)
    old.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True, special=True)})
    new = train(english_lines(), blueprint=Blueprint.from_tokenizer(old), kind="byte_bpe")
    assert new("the block")["input_ids"][0] == new.convert_tokens_to_ids("<s>") == 0
    expected = [*new.tokenize("the"), "<mask>", *new.tokenize(" block")]
    assert new("the <mask> block")["input_ids"][1:-1] == new.convert_tokens_to_ids(expected)
    assert new.special_tokens_map == old.special_tokens_map


# --- templates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"template_single": "[CLS]"}, r"--template_single .* has no \$A"),
        ({"template_pair": "[CLS] $A [SEP]"}, r"--template_pair .* has no \$B"),
        ({"template_single": "<s> $A"}, "names '<s>', no special token – known: "),
        ({"template_single": "$A [SEP]:x"}, "has a segment 'x' – write a number"),
        ({"template_pair": "$A $B $A"}, r"--template_pair .* has \$A twice"),
    ],
)
def test_a_template_that_cannot_be_is_refused_before_the_corpus_is_read(flags, message):
    with pytest.raises(UserError, match=message):
        Blueprint.from_arguments(TokenizerArguments(**flags))


def test_templates_frame_texts_as_written():
    tokenizer = train(kind="word", template_single="$A [SEP]", template_pair="$A [SEP] $B [SEP]")
    assert tokenizer.convert_ids_to_tokens(tokenizer("the")["input_ids"]) == ["the", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(tokenizer("the", "of")["input_ids"]) == ["the", "[SEP]", "of", "[SEP]"]
    assert "token_type_ids" not in tokenizer.model_input_names
