"""Tag schemes against seqeval where it is right, and against an enumeration of all that is legal."""

from __future__ import annotations

import random
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Tokens

from hf_ext.models.tag_schemes import (
    SCHEMES,
    Entity,
    convert_tags,
    entities,
    find_scheme,
    illegal_places,
    legal_transitions,
    read_tag,
    split_tag,
)

LETTERS = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES"}
PREFIXED = tuple(LETTERS)
CLOSING = {"BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES"}  # first, inside, last, single
SEQEVAL = {"BIO": IOB2, "IOB1": IOB1, "BIOES": IOBES, "BILOU": BILOU}


def names_of(scheme, types=("X", "Y")):
    prefixes = [""] if scheme == "IO" else [f"{letter}-" for letter in LETTERS[scheme]]
    return ["O"] + [prefix + type_ for prefix in prefixes for type_ in types]


def random_tags(scheme, rng, length=9):
    """Draw a sentence, well-formed or not; words like to stay in the type of the word before."""
    tags: list[str] = []
    for _ in range(rng.randint(0, length)):
        tag = rng.choice(names_of(scheme))
        if tags and tags[-1] != "O" and tag != "O" and rng.random() < 0.5:
            tag = tag[:-1] + tags[-1][-1]
        tags.append(tag)
    return tags


def spell(found, length, scheme):
    """Write entities as tags, straight from the definition of each scheme."""
    tags = ["O"] * length
    for type_, start, end in found:
        for i in range(start, end):
            if scheme in CLOSING:
                first, inside, last, single = CLOSING[scheme]
                letter = single if end == start + 1 else first if i == start else last if i == end - 1 else inside
            elif scheme == "BIO":
                letter = "B" if i == start else "I"
            else:
                letter = "B" if i == start and i and tags[i - 1][1:] == f"-{type_}" else "I"
            tags[i] = type_ if scheme == "IO" else f"{letter}-{type_}"
    return tags


def all_entity_lists(length, start=0):
    """Enumerate every way to lay entities of types X and Y over ``length`` words."""
    if start >= length:
        yield []
        return
    for rest in all_entity_lists(length, start + 1):
        yield rest
    for end in range(start + 1, length + 1):
        for rest in all_entity_lists(length, end):
            for type_ in "XY":
                yield [(type_, start, end), *rest]


entity_lists = st.integers(0, 12).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["X", "creative-work", "a_b", ""])))
    )
)


def lay(drawn):
    """Turn drawn lengths and types into entities that follow or touch one another."""
    length, parts = drawn
    found, place = [], 0
    for size, type_ in parts:
        if place + size <= length:
            found.append((type_, place, place + size))
        place += size + size % 2  # some touch, some do not
    return length, found


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SEQEVAL)
def test_entities_are_those_of_seqeval_in_strict_mode(scheme):
    rng, compared = random.Random(scheme), 0
    for _ in range(3000):
        tags = random_tags(scheme, rng)
        if scheme == "IOB1" and any(a[0] == b[0] == "B" and a[1:] != b[1:] for a, b in pairwise(tags)):
            continue  # seqeval has no rule for an entity that ends before such a B
        expected = [(entity.tag, entity.start, entity.end) for entity in Tokens(tags, SEQEVAL[scheme]).entities]
        assert [tuple(entity) for entity in entities(tags, scheme)] == expected, tags
        compared += 1
    assert compared > 2000


@pytest.mark.parametrize("scheme", ["BILOU", "BMES"])
def test_schemes_that_differ_in_letters_are_read_alike(scheme):
    rng, letters = random.Random(1), dict(zip(LETTERS["BIOES"], [*LETTERS[scheme]], strict=True))
    letters |= {"E": CLOSING[scheme][2], "S": CLOSING[scheme][3], "I": CLOSING[scheme][1]}
    for _ in range(1000):
        tags = random_tags("BIOES", rng)
        renamed = [tag if tag == "O" else letters[tag[0]] + tag[1:] for tag in tags]
        assert entities(renamed, scheme) == entities(tags, "BIOES")
        assert illegal_places(renamed, scheme) == illegal_places(tags, "BIOES")


@pytest.mark.parametrize(
    ("scheme", "tags", "found"),
    [
        ("BIO", "I-PER I-PER", []),  # what seqeval's default counts as an entity
        ("BIOES", "B-PER I-PER O S-LOC", [("LOC", 3, 4)]),  # not closed
        ("BMES", "B-NAME M-NAME E-NAME O S-ORG", [("NAME", 0, 3), ("ORG", 4, 5)]),  # seqeval: KeyError 'M'
        ("BIO", "B_PER I_PER O B_LOC", [("PER", 0, 2), ("LOC", 3, 4)]),  # seqeval: type "_PER"
        ("BIO", "B-creative-work I-creative-work", [("creative-work", 0, 2)]),
        ("IO", "PER PER O LOC PER", [("PER", 0, 2), ("LOC", 3, 4), ("PER", 4, 5)]),  # seqeval: type "ER"
        ("IO", "B-cell B-cell", [("B-cell", 0, 2)]),
        ("IOB1", "I-PER B-PER B-LOC", [("PER", 0, 1), ("PER", 1, 2)]),  # seqeval loses the second
        ("IOB1", "O B-PER I-PER", [("PER", 2, 3)]),  # as seqeval: this B separates nothing
        ("BMES", "B E S O", [("", 0, 2), ("", 2, 3)]),  # word segmentation has no types
        ("BIO", "", []),
    ],
)
def test_entities_of_sentences_that_others_misread(scheme, tags, found):
    assert [tuple(entity) for entity in entities(tags.split(), scheme)] == found


@pytest.mark.parametrize(
    ("tag", "scheme", "parts"),
    [
        ("O", None, ("O", "")),
        ("B-PER", None, ("B", "PER")),
        ("B_PER", "BIO", ("B", "PER")),
        ("B-creative-work", "BIO", ("B", "creative-work")),
        ("M-NAME", "BMES", ("M", "NAME")),
        ("S", "BIOES", ("S", "")),
        ("PER", "IO", ("I", "PER")),
        ("I-PER", "IO", ("I", "PER")),
        ("O-ring", "IO", ("I", "O-ring")),
    ],
)
def test_a_tag_is_taken_apart(tag, scheme, parts):
    assert split_tag(tag, scheme) == parts


def test_letters_are_translated_into_those_of_bioes():
    assert [read_tag(tag, "BILOU") for tag in ("L-a", "U-a", "O")] == [("E", "a"), ("S", "a"), ("O", "")]
    assert read_tag("M-a", "BMES") == ("I", "a")


@pytest.mark.parametrize(
    ("tag", "scheme"), [("PER", None), ("PER", "BIO"), ("E-PER", "BIO"), ("B-", "BIO"), ("", "IO"), ("b-PER", "BIO")]
)
def test_a_tag_of_another_form_is_an_error_that_shows_it(tag, scheme):
    with pytest.raises(ValueError, match=f"tag '{tag}' is not one of"):
        split_tag(tag, scheme)
    if scheme:
        for function in (entities, illegal_places):
            with pytest.raises(ValueError, match=f"tag '{tag}'"):
                function(["O", tag], scheme)


def test_an_unknown_scheme_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match="'IOE' is not known; there are BIO, IOB1, BIOES, BILOU, BMES, IO"):
        entities(["O"], "IOE")


# --- what is legal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", PREFIXED)
def test_legal_sequences_are_exactly_the_spellings_of_entities(scheme):
    for length in range(5):
        expected = {tuple(spell(found, length, scheme)) for found in all_entity_lists(length)}
        found = {tags for tags in product(names_of(scheme), repeat=length) if not illegal_places(tags, scheme)}
        assert found == expected


@pytest.mark.parametrize("scheme", PREFIXED)
def test_a_spelling_reads_back(scheme):
    for length in range(6):
        for found in all_entity_lists(length):
            assert [tuple(entity) for entity in entities(spell(found, length, scheme), scheme)] == found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_legal_transitions_allow_what_has_no_illegal_place(scheme):
    names = names_of(scheme)
    legal = legal_transitions(names, scheme)
    for length in range(1, 5):
        for path in product(range(len(names)), repeat=length):
            steps = [legal.transitions[a][b] for a, b in pairwise(path)]
            allowed = legal.start[path[0]] and all(steps) and legal.end[path[-1]]
            assert allowed == (not illegal_places([names[i] for i in path], scheme)), path


@pytest.mark.parametrize(
    ("scheme", "tags", "places"),
    [
        ("BIO", "I-X O B-X I-Y I-Y", [0, 3]),
        ("IOB1", "B-X I-X B-X B-Y", [0, 3]),
        ("BIOES", "B-X O E-X S-X I-X", [1, 2, 4]),
        ("BIOES", "O B-X", [1]),  # ends inside of an entity
        ("BMES", "I-X", None),
        ("IO", "X Y O", []),
    ],
)
def test_illegal_places_are_named_word_by_word(scheme, tags, places):
    if places is None:
        with pytest.raises(ValueError, match="expected B/M/E/S-TYPE or O"):
            illegal_places(tags.split(), scheme)
    else:
        assert illegal_places(tags.split(), scheme) == places


# --- conversion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", PREFIXED)
@pytest.mark.parametrize("target", PREFIXED)
@given(drawn=entity_lists)
@settings(max_examples=25, deadline=None)
def test_conversion_of_legal_tags_is_exact_and_goes_back(source, target, drawn):
    length, found = lay(drawn)
    tags = convert_tags(spell([], length, source), source, target)
    assert tags == ["O"] * length
    tags = [tag.rstrip("-") for tag in spell(found, length, source)]  # the empty type has no separator
    converted = convert_tags(tags, source, target)
    assert [tuple(entity) for entity in entities(converted, target)] == found
    assert not illegal_places(converted, target)
    assert convert_tags(converted, target, source) == tags


@pytest.mark.parametrize("source", PREFIXED)
def test_io_keeps_all_but_the_border_of_equal_neighbours(source):
    tags = spell([("X", 0, 2), ("X", 2, 3), ("Y", 3, 4)], 5, source)
    assert convert_tags(tags, source, "IO") == ["X", "X", "X", "Y", "O"]
    assert convert_tags(["X", "X", "X", "Y", "O"], "IO", "BIO") == ["B-X", "I-X", "I-X", "B-Y", "O"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_repair_gives_legal_tags_keeps_every_type_and_leaves_legal_ones_alone(scheme):
    rng = random.Random(2)
    for _ in range(1000):
        tags = random_tags(scheme, rng)
        fixed = convert_tags(tags, scheme, scheme)
        assert illegal_places(fixed, scheme) == []
        assert [tag.split("-")[-1] for tag in fixed] == [tag.split("-")[-1] for tag in tags]
        assert (fixed == tags) == (not illegal_places(tags, scheme))


@pytest.mark.parametrize(
    ("scheme", "tags", "fixed"),
    [
        ("BIO", "I-X I-X I-Y O I-Y", "B-X I-X B-Y O B-Y"),
        ("BIOES", "B-X O I-X E-X E-X S-X I-X", "S-X O B-X E-X S-X S-X S-X"),
        ("BMES", "B-X M-X", "B-X E-X"),
        ("IOB1", "O B-X I-X B-X", "O I-X I-X B-X"),
        ("BIO", "B_X I_X", "B-X I-X"),
    ],
)
def test_repair_reads_as_a_person_would(scheme, tags, fixed):
    assert convert_tags(tags.split(), scheme, scheme) == fixed.split()


def test_a_type_called_o_does_not_vanish_in_io():
    with pytest.raises(ValueError, match="cannot be written in IO"):
        convert_tags(["B-O"], "BIO", "IO")


# --- finding the scheme -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["B-X I-X O B-X", "O"], "BIO"),
        (["I-X I-X O", "I-Y B-Y I-X"], "IOB1"),
        (["I-X I-X O I-Y"], "IOB1"),  # no B at all
        (["O O", ""], "BIO"),
        ([], "BIO"),
        (["B-X", "I-X I-X", "B-X I-X B-X I-X I-Y O B-X"], "BIO"),  # 2 orphans, 4 idle B: mostly BIO
        (["B-X", "I-X I-X O I-X O I-Y"], "IOB1"),
        (["B-X I-X E-X", "S-Y"], "BIOES"),
        (["S-Y"], "BIOES"),
        (["B-X E-X"], "BIOES"),
        (["B-X L-X", "U-Y O"], "BILOU"),
        (["B-X M-X E-X", "S-Y"], "BMES"),
        (["B M E S S"], "BMES"),
        (["PER PER O"], "IO"),
        (["creative-work O"], "IO"),
        (["b-cell i-beam O", "X-B Y-I"], "IO"),  # of different types: names, not prefixes
        (["B_X I_X"], "BIO"),
        (["NN S M"], "IO"),  # letters without a type beside plain tags are plain tags
    ],
)
def test_the_scheme_is_found(sentences, scheme):
    assert find_scheme(sentence.split() for sentence in sentences) == scheme


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("B-X M-X I-X E-X", "'M-X' is BMES, 'I-X' is not"),
        ("B-X L-X E-X", "'L-X' is BILOU, 'E-X' is not"),
        ("B-X PER", "with and without a prefix are mixed: 'B-X' and 'PER'"),
        ("I-X E-X", "'E-X' ends entities that no B begins"),
        ("b-X i-X O", "'b-X' and 'i-X' look like B- and I- written otherwise"),
        ("X-B X-I O", "'X-B' and 'X-I' look like B- and I- written otherwise"),
    ],
)
def test_mixed_letters_are_an_error_that_shows_two_of_them(sentence, message):
    with pytest.raises(ValueError, match=message):
        find_scheme([sentence.split()])


@pytest.mark.parametrize("scheme", PREFIXED)
def test_sentences_written_in_a_scheme_are_found_to_be_in_it(scheme):
    rng = random.Random(3)
    for _ in range(50):
        sentences = [[*random_tags("BIO", rng), "O", "B-X", "I-X", "I-X", "O", "B-X", "B-X"] for _ in range(5)]
        fixed = [convert_tags(tags, "BIO", "BIO") for tags in sentences]
        assert find_scheme(convert_tags(tags, "BIO", scheme) for tags in fixed) == scheme


def test_an_entity_is_a_plain_tuple():
    assert Entity("X", 0, 2) == ("X", 0, 2)
