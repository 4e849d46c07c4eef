"""Folded words: what counts as the same letters, in any script."""

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sv_assets.identity.normalise import word


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("O'Brien-Núñez", "obriennunez"),
        ("O’BRIEN NUNEZ", "obriennunez"),
        ("Oʼbrien", "obrien"),
        ("O´Brien", "obrien"),
        ("Weiß", "weiss"),
        ("ẞ", "ss"),
        ("Søren", "soren"),
        ("Łoś", "los"),
        ("Đặng", "dang"),
        ("Ægir", "aegir"),
        ("Œuvre", "oeuvre"),
        ("Þór", "thor"),
        ("Guðrún", "gudrun"),
        ("Işık", "isik"),
        ("İpek", "ipek"),
        ("ﬁona", "fiona"),
        ("Ｊａｎｅ", "jane"),
        ("Ελένη", "ελενη"),
        ("Йосип", "иосип"),
        ("王", "王"),
        ("", None),
        (" -' ", None),
        ("\u0301", None),
        ("\0", None),
    ],
)
def test_case_diacritics_and_punctuation_do_not_matter(raw: str, expected: str | None) -> None:
    assert word(raw) == expected


def test_vowel_signs_are_letters_of_a_name() -> None:
    assert word("मीरा") != word("मारी")
    assert word("มานี") != word("มานา")


@given(st.text())
@example("ŉ")
@example("ΐ\u0345")
@example("a\u094d-\u093c")
@example("\ud800")
def test_the_folded_form_of_a_folded_form_is_itself(text: str) -> None:
    folded = word(text)
    assert folded is None or (word(folded) == folded and word(f" {folded}. ") == folded)


def test_every_character_folds_once_and_for_all() -> None:
    assigned = (char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char) not in ("Cn", "Co"))
    assert [hex(ord(char)) for char in assigned if (f := word("a" + char)) and word(f) != f] == []


@given(st.text(st.characters(max_codepoint=0x17F, exclude_characters="ŉſ")))
def test_case_does_not_matter(text: str) -> None:
    assert word(text.upper()) == word(text.lower()) == word(text)
