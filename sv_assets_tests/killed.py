"""Kills the stations at every write, in processes of their own, and compares what the next run makes of it.

Run as `python -m sv_assets_tests.killed <mongo url> <prefix> run|rerun <every>`; what is killed is a run of all stations, or a
full re-run of identity with another model (whose next run is one of all stations). The last line that it prints is a JSON
object: `{"writes": <how many there are>, "different": [<the write that was never sent, and which collection differs>]}`. Of the
writes each `every`-th is killed, so 1 is all.

The kill comes when the N-th write command is about to be sent, so the work of every write before it is done and none
after it: every boundary between two steps, once. No step may count on the process living a moment longer.
"""

import datetime as dt
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pymongo import MongoClient
from pymongo.monitoring import CommandListener, CommandStartedEvent

from sv_assets.identity import scoring
from sv_assets.identity.full import rerun
from sv_assets.identity.model import built_in
from sv_assets.identity.resolution import IdentityReport, store_model
from sv_assets.identity.settings import load_settings
from sv_assets.mongo import Document, Store
from sv_assets_tests.identity.small_estate import plain_predict
from sv_assets_tests.retailer import Retailer, day

WRITES = {"insert", "update", "delete", "findAndModify"}
KILLED = 137
BORN = {"DateOfBirth": dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc)}


class KillAtWrite(CommandListener):
    """Ends the process, without any ceremony, when it is about to send its N-th write to a station's collection."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen = 0

    def started(self, event: CommandStartedEvent) -> None:
        name = event.command_name
        if name not in WRITES or event.command.get(name) == "leases":
            return
        self.seen += 1
        if self.seen == self.number:
            os._exit(KILLED)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def before(shop: Retailer) -> None:
    """A settled state: customers, orders, interactions, consents."""
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", Phone="01632 960123")
    shop.customer(2, "Peter", "Smith", Email="peter@x.com", Phone="01632 960123")
    shop.customer(3, "Mary", "Jones", Email="mary@x.com")
    shop.customer(4, "Ann", "Gone")
    shop.account(11, "Jane", "Smith", EmailAddress="jane@x.com")
    shop.account(12, "Mary", "Jones", EmailAddress="mary@x.com")
    shop.account(13, "Zoe", "New", EmailAddress="zoe@x.com")
    shop.land("crm.contactpreference", _preference(1, 1), _preference(3, 0))
    shop.land("crm.customeraddress", {"AddressId": 7, "CustomerId": 3, "Line1": "1 High St", "Postcode": "SW1A 1AA"})
    shop.order(101, AccountId=11)
    shop.order(102, AccountId=12)
    shop.land("sales.orderline", _line(101, 1), _line(101, 2), _line(102, 1))
    shop.land("sales.payment", {"PaymentId": "p1", "OrderId": 101, "Amount": 5, "PaidAt": day(2)})
    shop.land(
        "contactcentre.complaint", {"ComplaintId": 5, "FirstName": "Mary", "Surname": "Jones", "Email": "mary@x.com"}
    )
    shop.run()


def change(shop: Retailer) -> None:
    """Everything that may happen to people and facts, at once."""
    shop.customer(1, "Jane", "Brown", Email="new@x.com")  # a split: account 11 is left behind
    shop.customer(2, "Peter", "Smith", Email="zoe@x.com")  # no merge: first names clash
    shop.account(13, "Pete", "Smith", EmailAddress="peter@x.com", CrmCustomerId=2)  # a merge
    shop.account(12, "Mary", "Jones", EmailAddress="other@x.com")  # leaves customer 3 ...
    shop.customer(5, "Mary", "Jones", Email="other@x.com")  # ... and makes a new customer with this one
    shop.delete("crm.customer", 4)  # a customer closes
    shop.land("crm.contactpreference", _preference(1, 0), _preference(5, 1))
    shop.delete("crm.contactpreference", '[3,"marketing","email"]')
    shop.land("crm.customeraddress", {"AddressId": 7, "CustomerId": 5, "Line1": "1 High St", "Postcode": "SW1A 1AA"})
    shop.order(103, GuestFirstName="Guest", GuestLastName="One", GuestEmail="guest@x.com")
    shop.order(104, AccountId=99)  # of an account that has not landed
    shop.delete("sales.orderline", "[101,2]")
    shop.land("sales.payment", {"PaymentId": "p1", "OrderId": 102, "Amount": 5, "PaidAt": day(2)})  # moves over
    shop.land("delivery.delivery_events", {"event_id": "e1", "order_number": "SO103", "status": "sent", "at": "x"})
    shop.land("web.web_account_events", {"account": {"id": "W1", "email": "w@x.com"}, "preferences": {"email": True}})


def state(store: Store) -> dict[str, dict[Any, Document]]:
    """Everything the stations wrote, without moments and counters of writes; work lists and events included."""
    found: dict[str, dict[Any, Document]] = {}
    for database in (store.landing, store.identity, store.single_view):
        for name in database.list_collection_names():
            found[name] = {d["_id"]: _timeless(d) for d in database[name].find({})}
    found["events"] = {_event_id(e): {**e, "_id": None} for e in found["events"].values()}
    return found


def _event_id(event: Document) -> str:
    """Closings and moves carry a counter of writes at the end of their ids, which a repeated write raises."""
    return str(event["_id"]).rpartition(":")[0] if event["kind"] in ("closed", "moved") else str(event["_id"])


def _timeless(document: Document) -> Document:
    kept = {k: v for k, v in document.items() if k not in ("at", "born", "since", "composed_at")}
    if "document" in kept:
        kept["document"] = _timeless(kept["document"])
    if "_sv" in kept:
        kept["_sv"] = {k: v for k, v in kept["_sv"].items() if k in ("hash", "pending", "given_up", "deleted")}
    return kept


def _preference(customer: int, opted_in: int) -> Document:
    return {"CustomerId": customer, "Purpose": "marketing", "Channel": "email", "OptedIn": opted_in}


def _line(order: int, number: int) -> Document:
    return {"OrderId": order, "LineNumber": number, "Sku": "A", "Quantity": 1}


def in_a_process_of_its_own(work: Callable[[], None]) -> int:
    """Runs it in a fork and returns the exit code."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def contents(store: Store) -> dict[tuple[str, str], list[Document]]:
    """Every document, by database and collection."""
    return {(d.name, name): list(d[name].find({})) for d in store.databases() for name in d.list_collection_names()}


def restore(store: Store, documents: dict[tuple[str, str], list[Document]]) -> None:
    """Puts back what was there, the indexes being there still."""
    for database in store.databases():
        for name in database.list_collection_names():
            database[name].delete_many({})
            if there := documents.get((database.name, name)):
                database[name].insert_many(there)


def another_model(store: Store) -> None:
    """Decide about everybody with a model that knows no households, and a lower threshold."""
    model = replace(built_in(), households=None)
    store_model(store, model)
    rerun(store, load_settings().model_copy(update={"threshold": -6.0}), model.version, IdentityReport())


def main(url: str, prefix: str, what: str, every: str) -> None:
    scoring.predict = plain_predict  # type: ignore[assignment]  # Splink would take most of the time, and writes nothing

    def opened(listener: CommandListener | None = None) -> Store:
        return Store(MongoClient(url, event_listeners=[listener] if listener else []), prefix)

    def prepare() -> None:
        shop = Retailer(opened())
        before(shop)
        if what == "run":
            change(shop)

    def killed_at(number: int) -> None:
        restore(opened(), changed)
        act(opened(KillAtWrite(number)))

    def act(store: Store) -> None:
        if what == "run":
            Retailer(store).run()
        else:
            another_model(store)

    def act_and_run() -> None:
        act(opened())
        Retailer(opened()).run()

    def run() -> None:
        """After a re-run that was killed: what is applied is carried out; where it was not yet, it is asked for again."""
        store = opened()
        if what == "rerun" and not is_applied(store):
            another_model(store)
        Retailer(store).run()

    def is_applied(store: Store) -> bool:
        state = store.identity["state"].find_one({"_id": "applied"})
        return state is not None and state["settings"]["threshold"] == -6.0

    def looked_at(look: Callable[[Store], Any]) -> Any:
        store = opened()
        try:
            return look(store)
        finally:
            store.close()

    assert in_a_process_of_its_own(prepare) == 0
    changed = looked_at(contents)
    assert in_a_process_of_its_own(act_and_run) == 0
    expected = looked_at(state)
    number, different = 1, []
    while (code := in_a_process_of_its_own(partial(killed_at, number))) == KILLED:
        assert in_a_process_of_its_own(run) == 0
        found = looked_at(state)
        different += [[number, n] for n in expected.keys() | found.keys() if expected.get(n) != found.get(n)]
        number += int(every)
    assert code == 0, f"the run that was not killed ended with {code}"
    print(json.dumps({"writes": number - 1, "different": different}))


if __name__ == "__main__":
    main(*sys.argv[1:])
