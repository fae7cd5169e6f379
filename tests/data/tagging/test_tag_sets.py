from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tagging_files import message_of

from hf_ext.data.tagging.sentences import Sentence, SentenceFile
from hf_ext.data.tagging.tag_sets import choose_scheme, convert_file, find_unknown_tags, fit_tags, spell_alike
from hf_ext.errors import UserError
from hf_ext.models.tag_schemes import SCHEMES, convert_tags, entities
from hf_ext.models.tagging_schema import TaggingSchema


def file_of(*rows: str, scheme: str | None = None) -> SentenceFile:
    """Sentences whose words are their numbers; sentence i begins at line 10 * (i + 1)."""
    sentences = []
    for i, row in enumerate(rows):
        tags = row.split()
        start = 10 * (i + 1)
        sentences.append(Sentence([str(j) for j in range(len(tags))], tags, range(start, start + len(tags))))
    return SentenceFile(sentences, "a.txt", scheme=scheme)


def tags_of(file: SentenceFile) -> list[str]:
    return [" ".join(sentence.tags) for sentence in file.sentences]


@pytest.mark.parametrize(
    ("rows", "scheme", "tags"),
    [
        (["O B-PER", "B-LOC I-LOC"], "BIO", "O B-LOC I-LOC B-PER I-PER"),
        (["B-b S-a"], "BIOES", "O B-a I-a E-a S-a B-b I-b E-b S-b"),
        (["U-a"], "BILOU", "O B-a I-a L-a U-a"),
        (["O M-a"], "BMES", "O B-a M-a E-a S-a"),
        (["B M E S"], "BMES", "B M E S"),
        (["I-a O"], "IOB1", "O I-a"),
        (["I-a B-a"], "IOB1", "O B-a I-a"),
        (["NOUN VERB"], "IO", "NOUN VERB"),
        (["PER O LOC"], "IO", "O LOC PER"),
        (["B_PER O"], "BIO", "O B_PER I_PER"),
        (["B-creative-work"], "BIO", "O B-creative-work I-creative-work"),
    ],
)
def test_tags_are_sorted_by_type_and_each_type_has_every_letter(rows, scheme, tags):
    assert " ".join(fit_tags([row.split() for row in rows], scheme)) == tags


def test_a_model_trained_further_keeps_its_tags_if_they_cover_the_new_ones():
    saved = TaggingSchema(("B-X", "I-X", "O", "B-Y", "I-Y"), "BIO")
    assert fit_tags([["B-X", "O"]], "BIO", saved=saved) == saved.tags
    assert fit_tags([["B-Z", "O"]], "BIO", saved=saved) == ("O", "B-Z", "I-Z")
    assert fit_tags([["I-X", "O"]], "IOB1", saved=saved) == ("O", "I-X")


def test_a_scheme_is_found_named_or_written_by_the_reader():
    assert choose_scheme(file_of("B-X I-X O"), None) == "BIO"
    assert choose_scheme(file_of("O I-X O"), None) == "IOB1"
    assert choose_scheme(file_of("O I-X O"), "BIO") == "BIO"
    assert choose_scheme(file_of("B-X E-X", scheme="BIO"), "BIOES") == "BIO"


def test_the_saved_scheme_is_believed_where_it_fits_and_only_there():
    saved = TaggingSchema(("O", "B-X", "I-X", "E-X", "S-X"), "BIOES")
    assert choose_scheme(file_of("B-X E-X O"), None, saved=saved) == "BIOES"
    assert choose_scheme(file_of("O O"), None, saved=saved) == "BIOES"
    assert choose_scheme(file_of("B-X O B-X I-X"), None, saved=saved) == "BIO"


def test_mixed_schemes_are_named_with_the_file():
    with pytest.raises(UserError) as error:
        choose_scheme(file_of("B-X M-X L-X"), None)
    message_of(error.value, "a.txt:12", "--scheme")


def test_a_scheme_that_cannot_say_a_type_is_refused_with_the_line():
    with pytest.raises(UserError) as error:
        convert_file(file_of("B-X", "B-O"), "BIO", "IO")
    message_of(error.value, "a.txt:20", "'O'", "--convert_scheme")


def test_tags_that_mean_the_same_are_spelled_alike():
    file = file_of("O B-X I_X", "B_X B_Y I-Y")
    spell_alike(file, "BIO")
    assert tags_of(file) == ["O B-X I-X", "B-X B_Y I_Y"]
    spell_alike(file, "BIO", ("O", "B_X", "B-Y", "I_Y"))
    assert tags_of(file) == ["O B_X I_X", "B_X B-Y I_Y"]
    plain = file_of("X O I-X")
    spell_alike(plain, "IO")
    assert tags_of(plain) == ["X O X"]


def test_broken_sentences_are_counted_with_the_first_place():
    file = file_of("O B-X I-X", "O I-X I-Y O", "I-X")
    notes = convert_file(file, "BIO", "BIO")
    assert notes == [
        "a.txt:21: 3 tags in 2 sentences break the scheme BIO, the first at '1'; they are kept as they are"
    ]
    assert tags_of(file) == ["O B-X I-X", "O I-X I-Y O", "I-X"]


def test_converted_sentences_are_read_leniently():
    file = file_of("O I-X I-Y O", "B-X I-X")
    (note,) = convert_file(file, "BIO", "BIOES")
    assert "read leniently" in note
    assert tags_of(file) == ["O S-X S-Y O", "B-X E-X"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), max_size=12), st.sampled_from(SCHEMES[:5]))
def test_conversion_keeps_the_entities_of_legal_sentences(tags, target):
    legal = convert_tags(tags, "BIO", "BIO")
    file = file_of(" ".join(legal))
    assert convert_file(file, "BIO", target) == []
    assert entities(file.sentences[0].tags, target) == entities(legal, "BIO")


def test_a_tag_of_no_scheme_is_named_with_its_line():
    with pytest.raises(UserError) as error:
        convert_file(file_of("O O", "O B-X Q-X"), "BIO", "BIO")
    message_of(error.value, "a.txt:22", "'Q-X'", "--scheme")


def test_tags_that_the_model_lacks_are_an_error_or_leave_their_sentence_unscored():
    schema = TaggingSchema(("O", "B-X", "I-X"), "BIO")
    file = file_of("O B-X", "O B-Z", "B-Z O")
    with pytest.raises(UserError) as error:
        find_unknown_tags(file, schema, ignore=False)
    message_of(error.value, "a.txt:21", "2 sentences", "'B-Z'", "--unknown_labels ignore")
    (note,) = find_unknown_tags(file, schema, ignore=True)
    assert note.startswith("a.txt:21: 2 sentences")
    assert [sentence.scored for sentence in file.sentences] == [True, False, False]
