"""Finding somebody: from whatever a caller says, however it is written, by one equality on an index."""

import datetime as dt
from typing import Any

import pytest

from sv_assets.contact_centre.calls import refresh_calls
from sv_assets.contact_centre.cards import refresh_cards
from sv_assets.customers import find, history
from sv_assets.customers.queries import INDEXES, QUERIES, SAMPLES, plans
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Store
from sv_assets.privacy.rights import rectify
from sv_assets_tests.retailer import OFFICER, Retailer, day

HOME = {"AddressType": "home", "Line1": "Flat 3, 12a High St", "Town": "Derby", "Postcode": "SW1A 1AA"}


def opened(store: Store) -> Retailer:
    """Jane, with all that she can be found by, and Peter."""
    shop = Retailer(store)
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", Mobile="07700 900123", ModifiedAt=day(1))
    shop.land("crm.customeraddress", {"AddressId": 7, "CustomerId": 1, **HOME, "ValidFrom": day(0), "ValidTo": None})
    shop.account(11, "Jane", "Smith", EmailAddress="JANE@x.com")
    shop.order(101, AccountId=11)
    event = {"event_id": "E1", "order_number": "SO101", "status": "dispatched", "occurred_at": "2026-11-02T08:00:00Z"}
    shop.land("delivery.delivery_events", {**event, "parcel": 1, "sequence": 1, "delivery_reference": "DR-77/1"})
    shop.customer(2, "Peter", "Jones", Email="home@x.com", Mobile="07700 911123")
    shop.run()
    return shop


@pytest.fixture
def shop(store: Store) -> Retailer:
    return opened(store)


@pytest.fixture(scope="module")
def seen(shared_store: Store) -> Retailer:
    """The same, for tests that only look."""
    return opened(shared_store)


def names(results: list[find.Found]) -> list[str]:
    return [result.customer["name"]["value"]["first"] for result in results]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"email": " Jane@X.COM "}, "e-mail address"),
        ({"phone": "07700900123"}, "phone number"),
        ({"phone": "+44 7700 900123"}, "phone number"),
        ({"phone": "0044 (0)7700 900-123"}, "phone number"),
        ({"phone": "900123"}, "last digits of the phone number"),
        ({"phone": "…0 900 123"}, "last digits of the phone number"),
        ({"order": " so-101 "}, "order number"),
        ({"delivery": "dr77 1"}, "delivery reference"),
        ({"account": "11"}, "account number"),
        ({"account": "crm.customer:1"}, "record"),
        ({"postcode": "sw1a1aa"}, "postcode"),
        ({"postcode": "SW1A 1AA", "surname": "SMITH"}, "postcode and surname"),
        ({"postcode": "SW1A 1AA", "name": "Mrs Jane Smith"}, "postcode and surname"),
        ({"postcode": "SW1A 1AA", "house": "12A"}, "postcode and house number"),
        ({"postcode": "SW1A 1AA", "house": "Flat 3, 12a High Street"}, "postcode and house number"),
        ({"name": "jane SMITH", "town": "derby"}, "name and town"),
    ],
)
def test_somebody_is_found_by_whatever_they_say_however_they_write_it(
    seen: Retailer, said: dict[str, str], reason: str
) -> None:
    (result,) = find.customers(seen.store, **said, actor=OFFICER)
    assert (names([result]), result.reason) == (["Jane"], reason)


@pytest.mark.parametrize(
    "said",
    [
        {"email": "who@x.com"},
        {"phone": "07700900999"},
        {"phone": "900999"},
        {"order": "SO9"},
        {"delivery": "DR"},
        {"account": "99"},
        {"account": "crm.customer:99"},
        {"customer": "C0"},
        {"postcode": "SW1A 1AA", "surname": "Jones"},
        {"postcode": "SW1A 1AA", "house": "13"},
        {"name": "John Smith", "town": "Derby"},
    ],
)
def test_nobody_is_found_by_what_is_nobodys(seen: Retailer, said: dict[str, str]) -> None:
    assert find.customers(seen.store, **said, actor=OFFICER) == []


def test_who_shares_an_email_is_found_with_all_the_others_the_latest_in_touch_first(shop: Retailer) -> None:
    shop.customer(3, "Zoe", "Smith", Email="jane@x.com")
    shop.run()
    assert names(find.customers(shop.store, email="jane@x.com", actor=OFFICER)) == ["Jane", "Zoe"]


def test_who_fits_more_of_what_was_said_comes_first_with_all_reasons(seen: Retailer) -> None:
    results = find.customers(
        seen.store,
        email="home@x.com",
        phone="900123",
        postcode="SW1A 1AA",
        surname="Smith",
        order="SO101",
        actor=OFFICER,
    )
    assert names(results) == ["Jane", "Peter"]
    assert results[0].reasons == ("order number", "postcode and surname", "last digits of the phone number")
    assert results[0].strength > results[1].strength


def test_what_many_share_does_not_crowd_out_who_is_meant(shop: Retailer) -> None:
    (jane,) = find.customers(shop.store, email="jane@x.com", actor=OFFICER)
    others = [
        {**jane.customer, "_id": f"A{n:03}", "keys": ["postcode:SW1A 1AA", "postcode_house:SW1A 1AA 12a"]}
        for n in range(2 * find.MOST)
    ]
    shop.store.single_view["customers"].insert_many(others)
    results = find.customers(shop.store, postcode="SW1A 1AA", house="12a", email="jane@x.com", actor=OFFICER)
    assert (len(results), results[0].customer["_id"]) == (find.MOST, jane.customer["_id"])


def test_an_id_that_was_merged_finds_the_customer_that_it_became(shop: Retailer) -> None:
    ids = shop.customer_ids()
    shop.customer(2, "Jane", "Smith", Email="jane@x.com")
    shop.run()
    one = shop.the_customer()["_id"]
    assert [r.customer["_id"] for i in ids.values() for r in find.customers(shop.store, customer=i, actor=OFFICER)] == [
        one
    ] * 3
    assert find.by_id(shop.store, "C0", actor=OFFICER) is None


def test_of_those_who_share_a_number_the_one_of_that_name_comes_first(shop: Retailer) -> None:
    shop.customer(3, "Zoe", "Smith", Email="jane@x.com")
    shop.run()
    results = find.customers(shop.store, email="jane@x.com", name="Ms Zoe Smith", actor=OFFICER)
    assert [(result.customer["name"]["value"]["first"], result.reasons) for result in results] == [
        ("Zoe", ("e-mail address", "name")),
        ("Jane", ("e-mail address",)),
    ]


def test_a_house_without_a_number_is_found_by_its_name(shop: Retailer) -> None:
    for number, line in enumerate(("Rose Cottage, High St", "The Old Mill, Mill Lane", "Roseneath, High St"), start=11):
        home = {**HOME, "Line1": line, "Postcode": "DE1 1AA", "ValidFrom": day(9), "ValidTo": None}
        shop.customer(number, f"Name{number}", "Other", Email=f"{number}@x.com")
        shop.land("crm.customeraddress", {"AddressId": number, "CustomerId": number, **home})
    shop.run()
    said = ("Rose Cottage", "rose cottage, High Street", "The Old Mill", "Roseneath")
    found = [find.customers(shop.store, postcode="DE1 1AA", house=house, actor=OFFICER) for house in said]
    assert [names(results) for results in found] == [["Name11"], ["Name11"], ["Name12"], ["Name13"]]


def test_a_name_of_one_record_is_found_with_the_town_of_another_or_after_it_was_put_right(shop: Retailer) -> None:
    shop.account(11, "Janet", "Smith", EmailAddress="JANE@x.com")
    shop.run()
    jane = shop.customer_ids()["crm.customer:1"]
    rectify(shop.store, jane, "name", {"first": "June", "last": "Doe"}, actor="Ann", evidence="deed poll")
    shop.run()
    for name in ("Janet Smith", "June Doe"):
        (result,) = find.customers(shop.store, name=name, town="Derby", actor=OFFICER)
        assert result.customer["_id"] == shop.customer_ids()["crm.customer:1"]


def test_an_order_of_a_customer_that_was_merged_this_moment_finds_the_one_it_became(shop: Retailer) -> None:
    before = set(shop.customer_ids().values())
    shop.customer(2, "Jane", "Smith", Email="jane@x.com")
    shop.run()
    one = shop.the_customer()["_id"]
    (merged,) = before - {one}
    shop.store.single_view["orders"].update_one({"_id": "sales.orderheader:101"}, {"$set": {"customer_id": merged}})
    results = find.customers(shop.store, order="SO101", actor=OFFICER)
    assert [(r.customer["_id"], r.reason) for r in results] == [(one, "order number")]


@pytest.mark.parametrize("odd", [{"$gt": ""}, ["C1"], 7, b"C1", "\udcff"])
def test_what_is_no_text_finds_nobody(seen: Retailer, odd: Any) -> None:
    for part in ("customer", "order", "email", "account"):
        with pytest.raises(ConfigurationError, match=f"as {part} is no text"):
            find.customers(seen.store, **{part: odd}, actor=OFFICER)
    with pytest.raises(ConfigurationError, match="no text"):
        find.by_id(seen.store, odd, actor=OFFICER)
    with pytest.raises(ConfigurationError, match="no text"):
        history.as_of(seen.store, odd, day(9999), actor=OFFICER)
    with pytest.raises(ConfigurationError, match="no text"):
        history.entries_of(seen.store, odd, actor=OFFICER)


@pytest.mark.parametrize(
    "said",
    [
        {"email": "jane"},
        {"phone": "55"},
        {"postcode": " - "},
        {"surname": "Quirk"},
        {"house": "99"},
        {"postcode": "SW1A 1AA", "house": "?!"},
        {"order": " - "},
        {"delivery": "/"},
        {"account": "#"},
        {"name": "Quirk"},
        {},
    ],
)
def test_what_cannot_be_looked_for_is_said_without_the_value(store: Store, said: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as error:
        find.customers(store, **said, actor=OFFICER)
    assert not any(value in str(error.value) for value in said.values())


def test_every_declared_query_is_answered_by_an_index(shop: Retailer) -> None:
    born = dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)
    # One merge, so that there is an alias and a history.
    shop.customer(2, "Jane", "Smith", Email="jane@x.com", DateOfBirth=born)
    shop.land(
        "crm.contactpreference", {"CustomerId": 1, "Purpose": "m", "Channel": "e", "OptedIn": 1, "RecordedAt": day(1)}
    )
    call = {
        "CallId": 1,
        "CustomerNumber": 1,
        "StartedAt": day(2),
        "Reason": "x",
        "DurationSeconds": 9,
        "OrderNumber": None,
    }
    shop.land("contactcentre.call", call)
    shop.run()
    refresh_cards(shop.store)
    refresh_calls(shop.store)
    find.customers(shop.store, email="jane@x.com", actor=OFFICER)
    found = list(plans(shop.store))
    assert [plan.query for plan in found] == list(QUERIES)
    assert [(plan.query.name, plan.fault) for plan in found if plan.fault] == []


def test_a_query_without_its_index_is_found_out(shop: Retailer) -> None:
    shop.store.single_view["customers"].drop_indexes()
    for n in range(10):
        shop.store.single_view["orders"].insert_one({"_id": str(n), "keys": ["order:1"]})
    faults = {plan.query.name: plan.fault for plan in plans(shop.store) if plan.fault}
    assert faults["customers by e-mail address"] == "scans the collection"


def test_a_query_by_what_few_have_is_explained_too(store: Store) -> None:
    orders = store.single_view["orders"]
    orders.insert_many({"_id": f"{n:04}", "keys": [f"order:{n}"]} for n in range(SAMPLES))
    orders.insert_one({"_id": "9999", "keys": ["delivery:dr1", "order:9999"]})
    explained = {plan.query.name: plan.fault for plan in plans(store)}
    assert explained["orders by delivery reference"] == "scans the collection"
    orders.create_indexes(INDEXES["orders"])
    explained = {plan.query.name: plan.fault for plan in plans(store)}
    assert explained["orders by delivery reference"] is None


def test_a_query_by_what_nobody_has_is_explained_all_the_same(store: Store) -> None:
    for n in range(10):
        store.single_view["customers"].insert_one({"_id": str(n)})
    faults = {plan.query.name: plan.fault for plan in plans(store)}
    assert faults["customers by e-mail address"] == "scans the collection"
    assert faults["a customer by its id"] is None
    assert "orders by order number" not in faults, "there are none"
