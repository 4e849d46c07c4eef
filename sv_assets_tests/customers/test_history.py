"""The history: every real change is a version with what, from, to and why; and any moment of it can be shown again."""

import datetime as dt
import time
from typing import Any

from sv_assets.customers import history
from sv_assets.customers.customers import refresh_customers
from sv_assets.customers.enrichments import enrich
from sv_assets.customers.settings import load_settings
from sv_assets.identity.decisions import merge, undo
from sv_assets.mongo import Document
from sv_assets_tests.retailer import OFFICER, Retailer, day, written


def now() -> dt.datetime:
    """A moment between two versions: BSON keeps milliseconds."""
    time.sleep(0.01)
    at = dt.datetime.now(dt.timezone.utc)
    time.sleep(0.01)
    return at


def customer_of(shop: Retailer, record: str) -> Document:
    return shop.customers()[shop.customer_ids()[record]]


def without_bookkeeping(document: Document | None) -> Any:
    return document and {name: value for name, value in document.items() if name not in ("_sv", "enrichments")}


def test_a_change_is_a_version_that_says_what_from_to_and_why(shop: Retailer) -> None:
    before = customer_of(shop, "crm.customer:1")
    assert (before["version"], history.entries_of(shop.store, before["_id"], actor=OFFICER)) == (1, [])
    shop.customer(1, "Jane", "Brown", Email="jane@x.com", ModifiedAt=day(2))
    shop.run()
    after = customer_of(shop, "crm.customer:1")
    assert after["version"] == 2
    assert after["composed_at"] > before["composed_at"]
    (entry,) = shop.store.single_view["customer_history"].find({"customer_id": after["_id"]})
    assert (entry["kind"], entry["version"], entry["at"]) == ("changed", 2, after["composed_at"])
    changed = {change["path"]: change for change in entry["changes"]}
    assert (changed["name.value.last"]["from"], changed["name.value.last"]["to"]) == ("Smith", "Brown")
    assert [w["record"] for w in entry["why"] if w["kind"] == "record"] == ["crm.customer:1"]
    assert customer_of(shop, "crm.customer:2")["version"] == 1


def test_nothing_that_changed_is_no_version(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", ModifiedAt=day(1))
    assert written(shop.run()) <= 2, "the landed row and its party record have a new version, which is in the document"
    versions = {d["version"] for d in shop.customers().values()}
    assert written(shop.run()) == 0
    assert written([refresh_customers(shop.store, shop.catalogue, full=True)]) == 0
    assert {d["version"] for d in shop.customers().values()} == versions


def test_what_was_known_at_any_moment_can_be_shown_again(shop: Retailer) -> None:
    known: list[tuple[dt.datetime, Document]] = []

    def remember() -> None:
        known.append((now(), customer_of(shop, "crm.customer:1")))

    before_all = known[0][0] if known else dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)
    remember()
    shop.customer(1, "Jane", "Brown", Email="jane@x.com", Mobile="07700 900123", ModifiedAt=day(2))
    shop.run()
    remember()
    for number in range(1, 25):
        shop.order(number, GuestFirstName="Jane", GuestLastName="Brown", GuestEmail="jane@x.com", OrderDate=day(number))
    shop.run()
    remember()
    shop.order(
        3, GuestFirstName="Jane", GuestLastName="Brown", GuestEmail="jane@x.com", OrderDate=day(3), Status="late"
    )
    shop.customer(1, "Jane", "Brown", Email="jane@y.com", ModifiedAt=day(4))
    shop.run()
    remember()
    identifier = known[0][1]["_id"]
    for at, document in known:
        assert without_bookkeeping(history.as_of(shop.store, identifier, at, actor=OFFICER)) == without_bookkeeping(
            document
        )
    assert history.as_of(shop.store, identifier, before_all, actor=OFFICER) is None
    assert [e["version"] for e in history.entries_of(shop.store, identifier, actor=OFFICER)] == [4, 3, 2]


def test_a_merged_customer_can_still_be_shown_as_it_was_and_comes_back_with_the_next_version(shop: Retailer) -> None:
    ids = shop.customer_ids()
    before = shop.customers()
    at_first = now()
    decision = merge(shop.store, "crm.customer:1", "crm.customer:2", actor="jo", reason="she rang")
    shop.run()
    (survivor,) = shop.customers()
    (loser,) = before.keys() - {survivor}
    merged_at = now()
    entry = history.entries_of(shop.store, loser, actor=OFFICER)[0]
    assert (entry["kind"], entry["into"], entry["version"]) == ("ended", survivor, 2)
    assert without_bookkeeping(history.as_of(shop.store, loser, at_first, actor=OFFICER)) == without_bookkeeping(
        before[loser]
    )
    shown = history.as_of(shop.store, loser, merged_at, actor=OFFICER)
    assert shown is not None
    assert shown["_id"] == survivor, "the alias resolves"
    why = {reason["kind"] for reason in history.entries_of(shop.store, survivor, actor=OFFICER)[0]["why"]}
    assert "merged" in why

    undo(shop.store, decision["_id"], actor="jo", reason="not her")
    shop.run()
    assert shop.customer_ids().keys() == ids.keys()
    assert len(shop.customers()) == 2
    for identifier, document in shop.customers().items():
        versions = [e["version"] for e in history.entries_of(shop.store, identifier, actor=OFFICER)]
        assert versions == sorted(set(versions), reverse=True)
        assert document["version"] == max([1, *versions])
    assert without_bookkeeping(history.as_of(shop.store, loser, at_first, actor=OFFICER)) == without_bookkeeping(
        before[loser]
    )


def test_a_merged_customer_is_shown_as_what_it_had_become_then_and_not_as_what_that_became_later(
    shop: Retailer,
) -> None:
    shop.customer(3, "Ann", "New", Email="ann@x.com", ModifiedAt=day(1))
    shop.run()
    ids = shop.customer_ids()
    last, second = sorted(("crm.customer:1", "crm.customer:2"), key=lambda record: ids[record])
    merge(shop.store, second, "crm.customer:3", actor="jo", reason="test")
    shop.run()
    between = now()
    merge(shop.store, last, second, actor="jo", reason="test")
    shop.run()
    assert shop.the_customer()["_id"] == ids[last]
    for record in (second, "crm.customer:3"):
        shown = history.as_of(shop.store, ids[record], between, actor=OFFICER)
        assert shown is not None
        assert (shown["_id"], shown["sources"]["count"]) == (ids[second], 2)
        shown = history.as_of(shop.store, ids[record], now(), actor=OFFICER)
        assert shown is not None
        assert (shown["_id"], shown["sources"]["count"]) == (ids[last], 3)


def test_what_was_kept_no_longer_or_computed_later_is_not_told_of_an_earlier_moment(shop: Retailer) -> None:
    jane = shop.customer_ids()["crm.customer:1"]
    moments = [now()]
    for surname in ("Brown", "Green"):
        shop.customer(1, "Jane", surname, Email="jane@x.com", ModifiedAt=day(2))
        shop.run()
        moments.append(now())
    enrich(shop.store, "segment", "marketing/segments", {jane: "gold"})
    shop.store.single_view["customer_history"].delete_one({"_id": f"{jane}:2"})
    shown = [history.as_of(shop.store, jane, at, actor=OFFICER) for at in (*moments, now())]
    assert [s and (s["version"], len(s["enrichments"])) for s in shown] == [None, None, (3, 0), (3, 1)]


def test_other_rules_compose_everybody_anew_and_are_the_reason(shop: Retailer) -> None:
    shop.account(11, "Janey", "Smith", EmailAddress="jane@x.com", ModifiedAt=day(9))
    shop.run()
    jane = customer_of(shop, "crm.customer:1")
    assert jane["name"]["value"]["first"] == "Jane"
    settings = load_settings()
    latest = settings.model_copy(
        update={"survivorship": settings.survivorship.model_copy(update={"name": ["recency"]})}
    )
    report = refresh_customers(shop.store, shop.catalogue, latest)
    assert (report.read, report.written) == (2, 1)
    after = customer_of(shop, "crm.customer:1")
    assert after["name"]["value"]["first"] == "Janey"
    assert [reason["kind"] for reason in history.entries_of(shop.store, after["_id"], actor=OFFICER)[0]["why"]] == [
        "rules"
    ]
    assert refresh_customers(shop.store, shop.catalogue, latest).read == 0


def test_an_entry_that_a_killed_run_did_not_copy_is_copied_by_the_next(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Brown", Email="jane@x.com", ModifiedAt=day(2))
    shop.run()
    collection = shop.store.single_view["customer_history"]
    entries = list(collection.find({}))
    collection.delete_many({})
    jane = customer_of(shop, "crm.customer:1")
    assert [e["version"] for e in history.entries_of(shop.store, jane["_id"], actor=OFFICER)] == [2], (
        "it still lies in the document"
    )
    shop.store.identity["clusters"].update_one({"_id": jane["_id"]}, {"$set": {"_sv.pending": ["customers"]}})
    assert refresh_customers(shop.store, shop.catalogue).written == 0
    assert list(collection.find({})) == entries
