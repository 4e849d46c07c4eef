"""Fraud behind the real stations: it hears of every order, telephone, merge and deletion, whichever of them it was."""

import datetime as dt
from typing import Any

import pytest

from sv_assets.identity.decisions import merge
from sv_assets.identity.decisions import undo as unmerge
from sv_assets.mongo import Store
from sv_assets.privacy.rights import objects, restrict, undo
from sv_assets_tests.fraud.shop import run, signals, waiting
from sv_assets_tests.retailer import Retailer, day


@pytest.fixture
def shop(store: Store) -> Retailer:
    """Two customers with accounts of their own, and an order each."""
    shop = Retailer(store)
    shop.account(
        11,
        "Jane",
        "Smith",
        EmailAddress="jane@x.com",
        Telephone="07700 900111",
        CreatedAt=day(-90),
        ModifiedAt=day(-90),
    )
    shop.account(
        12, "Omar", "Khan", EmailAddress="omar@x.com", Telephone="07700 900222", CreatedAt=day(-1), ModifiedAt=day(-1)
    )
    placed(shop, 1, AccountId=11, OrderDate=day(1))
    placed(shop, 2, AccountId=12, OrderDate=day(2), BillingLine1="9 Far Road", BillingPostcode="B1 1BB")
    shop.land("sales.payment", card(1, "tok"), card(2, "tok"))
    work(shop)
    return shop


def placed(shop: Retailer, number: int, **columns: Any) -> None:
    where = {"DeliveryLine1": "7 Mill Lane", "DeliveryTown": "York", "DeliveryPostcode": "YO1 7AA"}
    billed = {"BillingLine1": "7 Mill Lane", "BillingTown": "York", "BillingPostcode": "YO1 7AA"}
    shop.order(number, **{"DeviceId": f"d{number}", "GrandTotal": 40, **where, **billed, **columns})


def card(order: int, token: str) -> dict[str, Any]:
    return {"PaymentId": f"p{order}", "OrderId": order, "Amount": 40, "Method": "card", "Status": "captured", "PaidAt": day(1), "CardFingerprint": token}  # fmt: skip


def work(shop: Retailer) -> None:
    shop.run()
    run(shop.store)
    assert waiting(shop.store) == 0


def test_what_the_feeds_say_becomes_signals(shop: Retailer) -> None:
    assert signals(shop.store, 2) | {
        "names_on_card_90d": 1,
        "delivered_elsewhere": 1,
        "new_account_old_address": 0,
        "known_days": 3,
        "value": 40,
    } == signals(shop.store, 2)
    assert signals(shop.store, 1)["known_days"] == 91


def test_another_telephone_of_a_customer_is_heard_of(shop: Retailer) -> None:
    shop.account(
        11, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700 900222", CreatedAt=day(-90), ModifiedAt=day(0)
    )
    work(shop)
    assert signals(shop.store, 2)["names_on_phone_90d"] == 1
    assert signals(shop.store, 1)["contact_changed_7d"] == 1


def test_an_account_that_is_put_right_after_the_order_had_been_changed_before_it_all_the_same(shop: Retailer) -> None:
    def changed(on: int, telephone: str) -> None:
        shop.account(
            11, "Jane", "Smith", EmailAddress="jane@x.com", Telephone=telephone, CreatedAt=day(-90), ModifiedAt=day(on)
        )
        work(shop)

    assert signals(shop.store, 1)["contact_changed_7d"] == 0
    changed(0, "07700 900333")
    assert signals(shop.store, 1)["contact_changed_7d"] == 1
    changed(3, "07700 900111")
    assert signals(shop.store, 1)["contact_changed_7d"] == 1
    placed(shop, 1, AccountId=12, OrderDate=day(1))
    work(shop)
    assert signals(shop.store, 1)["contact_changed_7d"] == 0, "it was another's order"


def test_a_chargeback_counts_for_later_orders_of_everybody_who_shares_the_card(shop: Retailer) -> None:
    shop.land(
        "sales.refund",
        {"RefundId": 5, "OrderId": 1, "Amount": 40, "Reason": "x", "RefundedAt": day(30), "Kind": "Chargeback"},
    )
    placed(shop, 3, AccountId=12, OrderDate=day(40))
    shop.land("sales.payment", card(3, "tok"))
    work(shop)
    assert (signals(shop.store, 2)["shared_chargebacks_365d"], signals(shop.store, 3)["shared_chargebacks_365d"]) == (
        0,
        1,
    )


def test_a_payment_that_moves_and_an_order_that_goes_are_heard_of(shop: Retailer) -> None:
    shop.land("sales.payment", {**card(1, "tok"), "CardFingerprint": "other"})
    work(shop)
    assert signals(shop.store, 2)["names_on_card_90d"] == 0
    shop.delete("sales.orderheader", 1)
    work(shop)
    assert shop.store.fraud["signals"].count_documents({}) == 1


def test_a_merge_is_heard_of_and_counts_for_orders_after_it(shop: Retailer) -> None:
    merged = shop.store.identity["events"].count_documents({"kind": "merged"})
    shop.account(
        12, "Jane", "Smith", EmailAddress="jane@x.com", Telephone="07700 900111", CreatedAt=day(-1), ModifiedAt=day(3)
    )
    work(shop)
    assert shop.store.identity["events"].count_documents({"kind": "merged"}) == merged + 1
    facts = list(shop.store.fraud["facts"].find({}))
    assert {fact["customer_id"] for fact in facts} == {shop.the_customer()["_id"]}
    assert all(len(fact["merged_at"]) == 1 for fact in facts)
    assert signals(shop.store, 2)["customer_orders_7d"] == 1


def test_every_merge_counts_in_one_run_or_one_after_the_other(shop: Retailer) -> None:
    for number, name in ((13, "Zoe"), (14, "Yan")):
        shop.account(number, name, f"Young{number}", EmailAddress=f"{name}@x.com", ModifiedAt=day(1))
    work(shop)
    merge(shop.store, "sales.account:13", "sales.account:14", actor="ann", reason="same")
    work(shop)
    merge(shop.store, "sales.account:12", "sales.account:13", actor="ann", reason="same")
    merge(shop.store, "sales.account:11", "sales.account:12", actor="ann", reason="same")
    placed(shop, 3, AccountId=14, OrderDate=dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1))
    work(shop)
    assert len(shop.customers()) == 1
    assert signals(shop.store, 3)["merged_7d"] == 3


def test_names_of_records_that_are_one_customer_are_no_names_of_others(shop: Retailer) -> None:
    placed(shop, 3, AccountId=12, OrderDate=day(3))
    shop.land("sales.payment", card(3, "tok"))
    work(shop)
    names = ("names_on_card_90d", "names_on_device_30d", "names_on_phone_90d")
    assert [signals(shop.store, 3)[name] for name in names] == [1, 0, 0]
    decision = merge(shop.store, "sales.account:11", "sales.account:12", actor="ann", reason="married")
    work(shop)
    assert [signals(shop.store, 3)[name] for name in names] == [0, 0, 0]
    unmerge(shop.store, decision["_id"], actor="ann", reason="another")
    work(shop)
    assert [signals(shop.store, 3)[name] for name in names] == [1, 0, 0]


def test_stations_that_come_to_fraud_late_begin_with_all_orders(shop: Retailer) -> None:
    """An estate from before there was fraud: nothing is on its work list."""
    before = {n: signals(shop.store, n) for n in (1, 2)}
    for name in shop.store.fraud.list_collection_names():
        shop.store.fraud[name].delete_many({})
    assert waiting(shop.store) == 0
    work(shop)
    assert {n: signals(shop.store, n) for n in (1, 2)} == before


def test_orders_of_who_restricted_their_data_are_not_scored_and_come_back_when_that_is_undone(shop: Retailer) -> None:
    omar = shop.customer_ids()["sales.account:12"]
    before, janes = signals(shop.store, 2), signals(shop.store, 1)
    for say in (
        lambda: restrict(shop.store, omar, actor="Ann", evidence="letter"),
        lambda: objects(shop.store, omar, "fraud_prevention", actor="Ann", evidence="letter"),
    ):
        said = say()
        work(shop)
        for name in ("facts", "signals"):
            left = [one["_id"] for one in shop.store.fraud[name].find({})]
            assert left == ["sales.orderheader:1"], name
        assert signals(shop.store, 1) == janes
        score = shop.store.fraud["scores"].find_one({"_id": "sales.orderheader:2"})
        assert score is None or score["gone"]
        undo(shop.store, said["_id"], actor="Ann", reason="settled")
        work(shop)
        assert signals(shop.store, 2) == before
