"""Facts of sources that are declared otherwise than the committed ones: orders in a queue, numbers of other types."""

from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64

from sv_assets.catalogue import load_catalogue
from sv_assets.contact_centre.cards import refresh_cards
from sv_assets.customers import find
from sv_assets.mongo import Document, Store
from sv_assets.quality.money import customers_add_up, orders_add_up
from sv_assets_tests.retailer import OFFICER, Retailer, day

DECLARED = """
type: sv_assets.components.SqlServerSystem
attributes:
  system: till
  connection: "{{ env.TILL_SQLSERVER_URL }}"
  owners: ["team:till"]
  max_connections: 1
  tables:
    - name: dbo.Receipt
      key: [Id]
      capture: {mode: snapshot}
      feeds:
        party: {name: {full: Holder}}
        order: {number: Number, placed_at: At, total: Total, party: self}
    - name: dbo.Wish
      key: [Id]
      capture: {mode: snapshot}
      feeds:
        consent: {party: {table: dbo.Receipt, key: ReceiptId}, purpose: {const: marketing}, channel: Channel, granted: Agreed}
    - name: dbo.Call
      key: [Id]
      capture: {mode: snapshot}
      feeds:
        party: {name: {full: Caller}, quotes: [{number: OrderNumber}]}
    - name: dbo.Choice
      key: [Id]
      capture: {mode: snapshot}
      feeds:
        consent:
          - {party: {table: dbo.Receipt, key: ReceiptId}, purpose: {const: marketing}, channel: {const: email}, granted: Ours}
          - {party: {table: dbo.Receipt, key: ReceiptId}, purpose: {const: marketing}, channel: {const: email}, granted: Partners}
---
type: sv_assets.components.SqsQueues
attributes:
  system: app
  endpoint: "{{ env.SQS_ENDPOINT_URL }}"
  owners: ["team:app"]
  queues:
    - name: app-orders
      key: $.id
      version: $.version
      feeds:
        party: {name: {full: $.name}}
        order: {number: $.number, placed_at: $.at, total: $.total, party: self}
    - name: app-parcels
      key: $.id
      version: $.version
      feeds:
        delivery: {order: {system: till, id: $.receipt}, status: $.status, at: $.at}
    - name: app-refunds
      key: $.id
      version: $.version
      feeds:
        refund: {order: {system: till, number: $.number}, amount: $.amount}
    - name: app-payments
      key: $.id
      version: $.version
      feeds:
        payment: {order: {number: $.number}, amount: $.amount}
"""


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Retailer:
    (tmp_path / "estate").mkdir()
    (tmp_path / "estate" / "defs.yaml").write_text(DECLARED)
    shop = Retailer(store)
    shop.catalogue = load_catalogue(tmp_path)
    return shop


def receipt(number: Any) -> Document:
    return {"Id": Int64(7), "Number": number, "At": day(1), "Total": Decimal128("5.00"), "Holder": "Jane Smith"}


@pytest.mark.parametrize("number", [Decimal128("1001"), Int64(1001), "1001"])
def test_parts_find_their_order_though_a_message_gives_its_number_as_another_type(shop: Retailer, number: Any) -> None:
    parcel = {"id": "P1", "version": 1, "receipt": "7", "status": "sent", "at": "2026-11-01"}
    refunds = [
        {"id": f"R{n}", "version": 1, "number": said, "amount": 1} for n, said in enumerate(["1001", Int64(1001), 9])
    ]
    shop.land("app.app_parcels", parcel)
    shop.land("app.app_refunds", *refunds)
    shop.run()
    shop.land("till.receipt", receipt(number))
    shop.run()
    shop.land("app.app_parcels", {**parcel, "id": "P2", "receipt": Int64(7)})
    shop.run()
    order = shop.store.single_view["orders"].find_one({"_id": "till.receipt:7"})
    assert order is not None
    assert [p["record"] for p in order["deliveries"]] == ["app.app_parcels:P1", "app.app_parcels:P2"]
    assert [p["record"] for p in order["refunds"]] == ["app.app_refunds:R0", "app.app_refunds:R1"]
    assert shop.waiting() == {}


@pytest.mark.parametrize("odd", [{"a": 1}, ["A1"], None, "", True, Decimal128("NaN")])
def test_an_order_message_with_a_strange_number_stops_only_itself(shop: Retailer, odd: Any) -> None:
    good = {"id": "O1", "version": 1, "number": "A1", "at": "2026-11-01T09:00:00Z", "total": 5, "name": "Jane Smith"}
    shop.land("app.app_orders", good, {**good, "id": "O2", "number": odd})
    shop.land("app.app_payments", {"id": "P", "version": 1, "number": "A1", "amount": 5})
    shop.land("app.app_payments", {"id": "Q", "version": 1, "number": odd, "amount": 5})
    shop.run()
    orders = {o["_id"]: o for o in shop.store.single_view["orders"].find({})}
    assert orders.keys() == {"app.app_orders:O1", "app.app_orders:O2"}
    assert "app.app_payments:P" in [p["record"] for p in orders["app.app_orders:O1"]["payments"]]
    assert shop.waiting() == {}


def test_whatever_stands_in_the_fields_of_an_order_everything_else_goes_on_and_money_adds_up(shop: Retailer) -> None:
    for n, odd in enumerate(
        [{"a": 1}, ["x"], True, float("nan"), 1e308, "é" * 12, "0001-01-01", "9999-12-31T23:59:59Z"]
    ):
        order = {"version": 1, "number": f"A{n}", "at": "2026-11-01T09:00:00Z", "total": 5, "name": "Jane Smith"}
        fields = ("number", "at", "total", "name")
        shop.land("app.app_orders", *({**order, "id": f"{field}{n}", field: odd} for field in fields))
        part = {"id": f"P{n}", "version": 1, "number": f"A{n}", "amount": odd}
        shop.land("app.app_payments", part)
        shop.land("app.app_refunds", part)
        shop.land("app.app_parcels", {"id": f"P{n}", "version": 1, "receipt": "7", "status": odd, "at": odd})
        shop.land("till.choice", {"Id": n, "ReceiptId": 7, "Ours": odd, "Partners": odd})
    shop.land("till.receipt", receipt("1001"))
    shop.run()
    refresh_cards(shop.store)
    assert shop.waiting() == {}
    assert shop.store.single_view["customers"].count_documents({}) == len(shop.customer_ids())
    assert [check.passed for check in (customers_add_up(shop.store), orders_add_up(shop.store, shop.catalogue))] == [
        True,
        True,
    ]


def test_an_order_of_a_numeric_number_is_quoted_and_found_by_it(shop: Retailer) -> None:
    shop.land("till.call", {"Id": 1, "Caller": "Jane Smith", "OrderNumber": Decimal128("1001")})
    shop.land("till.receipt", receipt(Decimal128("1001.0")))
    shop.run()
    call = shop.store.identity["party_records"].find_one({"_id": "till.call:1"})
    assert call is not None
    assert [quote["record"] for quote in call["quotes"]] == ["till.receipt:7"]
    assert [found.reason for found in find.customers(shop.store, order="1001", actor=OFFICER)] == ["order number"]


def test_a_refusal_without_a_channel_is_of_every_one_and_a_permission_without_one_of_nothing(shop: Retailer) -> None:
    shop.land("till.receipt", receipt("1001"))
    wishes = [(1, "email", "yes"), (2, None, "yes")]
    shop.land("till.wish", *({"Id": n, "ReceiptId": 7, "Channel": c, "Agreed": yes} for n, c, yes in wishes))
    shop.run()
    assert [(c["channel"], c["granted"]) for c in shop.the_customer()["consents"]] == [("email", True)]
    shop.land("till.wish", {"Id": 2, "ReceiptId": 7, "Channel": None, "Agreed": "withdrawn"})
    shop.run()
    assert [(c["channel"], c["granted"]) for c in shop.the_customer()["consents"]] == [("*", False), ("email", False)]


def test_a_row_that_answers_one_question_twice_refuses_if_either_does(shop: Retailer) -> None:
    shop.land("till.receipt", receipt("1001"))
    shop.land("till.choice", {"Id": 1, "ReceiptId": 7, "Ours": 0, "Partners": 1})
    shop.run()
    assert [c["granted"] for c in shop.the_customer()["consents"]] == [False]
    shop.land("till.choice", {"Id": 1, "ReceiptId": 7, "Ours": 1, "Partners": 0})
    shop.run()
    assert [c["granted"] for c in shop.the_customer()["consents"]] == [False]
    assert sum(report.written for report in shop.run()) == 0
