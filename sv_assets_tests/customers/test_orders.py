"""Orders: one document whatever part of it came first; and whose they are, whatever happens to their customer."""

from itertools import permutations
from typing import Any

import pytest
from bson import Decimal128

from sv_assets.customers.facts import refresh_facts
from sv_assets.customers.orders import ORDERS
from sv_assets.mongo import Document, Store
from sv_assets.quality.money import customers_add_up
from sv_assets_tests.retailer import Retailer, day, written


@pytest.fixture
def shop(store: Store) -> Retailer:
    return Retailer(store)


def line(order: int, number: int, **columns: Any) -> Document:
    return {"OrderId": order, "LineNumber": number, "Sku": f"S{number}", "Quantity": 1, **columns}


def payment(identifier: str, order: int, at: int) -> Document:
    return {"PaymentId": identifier, "OrderId": order, "Amount": 5, "Method": "card", "Status": "ok", "PaidAt": day(at)}


def refund(number: int, order: int, at: int) -> Document:
    return {"RefundId": number, "OrderId": order, "Amount": 1, "Reason": "broken", "RefundedAt": day(at)}


def delivery(identifier: str, order: int, sequence: Any, status: str) -> Document:
    at = f"2026-11-0{sequence}T09:00:00Z"
    return {
        "event_id": identifier,
        "order_number": f"SO{order}",
        "parcel": "P1",
        "sequence": sequence,
        "status": status,
        "occurred_at": at,
    }


def parts(order: Document | None) -> dict[str, list[Any]]:
    assert order is not None
    return {
        "lines": [p["line"] for p in order["lines"]],
        "payments": [p["record"] for p in order["payments"]],
        "refunds": [p["record"] for p in order["refunds"]],
        "deliveries": [p["status"] for p in order["deliveries"]],
    }


PORTIONS = {
    "header": lambda shop: shop.order(1, AccountId=11),
    "account": lambda shop: shop.account(11, "Jane", "Smith"),
    "tables": lambda shop: (
        shop.land("sales.orderline", line(1, 2), line(1, 10), line(1, 1)),
        shop.land("sales.payment", payment("a", 1, 3), payment("b", 1, 2)),
        shop.land("sales.refund", refund(9, 1, 4), refund(8, 1, 5)),
    ),
    "queue": lambda shop: shop.land(
        "delivery.delivery_events", delivery("e1", 1, 2, "delivered"), delivery("e2", 1, 1, "sent")
    ),
}


ARRIVALS = [
    pytest.param(arrival, marks=() if place % 3 == 0 else pytest.mark.soak, id="-".join(arrival))
    for place, arrival in enumerate(permutations(PORTIONS))
]
"""In the suite each portion comes first, and each before and after each other one; all orders are for the long version."""


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_an_order_is_complete_whatever_came_first(shop: Retailer, arrival: tuple[str, ...]) -> None:
    for portion in arrival:
        PORTIONS[portion](shop)
        shop.run()
    order = shop.the_order(1)
    assert parts(order) == {
        "lines": [1, 2, 10],
        "payments": ["sales.payment:b", "sales.payment:a"],
        "refunds": ["sales.refund:9", "sales.refund:8"],
        "deliveries": ["sent", "delivered"],
    }
    customer = shop.the_customer()
    assert order["customer_id"] == customer["_id"]
    assert [(o["number"], o["delivery"]) for o in customer["orders"]["latest"]] == [("SO1", "delivered")]
    assert shop.waiting() == {}
    assert written(shop.run()) == 0


def test_a_late_child_updates_the_order_and_its_customer(shop: Retailer) -> None:
    shop.account(11, "Jane", "Smith")
    shop.order(1, AccountId=11)
    shop.run()
    before = shop.the_customer()["_sv"]
    shop.land("sales.refund", refund(9, 1, 4))
    shop.run()
    assert parts(shop.the_order(1))["refunds"] == ["sales.refund:9"]
    assert shop.the_customer()["_sv"] != before


def test_a_deleted_line_disappears_and_a_deleted_order_goes_with_all(shop: Retailer) -> None:
    shop.account(11, "Jane", "Smith")
    shop.order(1, AccountId=11)
    shop.land("sales.orderline", line(1, 1), line(1, 2))
    shop.run()
    shop.delete("sales.orderline", "[1,1]")
    shop.run()
    assert parts(shop.the_order(1))["lines"] == [2]
    shop.delete("sales.orderheader", 1)
    shop.run()
    assert shop.the_order(1) is None
    assert shop.the_customer()["orders"]["count"] == 0


def test_a_payment_that_moves_to_another_order_leaves_the_old_one(shop: Retailer) -> None:
    shop.account(11, "Jane", "Smith")
    shop.order(1, AccountId=11)
    shop.order(2, AccountId=11)
    shop.land("sales.payment", payment("a", 1, 2))
    shop.run()
    shop.land("sales.payment", payment("a", 2, 2))
    shop.run()
    assert parts(shop.the_order(1))["payments"] == []
    assert parts(shop.the_order(2))["payments"] == ["sales.payment:a"]
    shop.land("sales.payment", payment("a", 77, 2))
    shop.run()
    assert parts(shop.the_order(2))["payments"] == []


def test_an_order_that_is_renumbered_takes_the_deliveries_of_its_new_number(shop: Retailer) -> None:
    shop.account(11, "Jane", "Smith")
    shop.order(1, AccountId=11)
    shop.land("delivery.delivery_events", delivery("e1", 1, 1, "sent"), delivery("e2", 5, 1, "lost"))
    shop.run()
    shop.order(1, AccountId=11, OrderNumber="SO5")
    shop.run()
    assert parts(shop.the_order(1))["deliveries"] == ["lost"]


def test_an_order_that_came_before_its_person_finds_them_later(shop: Retailer) -> None:
    shop.order(1, AccountId=11)
    shop.run()
    assert shop.the_order(1)["unresolved"] is True
    assert shop.the_order(1)["customer_id"] is None
    shop.account(11, "Jane", "Smith")
    shop.run()
    assert "unresolved" not in shop.the_order(1)
    assert shop.the_customer()["orders"]["count"] == 1


def test_a_guest_order_describes_its_own_person(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Smith", Email="j@x.com")
    order = shop.order(
        1, GuestFirstName="Jane", GuestLastName="Smith", GuestEmail="J@x.com", DeliveryPostcode="SW1A 1AA"
    )
    shop.run()
    customer = shop.the_customer()
    assert customer["orders"]["count"] == 1
    assert [r["record"] for r in customer["sources"]["records"]] == ["crm.customer:1", order]
    assert [a["record"] for a in customer["accounts"]] == ["crm.customer:1"], "an order is no account"
    assert "postcode:SW1A 1AA" in customer["keys"]
    shop.account(11, "Peter", "Jones")
    shop.order(1, AccountId=11)
    shop.run()
    assert {d["name"]["value"]["first"]: d["orders"]["count"] for d in shop.customers().values()} == {
        "Jane": 0,
        "Peter": 1,
    }


def test_facts_follow_a_merge_and_a_split(shop: Retailer) -> None:
    shop.customer(1, "Jane", "Smith", Email="a@x.com")
    shop.run()
    shop.account(11, "Jane", "Smith", EmailAddress="b@x.com")
    shop.order(1, AccountId=11)
    shop.land("crm.contactpreference", {"CustomerId": 1, "Purpose": "marketing", "Channel": "sms", "OptedIn": 1})
    shop.run()
    apart = shop.customer_ids()
    assert shop.the_order(1)["customer_id"] == apart["sales.account:11"]
    shop.account(11, "Jane", "Smith", EmailAddress="a@x.com")
    shop.run()
    together = shop.the_customer()
    assert together["_id"] == shop.the_order(1)["customer_id"] == apart["crm.customer:1"]
    assert (together["orders"]["count"], len(together["consents"])) == (1, 1)
    shop.account(11, "Jane", "Smith", EmailAddress="b@x.com")
    shop.run()
    by_record = {d["accounts"][0]["table"]: d for d in shop.customers().values()}
    assert [by_record[t]["orders"]["count"] for t in ("dbo.Customer", "dbo.Account")] == [0, 1]
    assert [len(by_record[t]["consents"]) for t in ("dbo.Customer", "dbo.Account")] == [1, 0]
    assert shop.the_order(1)["customer_id"] == by_record["dbo.Account"]["_id"]


def test_an_order_of_a_customer_who_is_gone_says_so_until_they_come_back(shop: Retailer) -> None:
    shop.account(11, "Jane", "Smith")
    shop.order(1, AccountId=11)
    shop.run()
    identifier = shop.the_customer()["_id"]
    shop.delete("sales.account", 11)
    shop.run()
    assert shop.customers() == {}
    assert shop.the_order(1)["unresolved"] is True
    shop.account(11, "Jane", "Smith")
    shop.run()
    assert shop.the_customer()["_id"] == shop.the_order(1)["customer_id"] == identifier
    assert "unresolved" not in shop.the_order(1)


@pytest.mark.parametrize("odd", [{"a": 1}, ["SO1"], [["SO1"]], 7, True, Decimal128("1.5"), None])
def test_a_message_with_a_strange_value_stops_only_itself(shop: Retailer, odd: Any) -> None:
    shop.account(11, "Jane", "Smith")
    shop.order(1, AccountId=11)
    good, strange = delivery("e1", 1, 1, "sent"), delivery("e2", 1, 2, "delivered")
    shop.land(
        "delivery.delivery_events",
        good,
        {**strange, "order_number": odd},
        {**strange, "event_id": "e3", "sequence": odd},
    )
    shop.land("delivery.delivery_events", {**strange, "event_id": "e4", "parcel": odd, "occurred_at": odd})
    account = {"id": "W1", "first_name": odd, "last_name": odd, "email": odd, "phone": odd, "customer_number": odd}
    shop.land(
        "web.web_account_events", {"account": {**account, "address": odd, "date_of_birth": odd}, "preferences": odd}
    )
    account = {"id": "W2", "address": {"line1": odd, "town": odd, "postcode": odd}}
    body = {"account": account, "occurred_at": odd, "preferences": {"email": odd, "sms": True}}
    shop.land("web.web_account_events", body)
    shop.run()
    assert sorted(parts(shop.the_order(1))["deliveries"]) == ["delivered", "delivered", "sent"]
    assert shop.waiting() == {}
    assert len(shop.customers()) == 3


def test_parts_with_values_of_different_kinds_keep_one_order(shop: Retailer) -> None:
    shop.order(1, GuestLastName="Smith")
    shop.land("delivery.delivery_events", delivery("e1", 1, 2, "b"), {**delivery("e2", 1, 1, "a"), "sequence": "1"})
    shop.run()
    before = parts(shop.the_order(1))
    assert written([refresh_facts(shop.store, shop.catalogue, ORDERS, full=True)]) == 0
    assert parts(shop.the_order(1)) == before


def test_parts_stand_in_the_order_of_their_moments_however_a_message_writes_them(shop: Retailer) -> None:
    shop.order(1, GuestLastName="Smith")
    moments = ("2026-11-01T09:00:00.500Z", "2026-11-01T09:00:00Z", "2026-11-01T10:30:00+02:00", "2026-11-01T09:00:01Z")
    events = [delivery(f"e{n}", 1, 1, status) for n, status in enumerate("cbad")]
    shop.land("delivery.delivery_events", *({**e, "occurred_at": at} for e, at in zip(events, moments, strict=True)))
    shop.run()
    assert parts(shop.the_order(1))["deliveries"] == ["a", "b", "c", "d"]


def test_money_of_floats_in_a_currency_written_in_two_ways_adds_up(shop: Retailer) -> None:
    shop.account(11, "Jane", "Smith")
    for number, (currency, total) in enumerate([("GBP", 59.970000000000006), ("gbp ", 0.1), ("GBP", 0.2)], start=1):
        shop.order(number, AccountId=11, CurrencyCode=currency, GrandTotal=total)
    shop.run()
    (total,) = shop.the_customer()["orders"]["totals"]
    assert (total["currency"], str(total["spend"])) == ("GBP", "60.270000000000006")
    assert customers_add_up(shop.store).passed
    shop.store.single_view["orders"].update_many({}, {"$set": {"total": 1}})
    assert not customers_add_up(shop.store).passed


def test_an_unchanged_row_read_again_writes_nothing(shop: Retailer) -> None:
    shop.account(11, "Jane", "Smith")
    shop.order(1, AccountId=11)
    shop.run()
    shop.order(1, AccountId=11)
    assert shop.waiting() == {}
    assert written(shop.run()) == 0
    assert written([refresh_facts(shop.store, shop.catalogue, ORDERS, full=True)]) == 0
