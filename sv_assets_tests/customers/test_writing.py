"""Writing customers: beside other runs, over what is there, and around what the collection refuses."""

from collections.abc import Callable
from typing import Any

import bson
import pytest
from bson import Decimal128

from sv_assets.customers import customers as station
from sv_assets.customers import enrichments, writing
from sv_assets.customers.compose import rules_of
from sv_assets.customers.customers import Composer, rebuild_customers, refresh_customers
from sv_assets.customers.enrichments import enrich
from sv_assets.customers.schema import validator
from sv_assets.errors import ConfigurationError
from sv_assets.identity.customer_ids import BUCKETS, bucket_of
from sv_assets.identity.decisions import merge
from sv_assets.mongo import CODEC, Document
from sv_assets_tests.retailer import Retailer, day, written


class SlowRun:
    """A run that has read and composed everybody, and has not written yet."""

    def __init__(self, shop: Retailer) -> None:
        self._composer = Composer(shop.store, rules_of(shop.catalogue))
        self._portion = self._composer.compose(list(shop.store.identity["clusters"].find({})))

    def write(self) -> int:
        self._composer.write(self._portion)
        return self._composer.report.written


def composed_anew(shop: Retailer) -> int:
    """How many documents are not what they should be."""
    return refresh_customers(shop.store, shop.catalogue, full=True).written


def rename(shop: Retailer, surname: str) -> None:
    """Jane has another surname, and everything before the customers has heard of it."""
    shop.customer(1, "Jane", surname, Email="jane@x.com", ModifiedAt=day(1))
    shop.identify()


def surname_of(shop: Retailer) -> str:
    return str(shop.customers()[shop.customer_ids()["crm.customer:1"]]["name"]["value"]["last"])


def test_who_composed_something_older_does_not_overwrite_and_leaves_the_newer(shop: Retailer) -> None:
    rename(shop, "Brown")
    slow = SlowRun(shop)
    rename(shop, "Green")
    refresh_customers(shop.store, shop.catalogue)
    assert slow.write() == 0
    refresh_customers(shop.store, shop.catalogue)
    assert surname_of(shop) == "Green"
    assert (composed_anew(shop), shop.waiting()) == (0, {})


def test_what_was_composed_of_something_older_before_a_change_back_is_composed_again(shop: Retailer) -> None:
    landed = shop.store.landing["crm.customer"].find_one({"_id": 1})
    party = shop.store.identity["party_records"].find_one({"_id": "crm.customer:1"})
    rename(shop, "Brown")
    slow = SlowRun(shop)
    # Back to where it was, to the byte: the run that hears of it finds nothing to write.
    for collection, document in (
        (shop.store.landing["crm.customer"], landed),
        (shop.store.identity["party_records"], party),
    ):
        assert document is not None
        collection.replace_one({"_id": document["_id"]}, document)
    changed = {"$set": {"_sv.pending": ["customers"]}, "$inc": {"_sv.revision": 1}}
    shop.store.identity["clusters"].update_many({}, changed)
    assert refresh_customers(shop.store, shop.catalogue).written == 0
    assert slow.write() == 1
    assert surname_of(shop) == "Brown"
    refresh_customers(shop.store, shop.catalogue)
    assert surname_of(shop) == "Smith"
    assert (composed_anew(shop), shop.waiting()) == (0, {})


@pytest.mark.parametrize("first", ["slow", "other"])
def test_a_merge_while_both_customers_are_composed_leaves_one(shop: Retailer, first: str) -> None:
    rename(shop, "Brown")
    slow = SlowRun(shop)
    merge(shop.store, "crm.customer:1", "crm.customer:2", actor="jo", reason="one person")
    if first == "slow":
        slow.write()
        shop.run()
    else:
        shop.run()
        slow.write()
        shop.run()
    assert len(shop.customers()) == 1
    assert (composed_anew(shop), shop.waiting()) == (0, {})


def test_a_customer_that_a_slow_run_ends_after_they_came_back_is_composed_again(shop: Retailer) -> None:
    shop.delete("crm.customer", 2)
    shop.identify()
    slow = SlowRun(shop)
    shop.customer(2, "Peter", "Jones", Email="home@x.com", ModifiedAt=day(1))
    shop.run()
    slow.write()
    assert len(shop.customers()) == 1
    shop.run()
    assert len(shop.customers()) == 2
    assert (composed_anew(shop), shop.waiting()) == (0, {})


def test_a_customer_that_was_written_by_a_slow_run_after_it_ended_goes_again(shop: Retailer) -> None:
    shop.store.single_view["customers"].delete_many({})
    slow = SlowRun(shop)
    shop.delete("crm.customer", 2)
    shop.run()
    assert slow.write() == 2
    assert len(shop.customers()) == 2
    shop.run()
    assert len(shop.customers()) == 1
    assert shop.waiting() == {}


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Until it is called, the collection asks for a birth date."""
    asks_for_more: Document = {"$jsonSchema": {**validator()["$jsonSchema"]}}
    properties = {**asks_for_more["$jsonSchema"]["properties"], "date_of_birth": {"bsonType": "object"}}
    asks_for_more["$jsonSchema"]["properties"] = properties
    monkeypatch.setattr(station, "validator", lambda: asks_for_more)
    return lambda: monkeypatch.setattr(station, "validator", validator)


def test_who_the_collection_refuses_goes_to_quarantine_and_the_others_go_on(
    shop: Retailer, strict: Callable[[], None]
) -> None:
    born = {"DateOfBirth": day(-9000), "ModifiedAt": day(2)}
    shop.customer(3, "Ann", "New", Email="ann@x.com", **born)
    shop.customer(4, "Bob", "New", Email="bob@x.com")
    shop.customer(1, "Jane", "Brown", Email="jane@x.com", **born)
    shop.customer(2, "Pete", "Jones", Email="home@x.com")
    report = shop.run()[-1]
    assert (report.inserted, report.updated, report.details["quarantined"]) == (1, 1, 2)
    ids = shop.customer_ids()
    entries = {e["key"]: e for e in shop.store.control["quarantine"].find({"source": writing.SOURCE, "status": "open"})}
    assert entries.keys() == {ids["crm.customer:2"], ids["crm.customer:4"]}
    assert entries[ids["crm.customer:2"]]["reason"].startswith("is refused by the validator")
    assert entries[ids["crm.customer:2"]]["raw"]["name"]["value"]["first"] == "Pete", "it is kept whole"
    assert shop.customers()[ids["crm.customer:2"]]["name"]["value"]["first"] == "Peter", "what was there stays"
    assert shop.waiting() == {}

    strict()
    assert written([refresh_customers(shop.store, shop.catalogue)]) == 2, "each run tries them again"
    assert shop.customers()[ids["crm.customer:2"]]["name"]["value"]["first"] == "Pete"
    assert shop.store.control["quarantine"].count_documents({"status": "open"}) == 0


def test_who_was_refused_and_is_as_before_again_or_is_no_more_leaves_quarantine(
    shop: Retailer, strict: Callable[[], None]
) -> None:
    for number, first in ((1, "Joan"), (2, "Pete")):
        shop.customer(number, first, "Other", Email=f"{first}@x.com")
    shop.run()
    open_entries = {"source": writing.SOURCE, "status": "open"}
    assert shop.store.control["quarantine"].count_documents(open_entries) == 2
    shop.delete("crm.customer", 1)
    strict()
    shop.run()
    assert shop.store.control["quarantine"].count_documents(open_entries) == 0


def test_a_document_that_does_not_fit_the_model_is_refused_with_the_field(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station, "compose", lambda known: {**real(known), "accounts": "many"})
    shop.customer(3, "Ann", "New", Email="ann@x.com")
    shop.run()
    (entry,) = shop.store.control["quarantine"].find({})
    assert entry["reason"] == "does not fit the model of a customer: accounts"


real = station.compose


def test_a_document_larger_than_a_mebibyte_is_refused(shop: Retailer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_BYTES", 1000)
    shop.customer(1, "Jane", "Brown", Email="jane@x.com")
    shop.run()
    (entry,) = shop.store.control["quarantine"].find({})
    assert entry["reason"].startswith("is larger than 1,000 bytes")
    assert surname_of(shop) == "Smith"


def test_a_document_says_how_large_it_is_with_the_change_that_lies_in_it(shop: Retailer) -> None:
    shop.customer(1, "Jane" * 50_000, "Brown", Email="jane@x.com")
    shop.run()
    shop.customer(1, "Joan" * 50_000, "Brown", Email="jane@x.com")
    shop.run()
    raw = shop.store.single_view["customers"].find_one({"large": {"$exists": True}})
    assert raw is not None
    size = len(bson.encode(raw, codec_options=CODEC))
    assert size - 20 < raw["large"] <= size


def test_a_customer_with_very_many_orders_is_one_small_document(shop: Retailer) -> None:
    jane = shop.customer_ids()["crm.customer:1"]
    order = {"_id": "", "customer_id": jane, "system": "sales", "table": "dbo.OrderHeader", "version": "1"}
    rest = {
        "status": "placed",
        "currency": "GBP",
        "channel": "web",
        "refunds": [],
        "deliveries": [],
        "party": "crm.customer:1",
    }
    many = 20_000
    shop.store.single_view["orders"].insert_many(
        {**order, **rest, "_id": f"sales.orderheader:{n}", "key": n, "number": f"SO{n}", "placed_at": day(n % 700), "total": Decimal128("0.01")}
        for n in range(many)
    )  # fmt: skip
    assert composed_anew(shop) == 1
    document = shop.customers()[jane]
    assert (document["orders"]["count"], len(document["orders"]["latest"])) == (many, 20)
    assert document["orders"]["totals"][0]["spend"].to_decimal() == many // 100
    assert "large" not in document


def test_what_an_asset_added_stays_when_the_rest_is_composed_anew(shop: Retailer) -> None:
    jane = shop.customer_ids()["crm.customer:1"]
    assert enrich(shop.store, "segment", "marketing/segments", {jane: "gold", "C0": "nobody"}) == 1
    assert enrich(shop.store, "segment", "marketing/segments", {jane: "gold"}) == 0, "unchanged values are not written"
    before = shop.customers()[jane]
    assert (before["enrichments"]["segment"]["value"], before["version"]) == ("gold", 1)
    rename(shop, "Brown")
    refresh_customers(shop.store, shop.catalogue)
    after = shop.customers()[jane]
    assert (after["enrichments"], after["version"]) == (before["enrichments"], 2)
    with pytest.raises(ConfigurationError, match="belongs to marketing/segments"):
        enrich(shop.store, "segment", "fraud/scores", {jane: 1})
    with pytest.raises(ConfigurationError, match=r"1 values .* larger"):
        enrich(shop.store, "segment", "marketing/segments", {jane: "x" * enrichments.MAX_BYTES, "C0": 1})
    assert shop.customers()[jane]["enrichments"] == before["enrichments"]
    with pytest.raises(ConfigurationError, match="no name"):
        enrich(shop.store, "name.value", "fraud/scores", {jane: 1})


def test_buckets_rebuild_what_was_lost_and_write_nothing_where_nothing_was(shop: Retailer) -> None:
    expected = shop.customers()
    jane, peter = (shop.customer_ids()[f"crm.customer:{n}"] for n in (1, 2))
    assert written([rebuild_customers(shop.store, shop.catalogue, range(BUCKETS))]) == 0
    shop.store.single_view["customers"].delete_many({})
    shop.store.identity["clusters"].update_many({}, {"$unset": {"bucket": ""}})  # from before there were buckets
    assert bucket_of(jane) != bucket_of(peter)
    assert rebuild_customers(shop.store, shop.catalogue, [bucket_of(jane)]).read == 1
    assert shop.customers().keys() == {jane}
    rebuild_customers(shop.store, shop.catalogue, range(BUCKETS))
    assert shop.customers().keys() == expected.keys()


def test_documents_of_an_older_version_of_the_model_are_composed_anew(shop: Retailer) -> None:
    customers = shop.store.single_view["customers"]
    old: dict[str, Any] = {"schema_version": 1, "name": None, "_sv": {"hash": "of another time"}}
    ids = list(shop.customers())
    shop.store.single_view.drop_collection("customers")
    customers.insert_many([{"_id": identifier, **old} for identifier in ids])
    shop.store.single_view["state"].delete_many({})
    assert refresh_customers(shop.store, shop.catalogue).updated == 2
    assert {document["version"] for document in shop.customers().values()} == {1}


def test_the_neighbours_of_a_customer_hear_of_who_comes_and_goes(shop: Retailer) -> None:
    home = {
        "Line1": "1 High St",
        "Town": "Derby",
        "Postcode": "DE1 1AA",
        "ValidFrom": day(1),
        "ValidTo": None,
        "AddressType": "home",
    }
    shop.land(
        "crm.customeraddress", {"AddressId": 1, "CustomerId": 1, **home}, {"AddressId": 2, "CustomerId": 2, **home}
    )
    shop.run()
    jane, peter = (shop.customer_ids()[f"crm.customer:{n}"] for n in (1, 2))
    assert [shop.customers()[i]["household"]["members"] for i in (jane, peter)] == [[peter], [jane]]
    shop.delete("crm.customeraddress", 2)
    shop.run()
    assert [shop.customers()[i]["household"] for i in (jane, peter)] == [None, None]
    assert composed_anew(shop) == 0
