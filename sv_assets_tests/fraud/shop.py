"""Orders written straight into the single view, as its stations would: for tests of fraud alone."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from bson import Decimal128
from pymongo import UpdateOne

from sv_assets.fraud.evaluating import refresh_signals
from sv_assets.fraud.metrics import refresh_metrics
from sv_assets.fraud.review import refresh_cases
from sv_assets.fraud.scoring import refresh_scores
from sv_assets.identity.party import StationReport
from sv_assets.mongo import Document, Store, content_hash

START = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone.utc)


def after(**span: float) -> dt.datetime:
    return START + dt.timedelta(**span)


def party(identifier: str, first: str, last: str, **more: Any) -> Document:
    """A party record: `phone`, `email`, `opened_at`, `observed_at`, and raw `emails` and `phones`."""
    compared: Document = {"first": first.lower(), "last": last.lower()}
    if more.get("email"):
        compared["emails"] = [more["email"]]
    if more.get("phone"):
        compared["mobiles"] = [more["phone"]]
    return {
        "_id": identifier,
        "compared": compared,
        "name": {"first": first, "last": last},
        "emails": more.get("emails", compared.get("emails", [])),
        "phones": more.get("phones", compared.get("mobiles", [])),
        "opened_at": more.get("opened_at"),
        "observed_at": more.get("observed_at"),
    }


def place(line_1: str, postcode: str = "SW1A 1AA") -> Document:
    return {"line_1": line_1, "town": "London", "postcode": postcode}


def order(number: int, at: dt.datetime | None, **more: Any) -> Document:
    """An order document: `card`, `device`, `to`, `billed`, `party`, `customer`, `total`, `declined`, `refunds`, `status`."""
    card = more.get("card")
    payments = [{"card": card, "status": "failed"}] * more.get("declined", 0) + [{"card": card, "status": "captured"}]
    to = more.get("to") or place(f"{number} High Street")
    return {
        "_id": f"sales.orderheader:{number}",
        "record": f"sales.orderheader:{number}",
        "placed_at": at,
        "status": more.get("status", "completed"),
        "total": Decimal128(str(more.get("total", 50))),
        "currency": "GBP",
        "device": more.get("device"),
        "delivery_address": to,
        "billing_address": more.get("billed", to),
        "party": more.get("party"),
        "customer_id": more.get("customer"),
        "payments": payments,
        "refunds": more.get("refunds", []),
    }


def refund(at: dt.datetime, amount: float, kind: str = "refund") -> Document:
    return {"refunded_at": at, "amount": Decimal128(str(amount)), "kind": kind}


def put_orders(store: Store, orders: Iterable[Document]) -> None:
    """As the station of orders writes them: on the work list of fraud."""
    for one in orders:
        whole = {**one, "_sv": {"hash": content_hash(one), "pending": ["fraud"]}}
        store.single_view["orders"].replace_one({"_id": one["_id"]}, whole, upsert=True)


def put_parties(store: Store, parties: Iterable[Document]) -> None:
    for one in parties:
        store.identity["party_records"].replace_one({"_id": one["_id"]}, one, upsert=True)


def delete_order(store: Store, number: int) -> None:
    """As the station of orders does: a note for the readers, then the order goes."""
    identifier = f"sales.orderheader:{number}"
    note = {"$set": {"of": "orders"}, "$addToSet": {"_sv.pending": "fraud"}, "$inc": {"_sv.revision": 1}}
    store.single_view["gone"].bulk_write([UpdateOne({"_id": identifier}, note, upsert=True)])
    store.single_view["orders"].delete_one({"_id": identifier})


def run(store: Store, **more: Any) -> list[StationReport]:
    """All stations but the training, in their order."""
    reports = [refresh_signals(store, **more), refresh_scores(store, **more), refresh_cases(store, **more)]
    return [*reports, refresh_metrics(store)]


def signals(store: Store, number: int) -> dict[str, float]:
    found = store.fraud["signals"].find_one({"_id": f"sales.orderheader:{number}"})
    assert found is not None
    return dict(found["signals"])


def everything(store: Store) -> dict[str, dict[Any, Document]]:
    """All that the stations wrote, without counters, and without what a case says of the run in which it opened."""
    return {
        name: {d["_id"]: _timeless(d) for d in store.fraud[name].find({})}
        for name in ("facts", "signals", "scores", "cases")
    }


def _timeless(document: Document) -> Document:
    kept = {k: v for k, v in document.items() if k not in ("opened_at", "opened_by", "model", "_sv")}
    return {**kept, "pending": document["_sv"].get("pending")}


def waiting(store: Store) -> int:
    """How many documents are on any work list of fraud."""
    read = [store.single_view[name] for name in ("orders", "customers", "gone")]
    own = [store.fraud[name] for name in ("facts", "signals", "scores", "events")]
    listed = sum(collection.count_documents({"_sv.pending": "fraud"}) for collection in read)
    return listed + sum(collection.count_documents({"_sv.pending": {"$exists": True}}) for collection in own)
