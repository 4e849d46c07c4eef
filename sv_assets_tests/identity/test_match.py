"""Links: which rule joins two records, and what keeps them apart."""

import datetime as dt
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sv_assets.identity.clusters import divide
from sv_assets.identity.match import STRENGTH, clash

from sv_assets.identity.party import MAX_SHARED
from sv_assets.mongo import Document, Store
from sv_assets_tests.retailer import Retailer

BORN = dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)
BORN_LATER = dt.datetime(2008, 9, 21, tzinfo=dt.timezone.utc)


@pytest.fixture
def shop(store: Store) -> Retailer:
    return Retailer(store)


def test_email_links_whatever_its_case(shop: Retailer) -> None:
    a, b = (
        shop.customer(1, "Jane", "Smith", Email="jane@x.com"),
        shop.account(2, "J", "Jones", EmailAddress="JANE@X.com"),
    )
    shop.identify()
    assert shop.links() == {(a, b): ["email"]}
    assert shop.people() == {frozenset({a, b})}


def test_phone_and_surname_link_however_the_number_is_written(shop: Retailer) -> None:
    a = shop.customer(1, "Bob", "Smith", Phone="07700 900123")
    b = shop.account(2, "Robert", "SMITH", Telephone="+44 (0)7700-900123")
    shop.account(3, "Bob", "Jones", Telephone="07700900123")
    shop.identify()
    assert shop.links() == {(a, b): ["phone_and_surname"]}


def test_a_number_given_by_the_source_links(shop: Retailer) -> None:
    a, b = shop.customer(1, "Jane", "Smith"), shop.account(2, "Peter", "Jones", CrmCustomerId=1)
    shop.identify()
    assert shop.links() == {(a, b): ["given_by_source"]}


def test_two_accounts_that_name_one_absent_customer_are_one_person(shop: Retailer) -> None:
    a, b = shop.account(1, "Jane", "Smith", CrmCustomerId=9), shop.account(2, "Jane", "Brown", CrmCustomerId=9)
    shop.identify()
    assert shop.links() == {(a, b): ["given_by_source"]}
    c = shop.customer(9, "Jane", "Brown")
    shop.identify()
    assert shop.people() == {frozenset({a, b, c})}


def test_a_link_names_all_its_rules_the_strongest_first(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="j@x.com", Mobile="07700900123")
    b = shop.account(2, "Jane", "Smith", EmailAddress="j@x.com", Telephone="07700900123", CrmCustomerId=1)
    shop.identify()
    assert shop.links() == {(a, b): ["given_by_source", "email", "phone_and_surname"]}


CLASHES = {
    "first_name": ({"FirstName": "Jane"}, {"FirstName": "Peter"}),
    "title": ({"Title": "Mr", "FirstName": "J"}, {"Title": "Mrs", "FirstName": "J"}),
    "date_of_birth": ({"DateOfBirth": BORN}, {"DateOfBirth": BORN_LATER}),
}


@pytest.mark.parametrize("what", CLASHES)
def test_a_clash_keeps_people_apart_who_share_email_and_phone(shop: Retailer, what: str) -> None:
    shared = {"Email": "home@x.com", "Phone": "01632 960123"}
    for number, own in enumerate(CLASHES[what]):
        shop.customer(number, **{"first": "Jo", "last": "Smith", **shared, **own} | _first(own))
    shop.identify()
    assert shop.links() == {}
    assert len(shop.people()) == 2
    one, other = shop.store.identity["party_records"].find({})
    assert clash(one["compared"], other["compared"]) == what


def _first(own: Document) -> Document:
    return {"first": own["FirstName"]} if "FirstName" in own else {}


@pytest.mark.parametrize("what", CLASHES)
def test_a_clash_does_not_refuse_what_the_source_says(shop: Retailer, what: str) -> None:
    own, other = CLASHES[what]
    a = shop.customer(1, own.get("FirstName", "Jo"), "Smith", **own)
    born = {"date_of_birth": other["DateOfBirth"].date().isoformat()} if "DateOfBirth" in other else {}
    title = f"{other['Title']} " if "Title" in other else ""
    account = {"id": "W1", "first_name": title + other.get("FirstName", "Jo"), "last_name": "Smith", **born}
    shop.land("web.web_account_events", {"account": {**account, "customer_number": 1}, "preferences": {}})
    shop.identify()
    assert shop.people() == {frozenset({a, "web.web_account_events:W1"})}


def test_a_household_shares_an_email_and_stays_two_people(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Smith", Email="thesmiths@x.com", Phone="01632 960123")
    shop.customer(2, "Peter", "Smith", Email="thesmiths@x.com", Phone="01632 960123")
    shop.account(3, "Jane", "Smith", EmailAddress="thesmiths@x.com")
    shop.account(4, "Pete", "Smith", EmailAddress="thesmiths@x.com")
    shop.identify()
    assert shop.people() == {
        frozenset({"crm.customer:1", "sales.account:3"}),
        frozenset({"crm.customer:2", "sales.account:4"}),
    }


def test_father_and_son_of_one_name_stay_apart_though_a_third_record_matches_both(shop: Retailer) -> None:
    father = shop.customer(1, "John", "Smith", Phone="01632960123", DateOfBirth=BORN)
    son = shop.customer(2, "John", "Smith", Phone="01632960123", DateOfBirth=BORN_LATER)
    unknown = shop.account(3, "John", "Smith", Telephone="01632960123")
    shop.identify()
    assert {(father, unknown), (son, unknown)} <= shop.links().keys()
    ids = shop.customer_ids()
    assert ids[father] != ids[son]
    assert ids[unknown] in (ids[father], ids[son])


def test_a_placeholder_email_links_nobody(shop: Retailer) -> None:
    for number in range(4):
        shop.customer(number, "Jane", "Smith", Email="noemail@shop.co.uk", Phone="00000000000")
    shop.identify()
    assert shop.links() == {}


def test_what_too_many_share_is_no_evidence(shop: Retailer) -> None:
    for number in range(MAX_SHARED):
        shop.customer(number, "Jane", f"Smith{chr(97 + number % 26)}", Email="office@x.com")
    shop.identify()
    assert len(shop.people()) == 1
    shop.customer(999, "Jane", "Doe", Email="office@x.com")
    shop.identify()
    assert shop.links() == {}
    assert len(shop.people()) == MAX_SHARED + 1


def test_what_few_enough_share_again_is_evidence_again(shop: Retailer) -> None:
    for number in range(MAX_SHARED + 1):
        shop.customer(number, "Jane", "Smith", Email="office@x.com")
    shop.identify()
    assert len(shop.people()) == MAX_SHARED + 1
    shop.customer(0, "Jane", "Smith", Email="mine@x.com")
    shop.identify()
    assert len(shop.people()) == 2


def test_a_changed_email_takes_the_link_away(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Smith", Email="j@x.com")
    shop.account(2, "Jane", "Smith", EmailAddress="j@x.com")
    shop.identify()
    assert len(shop.people()) == 1
    shop.customer(1, "Jane", "Smith", Email="new@x.com")
    shop.identify()
    assert shop.links() == {}
    assert len(shop.people()) == 2


# --- divide, without a server ----------------------------------------------------------------------------------------

compared = st.fixed_dictionaries(
    {
        "first": st.sampled_from([None, "john", "jane", "j"]),
        "gender": st.sampled_from([None, "m", "f"]),
        "born": st.sampled_from([None, "1980-03-07", "2008-09-21"]),
    }
)


@st.composite
def components(draw: st.DrawFn) -> tuple[dict[str, Document], list[Document]]:
    names = [f"r{n}" for n in range(draw(st.integers(2, 7)))]
    records = {name: {"_id": name, "compared": draw(compared)} for name in names}
    links = [
        {"_id": f"{a}|{b}", "ends": [a, b], "rules": draw(st.sampled_from([[rule] for rule in STRENGTH]))}
        for a, b in draw(st.lists(st.sampled_from(list(combinations(names, 2))), max_size=10, unique=True))
    ]
    return records, links


@given(components(), st.randoms())
def test_division_does_not_depend_on_the_order_of_records_and_links(
    component: tuple[dict[str, Document], list[Document]], chance: "st.Random"
) -> None:
    records, links = component
    expected = divide(records, links)
    names, shuffled = list(records), list(links)
    chance.shuffle(names)
    chance.shuffle(shuffled)
    assert divide({name: records[name] for name in names}, shuffled) == expected


@given(components())
def test_every_record_is_in_one_part_and_no_part_holds_a_clash_that_no_source_vouches_for(
    component: tuple[dict[str, Document], list[Document]],
) -> None:
    records, links = component
    parts = divide(records, links)
    assert sorted(r for part in parts for r in part) == sorted(records)
    told = divide(records, [link for link in links if link["rules"] == ["given_by_source"]])
    for part in parts:
        groups = [group for group in told if set(group) <= set(part)]
        for one, other in combinations(groups, 2):
            assert not any(clash(records[a]["compared"], records[b]["compared"]) for a in one for b in other)


@settings(max_examples=50)
@given(components(), components())
def test_unconnected_components_do_not_touch_each_other(
    one: tuple[dict[str, Document], list[Document]], other: tuple[dict[str, Document], list[Document]]
) -> None:
    renamed = {f"s{name}": {**record, "_id": f"s{name}"} for name, record in other[0].items()}
    links = [
        {**link, "_id": "|".join(f"s{e}" for e in link["ends"]), "ends": [f"s{e}" for e in link["ends"]]}
        for link in other[1]
    ]
    together = divide({**one[0], **renamed}, [*one[1], *links])
    assert together == sorted([*divide(*one), *divide(renamed, links)])
