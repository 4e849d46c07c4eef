"""Names of people, in parts and in one piece."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sv_assets.identity.normalise import PersonName, names, person_name

words = st.text("abcdejorstxyzABZ' -.&,", max_size=14) | st.sampled_from(
    [
        *names._TITLES,
        *names._SUFFIXES,
        *names._PARTICLES,
        *names._HONOURS,
        "and",
        "&",
        "O'Brien",
        "Smith-Jones",
        "Anne-Marie",
        "J.R.",
    ]
)
fields = st.lists(words, max_size=4).map(" ".join)
maybe = st.none() | fields


@given(st.text(), st.text())
@example("\ud800", "\0")
@example(",", ",,")
@example("a\u094d", "-\u093cb")
def test_any_text_has_an_answer(a: str, b: str) -> None:
    for name in (
        person_name(full=a),
        person_name(title=a, first=b, last=a),
        person_name(first=a, middle=b),
        person_name(last=f"{a},{b}"),
    ):
        assert name.others == () or name.first
        assert (name.last is None) == (name.last_parts == ())
        again = person_name(first=name.first, last=" ".join(name.last_parts))
        assert name.last is None or again.last is not None


@given(maybe, maybe, maybe, maybe, maybe)
def test_a_plain_name_gets_the_answer_of_the_general_rules(
    title: str | None, first: str | None, middle: str | None, last: str | None, full: str | None
) -> None:
    general = names._in_parts(title, first, middle, last) or names._in_one_piece(title, full or "")
    assert person_name(title=title, first=first, middle=middle, last=last, full=full) == general


@given(maybe, fields, fields)
def test_case_and_blanks_do_not_matter(title: str | None, first: str, last: str) -> None:
    expected = person_name(title=title, first=first, last=last)
    upper = title and title.upper()
    assert person_name(title=upper, first=f"  {first.upper()}", last=last.lower().replace(" ", " \t") + " ") == expected
    assert person_name(full=f" {first}  {last} ".upper()) == person_name(full=f"{first} {last}")


plain_words = st.from_regex(r"[a-z]{3,9}", fullmatch=True).filter(lambda w: w not in names._MEANINGFUL)


@given(plain_words, st.lists(plain_words, max_size=2), st.lists(plain_words, min_size=1, max_size=3))
def test_the_compared_form_of_a_compared_form_is_itself(first: str, others: list[str], parts: list[str]) -> None:
    name = PersonName(first, tuple(others), "".join(parts), tuple(parts))
    assert person_name(first=" ".join([first, *others]), last=" ".join(parts)) == name
    assert person_name(first=first, middle=" ".join(others), last="-".join(parts)) == name
    assert person_name(full=f"{' '.join(parts)}, {' '.join([first, *others])}") == name
    assert person_name(full=f"{' '.join([first, *others])} {'-'.join(parts)}") == name


@pytest.mark.parametrize("blank", ["", " ", "\t\n", ",", " , ", ".", "Mr", "Mrs ", "Mr & Mrs", "Dr (Mrs)"])
def test_a_name_without_letters_is_no_name(blank: str) -> None:
    name = person_name(full=blank)
    assert (name.first, name.last) == (None, None)


def _name(
    first: str | None, last: str, gender: str | None = None, *others: str, suffix: str | None = None
) -> PersonName:
    return PersonName(first, others, last.replace(" ", ""), tuple(last.split()), gender, suffix)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("full", "expected"),
    [
        ("Mrs J Smith", _name("j", "smith", "f")),
        ("Mrs Smith", _name(None, "smith", "f")),
        ("Mrs Jane Ann Smith", _name("jane", "smith", "f", "ann")),
        ("Smith, Jane", _name("jane", "smith")),
        ("Smith, Mrs Jane A.", _name("jane", "smith", "f", "a")),
        ("SMITH, Jane, Mrs", _name("jane", "smith", "f")),
        ("Mrs Smith, Jane", _name("jane", "smith", "f")),
        ("Dr. Bob  van Dyke", _name("bob", "van dyke")),
        ("Vincent van Gogh", _name("vincent", "van gogh")),
        ("Ludwig van der Rohe", _name("ludwig", "van der rohe")),
        ("de la Cruz", _name(None, "de la cruz")),
        ("Van Morrison", _name("van", "morrison")),
        ("Ian St. John", _name("ian", "st john")),
        ("jane", _name(None, "jane")),
        ("MR JOHN SMITH", _name("john", "smith", "m")),
        ("Mr & Mrs J Smith", _name("j", "smith")),
        ("Mr and Mrs Smith", _name(None, "smith")),
        ("John & Jane Smith", _name("john", "smith")),
        ("Prof. Dame Jane Smith DBE", _name("jane", "smith", "f")),
        ("John Smith Jr.", _name("john", "smith", suffix="jr")),
        ("John Smith, Jnr", _name("john", "smith", suffix="jr")),
        ("Smith Snr, John", _name("john", "smith", suffix="sr")),
        ("John Smith III", _name("john", "smith", suffix="3")),
        ("Jane Senior", _name("jane", "senior")),
        ("John Smith Senior", _name("john", "smith", suffix="sr")),
        ("Mr Lord", _name(None, "lord", "m")),
        ("Anne-Marie O’Neill-Núñez", _name("annemarie", "oneill nunez")),
        ("Łukasz Świętosławski", _name("lukasz", "swietoslawski")),
        ("J.R. Smith", _name("j", "smith", None, "r")),
    ],
)
def test_a_name_in_one_piece(full: str, expected: PersonName) -> None:
    assert person_name(full=full) == expected
    assert person_name(last=" ", full=full) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"first": "Zoë", "last": "O'Brien-Núñez"}, _name("zoe", "obrien nunez")),
        ({"first": "zoe", "last": "O’BRIEN NUNEZ"}, _name("zoe", "obrien nunez")),
        ({"title": "Mr.", "first": "J. R.", "last": "Smith"}, _name("j", "smith", "m", "r")),
        ({"first": "Mrs Jane", "last": "Smith"}, _name("jane", "smith", "f")),
        ({"first": "Mr", "last": "Smith"}, _name(None, "smith", "m")),
        ({"first": "Søren", "last": "Łoś-Weiß"}, _name("soren", "los weiss")),
        ({"title": "Mr & Mrs", "first": "John", "last": "Smith"}, _name("john", "smith")),
        ({"title": "Dr (Mrs)", "first": "Jane", "last": "Smith"}, _name("jane", "smith", "f")),
        ({"first": "Jane", "middle": "Ann B", "last": "Smith"}, _name("jane", "smith", None, "ann", "b")),
        ({"first": "John", "last": "Smith Jnr"}, _name("john", "smith", suffix="jr")),
        ({"first": "John II", "last": "Smith"}, _name("john", "smith", suffix="2")),
        ({"first": "John", "middle": "Jr", "last": "Smith"}, _name("john", "smith", suffix="jr")),
        ({"first": "Junior", "last": "Senior"}, _name("junior", "senior")),
        ({"last": "Smith, Jane"}, _name("jane", "smith")),
        ({"last": "Mrs Jane Smith"}, _name("jane", "smith", "f")),
        ({"first": "Jane", "last": "Mrs Smith"}, _name("jane", "smith", "f")),
        ({"last": "de la Cruz"}, _name(None, "de la cruz")),
        ({"first": "Jane", "last": "Smith", "full": "Somebody Else"}, _name("jane", "smith")),
    ],
)
def test_a_name_in_parts(fields: dict[str, str], expected: PersonName) -> None:
    assert person_name(**fields) == expected
