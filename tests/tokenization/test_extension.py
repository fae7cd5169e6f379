"""Added tokens: found in texts, the same after saving, with the old ids in whose place they stand."""

from __future__ import annotations

import pytest
from tokenization.extension_tokenizers import CHINESE, ENGLISH, HELD_OUT, TOKENIZERS
from transformers import AutoTokenizer

from hf_ext.errors import UserError
from hf_ext.tokenization.extension import AddedEntry, add_tokens, list_new_tokens, merge_vocabulary
from hf_ext.tokenization.token_list import read_token_list, write_token_list

WORDS = ["blockchain", "artistic", "covid", "贷款", "新冠", "New-York", "new york", "iPhone手机", "囧"]
TEXTS = [
    *ENGLISH,
    *CHINESE,
    *HELD_OUT,
    "the blockchain of blockchains",
    "我的贷款和新冠病毒，囧",
    "new yorker, new york",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for name, make in TOKENIZERS.items():
        made[name] = tmp_path_factory.mktemp(name)
        make(made[name])
    return made


@pytest.fixture(params=list(TOKENIZERS))
def kind(request):
    return request.param


def extended(folder, words, **kwargs):
    old, new = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    entries = [word if isinstance(word, AddedEntry) else AddedEntry(word) for word in words]
    return old, new, add_tokens(new, entries, **kwargs)


def test_new_ids_follow_the_old_ones_without_a_gap_and_old_tokens_keep_theirs(folders, kind):
    old, new, pieces = extended(folders[kind], WORDS)
    ids = new.convert_tokens_to_ids(list(pieces))
    assert sorted(ids) == list(range(len(old), len(new)))
    assert {token: i for token, i in new.get_vocab().items() if i < len(old)} == old.get_vocab()
    assert all(old_ids and max(old_ids) < len(old) for old_ids in pieces.values())


def test_a_saved_tokenizer_reads_every_text_alike(folders, kind, tmp_path):
    _, new, pieces = extended(folders[kind], WORDS)
    new.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is type(new)
    assert loaded.get_vocab() == new.get_vocab()
    for text in TEXTS:
        assert loaded(text)["input_ids"] == new(text)["input_ids"]
    assert set(pieces) <= set(loaded.get_vocab())


def test_words_are_one_token_wherever_they_stand(folders, kind):
    _, new, _ = extended(folders[kind], WORDS)
    for word in ("blockchain", "artistic", "covid"):
        assert len(new.tokenize(f"the {word} of")) == len(new.tokenize("the of")) + 1
    for text, word in (("我的贷款很多", "贷款"), ("是新冠病毒", "新冠")):
        encoded = new(text, return_offsets_mapping=True, add_special_tokens=False)
        assert word in [text[start:end] for start, end in encoded["offset_mapping"]]


@pytest.mark.parametrize("kind", ["byte_bpe", "unigram"])
def test_every_text_is_read_as_before_but_for_the_new_tokens(folders, kind):
    words = ["blockchain", "artistic", "covid", "parts", "smarter", "block"]
    old, new, pieces = extended(folders[kind], words)
    replaced = {new.convert_tokens_to_ids(token): ids for token, ids in pieces.items()}
    changed = 0
    for text in TEXTS:
        ids = new(text)["input_ids"]
        assert [j for i in ids for j in replaced.get(i, [i])] == old(text)["input_ids"]
        changed += any(i in replaced for i in ids)
    assert changed


def test_a_short_word_is_not_found_inside_of_others(folders, kind):
    old, new, pieces = extended(folders[kind], ["par", "new york"])
    assert pieces
    for text in ("the spark", "new yorker", "my new yorkers"):
        assert new(text)["input_ids"] == old(text)["input_ids"]


def test_wordpiece_takes_continuations_as_the_vocabulary_spells_them(folders):
    old, new, pieces = extended(folders["wordpiece"], [AddedEntry("##chain", as_written=True), AddedEntry("blockch")])
    assert new.tokenize("newchain") == ["new", "##chain"]
    assert pieces["##chain"] == old.convert_tokens_to_ids([f"##{letter}" for letter in "chain"])
    assert old.tokenize("blockch") == old.convert_ids_to_tokens(pieces["blockch"])


def test_wordpiece_reads_a_new_word_at_the_start_of_longer_ones(folders):
    _, new, _ = extended(folders["wordpiece"], ["blockchain"])
    assert new.tokenize("blockchains chain") == ["blockchain", "##s", "chain"]


def test_words_take_the_case_that_the_tokenizer_gives_to_texts(folders):
    _, new, pieces = extended(folders["wordpiece"], ["iPhone"])
    assert list(pieces) == ["iphone"]
    assert new.tokenize("my IPHONE") == [*new.tokenize("my"), "iphone"]


def test_a_marked_word_is_found_beside_chinese_characters(folders):
    _, new, _ = extended(folders["wordpiece"], ["COVID-19"])
    text = "患COVID-19的"
    offsets = new(text, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    assert (1, 9) in offsets


def test_descriptions_stand_for_the_pieces_unless_told_otherwise(folders, kind):
    entry = AddedEntry("covid", "a new virus")
    old, _, described = extended(folders[kind], [entry])
    word = list(described)[-1]
    assert described[word] == old("a new virus", add_special_tokens=False)["input_ids"]
    _, _, spelled = extended(folders[kind], [entry], use_descriptions=False)
    assert spelled[word] != described[word]


def test_words_that_are_one_token_already_are_left_alone(folders):
    old, new, pieces = extended(folders["wordpiece"], ["the", "block", "我"])
    assert pieces == {}
    assert len(new) == len(old)


def test_bpe_shares_the_way_of_words_that_begin_alike(folders):
    _, new, pieces = extended(folders["byte_bpe"], ["covids", "covid", "covidx"])
    assert len(new.tokenize("a covids")) == len(new.tokenize("a covid")) == len(new.tokenize("a covidx")) == 2
    assert list(pieces).count("Ġcovid") == 1


def test_the_same_list_gives_the_same_ids(folders, kind):
    first, second = (extended(folders[kind], WORDS) for _ in range(2))
    assert first[1].get_vocab() == second[1].get_vocab()
    assert first[2] == second[2]


def test_added_tokens_beyond_the_vocabulary_keep_their_ids(folders, kind):
    tokenizer = AutoTokenizer.from_pretrained(folders[kind])
    tokenizer.add_tokens(["[E1]", "[E2]"], special_tokens=True)
    before = len(tokenizer)
    pieces = add_tokens(tokenizer, [AddedEntry("blockchain"), AddedEntry("新冠")])
    assert tokenizer.convert_tokens_to_ids(["[E1]", "[E2]"]) == [before - 2, before - 1]
    assert sorted(tokenizer.convert_tokens_to_ids(list(pieces))) == list(range(before, len(tokenizer)))
    assert tokenizer.tokenize("[E1] the [E2]")[0] == "[E1]"


# --- merging ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wordpiece", "byte_bpe", "unigram"])
def test_a_merged_vocabulary_shortens_the_new_texts_and_keeps_old_ids(folders, kind):
    old = AutoTokenizer.from_pretrained(folders[kind])
    text = ["zebras zigzag and zebras graze, zigzag zebras graze"] * 20
    trained = old.train_new_from_iterator(text, vocab_size=300)
    merged = AutoTokenizer.from_pretrained(folders[kind])
    pieces = merge_vocabulary(merged, trained)
    assert pieces
    assert {token: i for token, i in merged.get_vocab().items() if i < len(old)} == old.get_vocab()
    assert len(merged.tokenize(text[0])) < len(old.tokenize(text[0]))


@pytest.mark.parametrize("kind", ["wordpiece", "byte_bpe", "unigram"])
def test_the_list_of_merged_tokens_makes_the_same_tokenizer_again(folders, kind, tmp_path):
    old = AutoTokenizer.from_pretrained(folders[kind])
    trained = old.train_new_from_iterator(["zebras zigzag and zebras graze"] * 20, vocab_size=300)
    entries = list_new_tokens(old, trained)
    write_token_list(tmp_path / "merged_tokens.json", entries)
    merged, again = (AutoTokenizer.from_pretrained(folders[kind]) for _ in range(2))
    pieces = merge_vocabulary(merged, trained)
    assert add_tokens(again, read_token_list(tmp_path / "merged_tokens.json")) == pieces
    assert again.get_vocab() == merged.get_vocab()


def test_vocabularies_of_different_kinds_are_not_merged(folders):
    one, other = (AutoTokenizer.from_pretrained(folders[kind]) for kind in ("wordpiece", "byte_bpe"))
    with pytest.raises(UserError, match="a BPE vocabulary cannot be merged into a WordPiece"):
        merge_vocabulary(one, other)


@pytest.mark.parametrize(("kind", "token"), [("wordpiece", "Ġblock"), ("byte_bpe", "##ing"), ("wordpiece", "▁block")])
def test_a_spelling_of_another_kind_of_tokenizer_is_refused(kind, token, folders):
    tokenizer = AutoTokenizer.from_pretrained(folders[kind])
    with pytest.raises(UserError, match=f"'{token}' is spelled for another kind of tokenizer"):
        add_tokens(tokenizer, [AddedEntry("block"), AddedEntry(token, as_written=True)])


def test_a_spelling_that_the_vocabulary_cannot_hold_is_refused(folders):
    tokenizer = AutoTokenizer.from_pretrained(folders["byte_bpe"])
    with pytest.raises(UserError, match="cannot hold '贷'"):
        add_tokens(tokenizer, [AddedEntry("贷", as_written=True)])
