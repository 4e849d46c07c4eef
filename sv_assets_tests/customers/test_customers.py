"""The customer collection, and finding somebody in it."""

from typing import Any

import bson
import pytest
from pymongo.errors import WriteError

from sv_assets.customers import find
from sv_assets.customers.customers import prepare, refresh_customers
from sv_assets.customers.schema import validator
from sv_assets.mongo import CODEC, Document, Store
from sv_assets.privacy.rights import rectify
from sv_assets_tests.retailer import OFFICER, Retailer, day, written

HOME = {"AddressType": "home", "Line1": "1 High St", "Postcode": "SW1A 1AA", "ValidFrom": day(0), "ValidTo": None}


@pytest.fixture
def shop(store: Store) -> Retailer:
    shop = Retailer(store)
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", Mobile="07700 900123", ModifiedAt=day(1))
    shop.land("crm.customeraddress", {"AddressId": 7, "CustomerId": 1, **HOME})
    shop.land("crm.contactpreference", preference(1, 1))
    shop.account(11, "Jane", "Smith", EmailAddress="JANE@x.com")
    shop.order(101, AccountId=11)
    shop.customer(2, "Peter", "Jones", Email="home@x.com")
    return shop


def preference(customer: int, opted_in: int) -> Document:
    return {
        "CustomerId": customer,
        "Purpose": "marketing",
        "Channel": "email",
        "OptedIn": opted_in,
        "RecordedAt": day(2),
    }


def found(results: list[find.Found]) -> list[str]:
    return [result.customer["name"]["value"]["first"] for result in results]


def provenances(value: Any) -> list[Document]:
    """Everything in a document that says where it is from."""
    if isinstance(value, list):
        return [p for item in value for p in provenances(item)]
    if not isinstance(value, dict):
        return []
    here = [value] if {"system", "table", "key", "version"} <= value.keys() else []
    return here + [p for item in value.values() for p in provenances(item)]


def test_every_provenance_points_at_a_landed_row_of_that_version(shop: Retailer) -> None:
    shop.run()
    pointed = [p for document in shop.customers().values() for p in provenances(document)]
    for provenance in pointed:
        source = shop.catalogue.find(provenance["system"], provenance["table"])
        assert source is not None
        row = shop.store.landing[source.key].find_one({"_id": provenance["key"]})
        assert row is not None
        assert provenance["version"] in (row["_sv"]["version"], row["_sv"]["hash"])
    assert {p["table"] for p in pointed} == {
        "dbo.Customer",
        "dbo.CustomerAddress",
        "dbo.ContactPreference",
        "dbo.Account",
        "dbo.OrderHeader",
    }


def test_every_value_says_where_it_is_from(shop: Retailer) -> None:
    shop.run()
    jane = find.customers(shop.store, email="jane@x.com", actor=OFFICER)[0].customer
    for name in ("emails", "phones", "addresses"):
        assert all(provenances(item) for item in jane[name]), name
    for item in (jane["name"], *jane["consents"]):
        assert {"system", "table", "key", "version", "rule"} <= item.keys()
    assert all(provenances(item) for item in jane["orders"]["latest"])


def test_a_second_run_and_a_full_one_write_nothing(shop: Retailer) -> None:
    shop.run()
    before = {i: bson.encode(d, codec_options=CODEC) for i, d in shop.customers().items()}
    assert written(shop.run()) == 0
    full = refresh_customers(shop.store, shop.catalogue, full=True)
    assert (full.read, full.written) == (2, 0)
    assert {i: bson.encode(d, codec_options=CODEC) for i, d in shop.customers().items()} == before
    assert shop.waiting() == {}


def test_only_the_customer_that_changed_is_written(shop: Retailer) -> None:
    shop.run()
    shop.customer(2, "Pete", "Jones", Email="home@x.com")
    report = shop.run()[-1]
    assert (report.read, report.updated, report.written) == (1, 1, 1)


def test_an_address_that_was_put_right_counts_says_so_and_is_found(shop: Retailer) -> None:
    shop.run()
    jane = shop.customer_ids()["crm.customer:1"]
    right = {"line_1": "9 New Rd", "town": "Derby", "postcode": "DE1 1AA"}
    made = rectify(shop.store, jane, "address", right, actor="Ann", evidence="letter")
    shop.run()
    address = shop.customers()[jane]["address"]
    assert (address["value"], address["rule"]) == (right, "rectified")
    assert (address["system"], address["key"]) == ("privacy", made["_id"])
    assert [r.customer["_id"] for r in find.customers(shop.store, postcode="DE1 1AA", house="9", actor=OFFICER)] == [
        jane
    ]


@pytest.mark.parametrize("of", ["preference", "address"])
def test_what_hangs_on_a_person_reaches_their_document_and_leaves_it(shop: Retailer, of: str) -> None:
    shop.run()
    jane = find.customers(shop.store, email="jane@x.com", actor=OFFICER)[0].customer
    assert (len(jane["consents"]), len(jane["addresses"])) == (1, 1)
    if of == "preference":
        shop.land("crm.contactpreference", preference(1, 0))
        shop.run()
        assert (
            find.customers(shop.store, email="jane@x.com", actor=OFFICER)[0].customer["consents"][0]["granted"] is False
        )
        shop.delete("crm.contactpreference", '[1,"marketing","email"]')
    else:
        shop.delete("crm.customeraddress", 7)
    shop.run()
    jane = find.customers(shop.store, email="jane@x.com", actor=OFFICER)[0].customer
    assert (len(jane["consents"]), len(jane["addresses"])) == ((0, 1) if of == "preference" else (1, 0))


def test_the_strictest_consent_holds_for_all_records_of_a_customer(shop: Retailer) -> None:
    account = {"id": "W1", "email": "jane@x.com", "first_name": "Jane", "last_name": "Smith"}
    body = {"account": account, "version": 1, "preferences": {"email": False, "sms": True}, "occurred_at": "2026-11-01"}
    shop.land("web.web_account_events", body)
    shop.run()
    jane = find.customers(shop.store, email="jane@x.com", actor=OFFICER)[0].customer
    assert [(c["channel"], c["granted"], c["system"]) for c in jane["consents"]] == [
        ("email", False, "web"),
        ("sms", True, "web"),
    ]


def test_the_document_goes_when_the_customer_is_closed_and_the_id_still_answers_after_a_merge(shop: Retailer) -> None:
    shop.run()
    ids = shop.customer_ids()
    shop.customer(2, "Jane", "Smith", Email="jane@x.com")
    shop.run()
    one = {name: value for name, value in shop.the_customer().items() if name != "_sv"}
    assert [find.by_id(shop.store, identifier, actor=OFFICER) for identifier in ids.values()] == [one] * 3
    for number in (1, 2):
        shop.delete("crm.customer", number)
    shop.delete("sales.account", 11)
    shop.run()
    assert shop.customers() == {}
    assert [find.by_id(shop.store, identifier, actor=OFFICER) for identifier in ids.values()] == [None] * 3
    assert find.customers(shop.store, order="SO101", actor=OFFICER) == []


@pytest.mark.parametrize("field", sorted(set(validator()["$jsonSchema"]["required"]) - {"_id"}))
def test_the_collection_refuses_a_document_without(shop: Retailer, field: str) -> None:
    shop.run()
    document = find.customers(shop.store, email="jane@x.com", actor=OFFICER)[0].customer
    prepare(shop.store)
    with pytest.raises(WriteError):
        shop.store.single_view["customers"].insert_one({k: v for k, v in document.items() if k != field} | {"_id": "C"})
