"""Different source keys never share an `_id`, and what a bookmark holds comes back as it was."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import bson
from bson import Decimal128, Int64
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.mongo import CODEC
from sv_assets.sources.keys import compared, compared_id, document_id, freeze, key_text, key_value, thaw

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TRICKY = st.sampled_from(
    ["1", '1,"a"', '"', '["a"]', "null", "true", '{"hex":"00"}', "00", "decimal", " ", "", "a\\", "\\"]
)
LANDED = st.one_of(
    TEXT, TRICKY, st.integers(-(2**63), 2**63 - 1).map(Int64), st.booleans(), st.binary(max_size=4), st.uuids(),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9).map(Decimal128),
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.timezone.utc)),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
RAW = st.one_of(
    TEXT, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.binary(max_size=8), st.uuids(), st.none(),
    st.decimals(allow_nan=False, allow_infinity=False), st.datetimes(), st.dates(), st.times(), st.booleans(),
)  # fmt: skip


def typed(parts: list[Any]) -> list[tuple[str, str]]:
    """What makes two keys the same: as many parts, of the same types and values; a whole decimal is a whole number."""
    return [(type(value).__name__, repr(value)) for value in map(key_value, parts)]


@given(st.lists(LANDED, min_size=2, max_size=3), st.lists(LANDED, min_size=2, max_size=3))
def test_different_composite_keys_have_different_ids(one: list[Any], other: list[Any]) -> None:
    assert (document_id(one) == document_id(other)) == (typed(one) == typed(other))


@given(TRICKY, TRICKY, TRICKY, TRICKY)
def test_text_that_looks_like_json_cannot_forge_another_key(a: str, b: str, c: str, d: str) -> None:
    assert (document_id([a, b]) == document_id([c, d])) == ((a, b) == (c, d))


@given(LANDED)
def test_a_one_column_key_is_the_value_itself_unless_it_is_a_decimal(part: Any) -> None:
    identifier = document_id([part])
    if isinstance(part, Decimal128):
        assert isinstance(identifier, (Int64, str))
        assert Decimal(identifier) == part.to_decimal()
    else:
        assert identifier is part


@given(st.lists(LANDED, min_size=1, max_size=3))
def test_key_text_is_the_same_for_the_id_that_comes_back_from_mongodb(parts: list[Any]) -> None:
    identifier = document_id(parts)
    if isinstance(identifier, dt.datetime):
        identifier = identifier.replace(microsecond=0)
    back = bson.decode(bson.encode({"k": identifier}, codec_options=CODEC), codec_options=CODEC)["k"]
    assert key_text(back) == key_text(identifier)


def test_key_text_is_what_people_would_call_the_row() -> None:
    assert key_text(Int64(42)) == "42"
    assert key_text("GB-7") == "GB-7"
    assert key_text(uuid.UUID(int=5)) == "00000000-0000-0000-0000-000000000005"
    assert key_text(document_id([Int64(1), "a"])) == '[1,"a"]'


@given(RAW)
def test_a_raw_key_survives_the_bookmark(value: Any) -> None:
    frozen = bson.decode(bson.encode({"k": freeze(value)}, codec_options=CODEC), codec_options=CODEC)["k"]
    back = thaw(frozen)
    assert back == value
    assert isinstance(back, type(value))
    if isinstance(value, Decimal):
        assert str(back) == str(value)


@given(TEXT, TEXT)
def test_keys_that_differ_in_case_or_trailing_spaces_compare_as_equal(one: str, other: str) -> None:
    assert compared(one + "  ", False) == compared(one, False)
    assert compared(one + " ", True) == compared(one, True) == one.rstrip(" ")
    if one.isascii():
        assert compared(one.upper(), False) == compared(one.lower(), False)
    if one != other and one.isascii() and other.isascii():
        assert (compared(one, False) == compared(other, False)) == (
            one.rstrip(" ").lower() == other.rstrip(" ").lower()
        )


@given(TEXT)
def test_folding_never_changes_the_length(text: str) -> None:
    assert len(compared(text, False)) == len(text.rstrip(" "))
    assert compared(compared(text, False), False) == compared(text, False)


def test_folding_is_one_letter_to_one_letter() -> None:
    assert compared("ZOË Škoda ΣΑΣ", False) == "zoë škoda σασ"
    assert compared("Straße", False) != compared("STRASSE", False), "ß is no ss"
    assert compared("ISTANBUL İ", False) == "istanbul İ", "the capital dotted I has no single small letter"
    assert compared(" a\t ", False) == " a\t", "only spaces, and only at the end"


@given(st.lists(LANDED, min_size=1, max_size=3))
def test_only_text_is_compared_otherwise(parts: list[Any]) -> None:
    others = [part for part in parts if not isinstance(part, str)]
    assert [compared(part, False) for part in others] == others
    if others:
        assert compared_id(others, [False] * len(others)) == document_id(others)


def test_the_compared_key_of_several_parts_follows_the_collation_of_each() -> None:
    assert compared_id(["GB ", "Ab ", Int64(1)], [False, True, False]) == '["gb","Ab",1]'
    assert compared_id(["GB-7 "], [False]) == "gb-7"
