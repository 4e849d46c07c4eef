"""Placeholders: values that are no evidence because a list says so."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.errors import ConfigurationError
from sv_assets.identity.normalise import Placeholders, email, person_name, phone
from sv_assets.local.generator.words import PLACEHOLDER_EMAILS, PLACEHOLDER_PHONES

LISTS = {
    "emails": {
        "addresses": ["No@Email.com"],
        "local_parts": ["None", "test", "noemail", "customer"],
        "domains": ["none.com", "@nomail.com"],
    },
    "phones": {"numbers": ["07700 900000", "+33 1 23 45 67 89"], "repeated": True, "ascending": True},
    "names": {"first": ["Test", "Unknown"], "last": ["Test"], "full": ["Mr A N Other", "Mickey Mouse"]},
}
LISTED = Placeholders.from_dict(LISTS)


@pytest.mark.parametrize("raw", [*PLACEHOLDER_EMAILS, "NONE@shop.co.uk", "jane@nomail.com", "test@x.com"])
def test_a_listed_address_local_part_or_domain_is_no_evidence(raw: str) -> None:
    found = email(raw)
    assert found is None or LISTED.is_email(found.match)


@pytest.mark.parametrize("raw", [*PLACEHOLDER_PHONES, "07777777777", "0123456789", "+44 7700 900000", "0033123456789"])
def test_a_listed_repeated_or_ascending_number_is_no_evidence(raw: str) -> None:
    found = phone(raw)
    assert found is None or LISTED.is_phone(found)


def test_what_is_not_listed_is_evidence() -> None:
    assert not LISTED.is_email("jane@email.com")
    assert not LISTED.is_email("jane.test@example.com")
    for number in ("+447700900123", "+442079460000", "+441134960000", "+447712345678", "+447711111119"):
        assert not LISTED.is_phone(number)
    assert not LISTED.is_name("jane", "smith")
    assert not LISTED.is_name("jane", "unknown")
    assert not LISTED.is_name(None, "mouse")
    assert not LISTED.is_name(None, None)


@pytest.mark.parametrize(
    "full", ["Mr Test Test", "unknown smith", "Test", "mickey MOUSE", "Mr A. N. Other", "Jane Test"]
)
def test_a_listed_name_is_no_evidence(full: str) -> None:
    name = person_name(full=full)
    assert LISTED.is_name(name.first, name.last)


def test_without_lists_nothing_is_a_placeholder() -> None:
    for nothing in (None, {}, {"emails": None}, {"names": {"first": None}}):
        none = Placeholders.from_dict(nothing)
        assert none == Placeholders()
        assert not (none.is_email("none@none.com") or none.is_phone("+441234567890") or none.is_name("test", "test"))


@given(st.text(), st.text())
def test_any_text_can_be_looked_up_and_listed(a: str, b: str) -> None:
    listed = Placeholders.from_dict(
        {"emails": {"addresses": [a]}, "phones": {"numbers": [a]}, "names": {"full": [a], "first": [b]}}
    )
    for lists in (LISTED, listed):
        lists.is_email(a)
        lists.is_phone(b)
        lists.is_name(a, b)
    assert not listed.is_name(None, None)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"mails": {}}, "unknown key 'mails'; allowed are emails, phones, names"),
        ({"emails": {"address": []}}, "unknown key 'address'; allowed are addresses, local_parts, domains"),
        ({"phones": {"number": []}}, "placeholders.phones has the unknown key"),
        ({"emails": {"local_parts": ["none", False]}}, "in quotes"),
        ({"phones": {"numbers": [1234567890]}}, "in quotes"),
        ({"phones": {"repeated": "yes"}}, "true or false"),
        ({"names": {"first": "test"}}, "placeholders.names.first must be a list"),
        ({"names": ["test"]}, "placeholders.names is not a mapping"),
        (["emails"], "placeholders is not a mapping"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(declared: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Placeholders.from_dict(declared)
