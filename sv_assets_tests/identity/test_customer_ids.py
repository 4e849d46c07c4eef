"""Customer ids: kept for life, through merges, splits, deletions, and work done in any portions."""

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sv_assets.identity.customer_ids import mint, resolve
from sv_assets.identity.party import refresh_party_records
from sv_assets.mongo import Store
from sv_assets_tests.examples import examples
from sv_assets_tests.retailer import Retailer, written

BORN = {"DateOfBirth": dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)}
BORN_LATER = {"DateOfBirth": dt.datetime(2008, 9, 21, tzinfo=dt.timezone.utc)}


@pytest.fixture
def shop(store: Store) -> Retailer:
    return Retailer(store)


def test_ids_are_the_same_after_a_run_over_nothing_new_and_over_everything(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Smith", Email="j@x.com")
    shop.account(2, "Jane", "Smith", EmailAddress="j@x.com")
    shop.customer(3, "Peter", "Jones")
    shop.identify()
    before = shop.customer_ids()
    assert written(shop.identify()) == 0
    assert written([refresh_party_records(shop.store, shop.catalogue, full=True)]) == 0
    shop.land(
        "crm.customer", *({**shop.store.landing["crm.customer"].find_one({"_id": n}), "Phone": "1"} for n in (1, 3))
    )
    shop.identify()
    assert shop.customer_ids() == before


def test_an_id_says_nothing_about_its_customer_and_reads_well(shop: Retailer) -> None:
    record = shop.customer(1, "Jane", "Smith")
    shop.identify()
    (identifier,) = shop.customer_ids().values()
    assert identifier == mint(record, [])
    assert len(identifier) == 17
    assert set(identifier) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert mint(record, [identifier]) != identifier


def test_of_two_customers_that_become_one_the_older_keeps_its_id(shop: Retailer) -> None:
    for younger, older in ((1, 2), (4, 3)):
        old = shop.customer(older, "Jane", "Smith", Email=f"{older}@x.com")
        shop.identify()
        new = shop.customer(younger, "Jane", "Smith")
        shop.identify()
        before = shop.customer_ids()
        shop.customer(younger, "Jane", "Smith", Email=f"{older}@x.com")
        shop.identify()
        after = shop.customer_ids()
        assert after[old] == after[new] == before[old]
        assert resolve(shop.store, before[new]) == before[old]
        assert resolve(shop.store, before[old]) == before[old]
        event = shop.store.identity["events"].find_one({"_id": f"merged:{before[new]}"})
        assert event["customer_ids"] == [before[old], before[new]]
        assert event["evidence"] == [{"between": sorted([old, new]), "rules": ["identical"]}]


def test_an_alias_of_an_alias_resolves_in_one_step(shop: Retailer) -> None:
    c = shop.customer(1, "Jane", "Smith", Email="a@x.com")
    shop.identify()
    b = shop.customer(2, "Jane", "Smith", Email="b@x.com")
    shop.identify()
    a = shop.customer(3, "Jane", "Smith", Email="c@x.com")
    shop.identify()
    ids = shop.customer_ids()
    shop.customer(3, "Jane", "Smith", Email="b@x.com")
    shop.identify()
    assert resolve(shop.store, ids[a]) == ids[b]
    shop.customer(1, "Jane", "Smith", Email="b@x.com")
    shop.identify()
    assert {shop.customer_ids()[r] for r in (a, b, c)} == {ids[c]}
    aliases = {d["_id"]: d["customer_id"] for d in shop.store.identity["aliases"].find({})}
    assert aliases == {ids[a]: ids[c], ids[b]: ids[c]}


def test_the_part_with_the_anchor_keeps_the_id_and_the_other_gets_a_new_one(shop: Retailer) -> None:
    anchor = shop.customer(1, "Jane", "Smith", Email="j@x.com")
    shop.identify()
    other = shop.account(2, "Jane", "Smith", EmailAddress="j@x.com")
    shop.identify()
    together = shop.customer_ids()[anchor]
    assert shop.customer_ids()[other] == together
    shop.customer(1, "Jane", "Smith", Email="new@x.com")
    shop.identify()
    apart = shop.customer_ids()
    assert apart[anchor] == together
    assert apart[other] != together
    (event,) = shop.events("split")
    assert event["customer_ids"] == [apart[other], together]
    assert event["records"] == [other]


def test_an_id_that_was_used_is_not_given_again(shop: Retailer) -> None:
    anchor, other = shop.customer(1, "Jane", "Smith", Email="a@x.com"), shop.account(2, "Jane", "Smith")
    used = set()
    for n in range(3):
        shop.account(2, "Jane", "Smith", EmailAddress=f"{n}@x.com")
        shop.identify()
        apart = shop.customer_ids()
        assert apart[other] not in used | {apart[anchor]}
        used.add(apart[other])
        shop.customer(1, "Jane", "Smith", Email=f"{n}@x.com")
        shop.identify()
        assert shop.customer_ids()[other] == apart[anchor]
    assert all(resolve(shop.store, identifier) == apart[anchor] for identifier in used)


def test_a_record_that_goes_over_to_another_customer_is_an_event(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="a@x.com")
    b = shop.customer(2, "Jane", "Smith", Email="b@x.com")
    moving = shop.account(3, "Jane", "Smith", EmailAddress="a@x.com")
    shop.identify()
    shop.account(3, "Jane", "Smith", EmailAddress="b@x.com")
    before = shop.customer_ids()
    shop.identify()
    assert shop.customer_ids() == {a: before[a], b: before[b], moving: before[b]}
    (event,) = shop.events("moved")
    assert event["customer_ids"] == [before[b], before[a]]
    assert event["records"] == [moving]
    assert event["evidence"] == [{"between": sorted([b, moving]), "rules": ["identical"]}]


def test_a_deleted_record_leaves_its_customer(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith", Email="j@x.com")
    b = shop.account(2, "Jane", "Smith", EmailAddress="j@x.com")
    shop.identify()
    identifier = shop.customer_ids()[a]
    shop.delete("crm.customer", 1)
    shop.identify()
    assert shop.customer_ids() == {b: identifier}
    assert shop.links() == {}
    assert shop.store.identity["clusters"].find_one({"_id": identifier})["records"] == [b]


def test_a_customer_without_records_is_closed_and_opens_again_when_one_comes_back(shop: Retailer) -> None:
    a = shop.customer(1, "Jane", "Smith")
    shop.identify()
    identifier = shop.customer_ids()[a]
    shop.delete("crm.customer", 1)
    shop.identify()
    assert shop.customer_ids() == {}
    assert shop.store.identity["clusters"].find_one({"_id": identifier})["state"] == "closed"
    assert [event["customer_ids"] for event in shop.events("closed")] == [[identifier]]
    shop.customer(1, "Jane", "Smith")
    shop.identify()
    assert shop.customer_ids() == {a: identifier}
    shop.delete("crm.customer", 1)
    shop.identify()
    assert len(shop.events("closed")) == 2


def test_a_row_deleted_before_it_was_ever_seen_leaves_no_record(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Smith")
    shop.delete("crm.customer", 1)
    shop.identify()
    assert list(shop.store.identity["party_records"].find({})) == []
    assert shop.waiting() == {}


def test_a_changed_address_reaches_the_person_it_left_and_the_one_it_came_to(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Smith")
    shop.customer(2, "Peter", "Smith")
    address = {"AddressId": 7, "AddressType": "home", "Line1": "1 High St", "Postcode": "SW1A 1AA"}
    shop.land("crm.customeraddress", {**address, "CustomerId": 1})
    shop.identify()
    assert _addresses(shop) == {1: ["1 High St"], 2: []}
    shop.land("crm.customeraddress", {**address, "CustomerId": 2, "Line1": "2 High St"})
    shop.identify()
    assert _addresses(shop) == {1: [], 2: ["2 High St"]}
    shop.delete("crm.customeraddress", 7)
    shop.identify()
    assert _addresses(shop) == {1: [], 2: []}


def _addresses(shop: Retailer) -> dict[int, list[str]]:
    return {r["key"]: [a["line_1"] for a in r["addresses"]] for r in shop.store.identity["party_records"].find({})}


# --- any portions ----------------------------------------------------------------------------------------------------

emails = st.sampled_from([None, "a@x.com", "b@x.com", "noemail@x.com"])
phones = st.sampled_from([None, "07700 900123", "01632 960123"])
rows = st.fixed_dictionaries(
    {
        "first": st.sampled_from(["John", "Jon", "J", "Mary", None]),
        "last": st.sampled_from(["Smith", "Jones"]),
        "email": emails,
        "phone": phones,
        "born": st.sampled_from([{}, BORN, BORN_LATER]),
        "refers": st.sampled_from([None, None, 1, 2]),
    }
)
changes = st.tuples(st.sampled_from(["crm", "sales"]), st.integers(1, 4), rows | st.none())
histories = st.lists(st.lists(changes, min_size=1, max_size=5), min_size=1, max_size=6)


@contextmanager
def another(store: Store) -> Iterator[Retailer]:
    """A store of its own on the same server."""
    opened = Store(store.client, f"{store.prefix}{uuid.uuid4().hex[:6]}_")
    try:
        yield Retailer(opened)
    finally:
        for database in opened.databases():
            store.client.drop_database(database.name)


def apply(shop: Retailer, system: str, number: int, row: dict[str, Any] | None) -> None:
    if row is None:
        shop.delete("crm.customer" if system == "crm" else "sales.account", number)
    elif system == "crm":
        shop.customer(number, row["first"], row["last"], Email=row["email"], Phone=row["phone"], **row["born"])
    else:
        contact = {"EmailAddress": row["email"], "Telephone": row["phone"], "CrmCustomerId": row["refers"]}
        shop.account(number, row["first"], row["last"], **contact)


@settings(
    max_examples=examples(5),
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(histories)
def test_work_done_in_any_portions_ends_with_the_same_people(store: Store, history: list[list[Any]]) -> None:
    with another(store) as shop, another(store) as at_once:
        final: dict[tuple[str, int], Any] = {}
        ever: set[str] = set()
        for portion in history:
            before = shop.customer_ids()
            for system, number, row in portion:
                apply(shop, system, number, row)
                final[system, number] = row
            shop.identify()
            check_changes_of_ids(shop, before, ever)
            assert not shop.waiting().keys() & {"identity", "match"}
        for (system, number), row in final.items():
            if row is not None:
                apply(at_once, system, number, row)
        at_once.identify()
        assert shop.people() == at_once.people()
        assert shop.links() == at_once.links()


def check_changes_of_ids(shop: Retailer, before: dict[str, str], ever: set[str]) -> None:
    after = shop.customer_ids()
    assert None not in after.values(), "every live record has a customer"
    events = list(shop.store.identity["events"].find({}))
    for record in before.keys() & after.keys():
        if before[record] != after[record]:
            assert any({before[record], after[record]} <= set(event["customer_ids"]) for event in events)
    clusters = {c["_id"]: c for c in shop.store.identity["clusters"].find({})}
    alive = {identifier: c["records"] for identifier, c in clusters.items() if c["state"] == "active"}
    assert alive == {i: sorted(r for r in after if after[r] == i) for i in set(after.values())}
    for identifier in ever - alive.keys():
        final = clusters[resolve(shop.store, identifier)]["state"]
        assert final in ("active", "closed")
        assert (clusters[identifier]["state"] == "merged") == (resolve(shop.store, identifier) != identifier)
    ever |= alive.keys()
    assert ever <= clusters.keys(), "no id is ever forgotten"
