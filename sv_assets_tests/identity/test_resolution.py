"""Who is who, from landed rows to customers: what links records, what keeps them apart, and any input at all."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.errors import ConfigurationError
from sv_assets.identity.blocking import keys_of
from sv_assets.identity.compared import Description, PostalAddress, compared_form, identifies, is_more_than_a_name
from sv_assets.identity.resolution import stored_model
from sv_assets.identity.settings import load_settings
from sv_assets.identity.workbench import form_hash
from sv_assets.mongo import Document, Store
from sv_assets_tests.examples import examples
from sv_assets_tests.retailer import Retailer

BORN = dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)
BORN_LATER = dt.datetime(2008, 9, 21, tzinfo=dt.timezone.utc)
SETTINGS = load_settings()


@pytest.fixture
def shop(store: Store) -> Retailer:
    return Retailer(store)


# --- what links, what keeps apart --------------------------------------------------------------------------------------


def test_email_and_name_link_however_they_are_written(shop: Retailer) -> None:
    a = shop.customer(1, "Bob", "Smith", Email="bob@x.com", Phone="07700 900123")
    b = shop.account(2, "Robert", "SMITH", EmailAddress="BOB@X.com")
    c = shop.account(3, "ROBERT", "Smith", Telephone="+44 (0)7700-900123")
    shop.identify()
    assert shop.links()[a, b][0] == "email_and_name" and shop.links()[a, c][0] == "mobile_and_name"
    assert shop.people() == {frozenset({a, b, c})}


def test_what_the_source_gives_links_whoever_it_is(shop: Retailer) -> None:
    a, b = shop.customer(1, "Jane", "Smith", Title="Mrs"), shop.account(2, "Peter", "Jones", CrmCustomerId=1)
    shop.identify()
    assert shop.links() == {(a, b): ["given_by_source"]}
    assert shop.people() == {frozenset({a, b})}


def test_two_accounts_that_name_one_absent_customer_are_one_person(shop: Retailer) -> None:
    a, b = shop.account(1, "Jane", "Smith", CrmCustomerId=9), shop.account(2, "Jane", "Brown", CrmCustomerId=9)
    shop.identify()
    assert shop.links()[a, b][0] == "given_by_source"
    c = shop.customer(9, "Jane", "Brown")
    shop.identify()
    assert shop.people() == {frozenset({a, b, c})}


def test_a_household_shares_an_email_and_stays_two_people(shop: Retailer) -> None:
    shared = {"Email": "thesmiths@x.com", "Phone": "01632 960123"}
    shop.customer(1, "Jane", "Smith", **shared)
    shop.customer(2, "Peter", "Smith", **shared)
    shop.account(3, "Jane", "Smith", EmailAddress="thesmiths@x.com")
    shop.account(4, "Pete", "Smith", EmailAddress="thesmiths@x.com")
    shop.identify()
    assert shop.people() == {
        frozenset({"crm.customer:1", "sales.account:3"}),
        frozenset({"crm.customer:2", "sales.account:4"}),
    }


CLASHES: dict[str, tuple[Document, Document]] = {
    "first_name": ({"first": "Jane"}, {"first": "Peter"}),
    "title": ({"first": "J", "Title": "Mr"}, {"first": "J", "Title": "Mrs"}),
    "birth_date": ({"first": "Jo", "DateOfBirth": BORN}, {"first": "Jo", "DateOfBirth": BORN_LATER}),
}


@pytest.mark.parametrize("what", CLASHES)
def test_people_who_contradict_each_other_stay_apart_though_they_share_email_and_phone(
    shop: Retailer, what: str
) -> None:
    for number, own in enumerate(CLASHES[what]):
        shop.customer(number, **{"last": "Smith", "Email": "home@x.com", "Phone": "01632 960123", **own})
    shop.identify()
    assert len(shop.people()) == 2


def test_a_placeholder_links_nobody(shop: Retailer) -> None:
    for number, last in enumerate(("Smith", "Jones", "Brown", "Green")):
        shop.customer(number, "Jane", last, Email="noemail@shop.co.uk", Phone="00000000000")
    shop.identify()
    assert shop.links() == {}


def test_an_email_of_too_many_people_is_no_evidence_until_few_enough_have_it_again(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="office@x.com")
    b = shop.customer(2, "Jane", "Smith", Email="office@x.com", Title="Mrs")
    shop.identify()
    assert shop.people() == {frozenset({a, b})}
    others = ("Ann", "Ben", "Cid", "Dan", "Eve", "Fay")
    for number, first in enumerate(others, 10):
        shop.customer(number, first, "Xu", Email="office@x.com")
    shop.identify()
    assert "email_and_name" not in shop.links().get((a, b), [])
    for number, first in enumerate(others, 10):
        shop.customer(number, first, "Xu")
    shop.identify()
    assert shop.links()[a, b][0] == "email_and_name"


def test_a_changed_email_takes_the_link_away(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Smith", Email="j@x.com")
    shop.account(2, "Jane", "Smith", EmailAddress="j@x.com")
    shop.identify()
    assert len(shop.people()) == 1
    shop.customer(1, "Jane", "Smith", Email="new@x.com")
    shop.identify()
    assert shop.links() == {} and len(shop.people()) == 2


# --- any input at all -------------------------------------------------------------------------------------------------


def settled(shop: Retailer) -> None:
    assert None not in shop.customer_ids().values()
    assert not shop.waiting().keys() & {"identity", "match"}


def test_an_empty_estate_has_nobody(shop: Retailer) -> None:
    shop.identify()
    assert shop.people() == set()


def test_a_record_that_says_nothing_of_anybody_is_a_customer_of_its_own_and_flagged(shop: Retailer) -> None:
    for number in (1, 2):
        shop.customer(number, None, None)
    known = shop.customer(3, "Jane", None)
    shop.identify()
    assert len(shop.people()) == 3
    flags = {c["anchor"]: c["identified"] for c in shop.store.identity["clusters"].find({})}
    assert flags == {"crm.customer:1": False, "crm.customer:2": False, known: True}
    shop.customer(1, "Peter", None)
    shop.identify()
    assert shop.store.identity["clusters"].find_one({"anchor": "crm.customer:1"})["identified"] is True


def row(number: int, first: Any, last: Any, **columns: Any) -> Document:
    empty = dict.fromkeys(("Title", "Email", "Phone", "Mobile", "DateOfBirth", "ModifiedAt"))
    return {**empty, "CustomerId": number, "FirstName": first, "Surname": last, **columns}


@pytest.mark.parametrize("many", [500, pytest.param(2_000, marks=pytest.mark.soak)])
def test_many_that_say_the_very_same_are_one_person_and_names_alone_are_not(shop: Retailer, many: int) -> None:
    shop.land("crm.customer", *(row(n, "Jane", "Smith", Email="jane@x.com") for n in range(many)))
    shop.land("crm.customer", *(row(n, "Peter", "Jones") for n in range(many, many + 200)))
    shop.identify()
    settled(shop)
    sizes = sorted(map(len, shop.people()), reverse=True)
    assert sizes[0] == many and sizes[1:] == [1] * 200
    shop.customer(7, "Jane", "Smith", Email="jane@x.com", Phone="01632 960123")
    shop.identify()
    settled(shop)
    assert max(map(len, shop.people())) == many


def test_what_thousands_share_makes_nobody_one_person(shop: Retailer) -> None:
    def name(n: int) -> str:
        return "".join(chr(97 + n // 26**place % 26) for place in range(3))

    shared = {"Email": "office@x.com", "Phone": "01632 960123"}
    people = [row(n, name(n * 7919), name(n * 104729 + 5), **shared) for n in range(3_000)]
    shop.land("crm.customer", *people)
    shop.identify()
    settled(shop)
    assert len(shop.people()) == 3_000
    dead = {d["_id"] for d in shop.store.identity["dead_values"].find({})}
    assert dead == {"emails:office@x.com", "lines:+441632960123"}
    shop.land("crm.customer", {**people[0], "Title": "Mrs"})
    shop.identify()
    settled(shop)
    assert len(shop.people()) == 3_000


STRANGE = [
    "محمد بن سلمان",
    "王小明",
    "👩‍👩‍👧‍👦",
    "\u202eenaJ\u202c\u200f",
    "\x01\x02\x1b[31m",
    "x" * 10_000,
    "O'; drop table record; --",
    "{overlap}|:='\"\\",
    "ß" * 300,
    "\ufeff",
    "İ",
    "𠮷",
]


def test_names_and_contacts_of_any_kind_come_through(shop: Retailer) -> None:
    for number, text in enumerate(STRANGE):
        shop.customer(2 * number, text, text, Email=f"{text}@x.com", Phone=text, Title=text)
        shop.customer(2 * number + 1, text, "Smith", Email=text, Mobile=text)
        address = {"AddressId": number, "CustomerId": 2 * number, "Line1": text, "Town": text, "Postcode": text}
        shop.land("crm.customeraddress", address)
    shop.identify()
    settled(shop)
    assert len(shop.customer_ids()) == 2 * len(STRANGE)


WRONG = [
    0,
    -1,
    2**62,
    1.5,
    float("nan"),
    float("inf"),
    True,
    [],
    ["a", None],
    {"a": {"b": []}},
    b"\x00\xff",
    dt.datetime(1, 1, 1),
    dt.datetime(9999, 12, 31),
]


def test_values_of_wrong_types_are_no_evidence_and_stop_nobody(shop: Retailer) -> None:
    for number, value in enumerate(WRONG):
        everywhere = dict.fromkeys(("Title", "Email", "Phone", "Mobile", "DateOfBirth"), value)
        shop.customer(number, value, value, **everywhere)  # type: ignore[arg-type]
        shop.account(number, value, value, EmailAddress=value, Telephone=value, CrmCustomerId=value)  # type: ignore[arg-type]
        shop.land("crm.customeraddress", {"AddressId": number, "CustomerId": number, "Line1": value, "Postcode": value})
        account = {
            "id": f"W{number}",
            "first_name": value,
            "email": value,
            "date_of_birth": value,
            "customer_number": value,
        }
        if not isinstance(value, (bytes, dt.datetime)):
            shop.land("web.web_account_events", {"account": account, "preferences": {}})
    known = shop.customer(99, "Jane", "Smith", Email="jane@x.com")
    other = shop.account(99, "Jane", "Smith", EmailAddress="jane@x.com")
    shop.identify()
    settled(shop)
    assert frozenset({known, other}) in shop.people()


values = st.one_of(
    st.none(), st.text(max_size=40), st.sampled_from(STRANGE[:5]), st.sampled_from(["Jane", "1980-02-31", "19000101"])
)
several = st.lists(st.text(max_size=20) | st.sampled_from(STRANGE), max_size=3).map(tuple)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.builds(
        Description,
        title=values,
        first=several,
        middle=several,
        last=several,
        full=values,
        emails=several,
        phones=several,
        born=values | st.dates() | st.datetimes(),
        addresses=st.lists(st.builds(PostalAddress, values, values, values, values, values, values), max_size=3).map(
            tuple
        ),
        ids=st.dictionaries(st.just("loyalty_card"), several, max_size=1),
    )
)
def test_any_description_has_a_compared_form_with_keys(described: Description) -> None:
    form = compared_form(described, SETTINGS.values_of_nobody)
    assert form == compared_form(described, SETTINGS.values_of_nobody)
    assert all(form.values()), "what has no value is left out"
    assert not is_more_than_a_name(form) or identifies(form)
    keys = keys_of(form, SETTINGS)
    assert keys == sorted(set(keys)) and all(0 <= int(key.partition(":")[0]) < len(SETTINGS.blocking) for key in keys)
    assert form_hash(form) >= 0


def test_a_record_with_hundreds_of_emails_and_fifty_addresses_is_a_record_like_any(shop: Retailer) -> None:
    emails = tuple(f"jane{n}@x.com" for n in range(300))
    homes = tuple(
        PostalAddress(f"{n} High Street", town="York", postcode=f"YO1 7H{chr(65 + n % 24)}") for n in range(50)
    )
    form = compared_form(
        Description(first=("Jane",), last=("Smith",), emails=emails, addresses=homes), SETTINGS.values_of_nobody
    )
    assert len(form["emails"]) == 300 and len(form["homes"]) == 50
    assert len(keys_of(form, SETTINGS)) < 1_000
    shop.customer(1, "Jane", "Smith")
    for n in range(50):
        address = {"AddressId": n, "CustomerId": 1, "Line1": f"{n} High Street", "Postcode": "YO1 7HH"}
        shop.land("crm.customeraddress", address)
    shop.identify()
    settled(shop)


def test_a_model_from_when_records_were_compared_otherwise_is_replaced(store: Store) -> None:
    shop = Retailer(store)
    shop.customer(1, "Jane", "Smith", Email="jane@x.com")
    shop.account(11, "Jane", "Smith", EmailAddress="jane@x.com")
    shop.run()
    people, version = shop.people(), store.identity["state"].find_one({"_id": "applied"})["model"]
    store.identity["models"].update_one({"_id": version}, {"$unset": {"levels.county": ""}})
    store.identity["state"].update_one({"_id": "normalisation"}, {"$set": {"hash": "of another time"}})
    with pytest.raises(ConfigurationError, match="compared otherwise"):
        stored_model(store, version)
    shop.customer(2, "Peter", "Jones", Email="home@x.com")
    shop.run()
    assert shop.people() == people | {frozenset({"crm.customer:2"})}
    assert shop.waiting() == {}
