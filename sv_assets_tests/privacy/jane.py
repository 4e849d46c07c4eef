"""Jane, who is in every system under variants of her name and contacts; Peter, who lives with her; and Mary, a stranger."""

import datetime as dt
import json
import re
import uuid
from pathlib import Path
from typing import Any

import bson
from bson import Decimal128

from sv_assets.access import Actor
from sv_assets.landing.archive import Archive
from sv_assets.landing.bookmarks import Bookmark
from sv_assets.landing.land_queue import _Landing
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.mongo import Document, Store
from sv_assets.sources.messages import Message
from sv_assets.sources.messages.open import open_message
from sv_assets.sources.records import Batch, Rejected
from sv_assets_tests.retailer import Retailer, day

IDENTIFIERS = (
    "jane.smith77@example.org", "Jane.Smith77@Example.ORG", "jane.smith77+shop@example.org", "07700 900123", "+447700900123",
    "Jane Smith", "J Smith", "Smyth", "crm.customer:1001", "sales.account:2001", "web.web_account_events:W-1", "12 Old Bakery Row",
    "PARCEL-77", "1980-03-07", "W-1", "Zorblax",
)  # fmt: skip
HANDLER = Actor("olive", "privacy_officer", "subject_access", reason="q-1")
HOME = {"Line1": "9 Mill Lane", "Line2": None, "Town": "York", "County": None, "Postcode": "YO1 7HH", "Country": "GB"}


class Estate(Retailer):
    """Lands Jane and her neighbours as the systems hold them, and keeps what it landed, to land it all again."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.landed: list[tuple[str, tuple[Document, ...], int]] = []
        self.messages: list[tuple[str, Message]] = []
        self.number = 0

    def land(self, key: str, *rows: Document, version: int | None = None) -> Outcome:
        self.number += 1
        version = version if version is not None else self.number
        self.landed.append((key, rows, version))
        return super().land(key, *rows, version=version)

    def send(self, key: str, body: Document, sent_at: dt.datetime | None = None, text: str | None = None) -> None:
        """A message through everything that a run does with it: archive, landing, quarantine."""
        message = Message(uuid.uuid4().hex, text or json.dumps(body), sent_at or day(3))
        self.messages.append((key, message))
        self.receive(key, message)

    def receive(self, key: str, message: Message) -> None:
        source = self.catalogue.source(key)
        archive = Archive(self.store, source)
        archive.prepare()
        writer = LandingWriter(self.store, self.catalogue, source, "test")
        _Landing(writer, archive, Bookmark(self.store, key, "queue")).land([open_message(source.queue, message, None)])

    def everything_again(self) -> None:
        """A full rebuild of every table, and all messages once more."""
        for key, rows, version in list(self.landed):
            super().land(key, *rows, version=version)
        for key, message in self.messages:
            self.receive(key, message)
        self.run()

    def web(self, account: str, number: int, **account_fields: Any) -> Document:
        return {
            "event_id": uuid.uuid4().hex, "version": number, "occurred_at": day(2).isoformat(), "type": "profile.changed",
            "account": {"id": account, **account_fields}, "preferences": {"email": True, "sms": False, "post": True, "phone": False},
        }  # fmt: skip

    def fill(self) -> "Estate":
        columns = {
            "Email": "jane.smith77@example.org",
            "Mobile": "07700 900123",
            "DateOfBirth": dt.datetime(1980, 3, 7, tzinfo=dt.timezone.utc),
            "ModifiedAt": day(1),
        }
        self.customer(1001, "Jane", "Smith", **columns, Phone="01904 960123", Title="Mrs")
        self.customer(
            1002,
            "Peter",
            "Jones",
            Email="peter.jones5@example.org",
            Phone="01904 960123",
            Title="Mr",
            ModifiedAt=day(1),
        )
        self.customer(1003, "Mary", "Brown", Email="mary.brown9@example.org", Mobile="07700 900777", ModifiedAt=day(1))
        for n, (customer, kind) in enumerate([(1001, "home"), (1002, "home"), (1003, "home")]):
            where = (
                HOME if customer != 1003 else {**HOME, "Line1": "4 Far Road", "Postcode": "LS1 4AP", "Town": "Leeds"}
            )
            self.land(
                "crm.customeraddress",
                {
                    "AddressId": 50 + n,
                    "CustomerId": customer,
                    "AddressType": kind,
                    **where,
                    "ValidFrom": day(0),
                    "ValidTo": None,
                    "ModifiedAt": day(1),
                },
            )
        self.land(
            "crm.customeraddress",
            {
                "AddressId": 60,
                "CustomerId": 1001,
                "AddressType": "previous",
                **HOME,
                "Line1": "12 Old Bakery Row",
                "ValidFrom": day(-900),
                "ValidTo": day(0),
                "ModifiedAt": day(1),
            },
        )
        for customer in (1001, 1002, 1003):
            self.land(
                "crm.contactpreference",
                {
                    "CustomerId": customer,
                    "Purpose": "marketing",
                    "Channel": "email",
                    "OptedIn": True,
                    "RecordedAt": day(1),
                },
            )
        self.account(2001, "J", "Smith", EmailAddress="Jane.Smith77@Example.ORG", CrmCustomerId=1001, ModifiedAt=day(1))
        self.account(
            2002, "Peter", "Jones", EmailAddress="peter.jones5@example.org", CrmCustomerId=1002, ModifiedAt=day(1)
        )
        self.order(
            3001,
            AccountId=2001,
            GrandTotal=Decimal128("19.99"),
            Channel="web",
            DeliveryLine1="9 Mill Lane",
            DeliveryTown="York",
            DeliveryPostcode="YO1 7HH",
            ModifiedAt=day(1),
        )
        self.order(
            3002,
            GuestFirstName="Jane",
            GuestLastName="Smyth",
            GuestEmail="jane.smith77+shop@example.org",
            GuestPhone="+447700900123",
            GrandTotal=Decimal128("5.00"),
            ModifiedAt=day(1),
        )
        self.order(3003, AccountId=2002, GrandTotal=Decimal128("7.50"), Channel="web", ModifiedAt=day(1))
        for order in (3001, 3002, 3003):
            self.land(
                "sales.orderline",
                {
                    "OrderId": order,
                    "LineNumber": 1,
                    "Sku": "AB-1",
                    "Description": "Kettle",
                    "Quantity": 1,
                    "UnitPrice": Decimal128("5.00"),
                    "LineTotal": Decimal128("5.00"),
                },
            )
            self.land(
                "sales.payment",
                {
                    "PaymentId": uuid.UUID(int=order),
                    "OrderId": order,
                    "Method": "card",
                    "CardFingerprint": f"fp{order}",
                    "Amount": Decimal128("5.00"),
                    "Status": "ok",
                    "PaidAt": day(1),
                    "ModifiedAt": day(1),
                },
            )
        self.land(
            "sales.refund",
            {
                "RefundId": 1,
                "OrderId": 3001,
                "Amount": Decimal128("1.00"),
                "Reason": "asked by Zorblax",
                "RefundedAt": day(2),
                "ModifiedAt": day(2),
            },
        )
        self.land(
            "contactcentre.call",
            {
                "CallId": 7001,
                "CustomerNumber": 1001,
                "CallerName": None,
                "CallerNumber": None,
                "OrderNumber": "SO3001",
                "StartedAt": day(2),
                "DurationSeconds": 60,
                "Reason": "delivery",
                "Agent": "agent.kim",
                "Notes": "Jane Smith rang",
                "ModifiedAt": day(2),
            },
        )
        self.land(
            "contactcentre.call",
            {
                "CallId": 7002,
                "CustomerNumber": None,
                "CallerName": "Mrs J Smith",
                "CallerNumber": "07700 900123",
                "OrderNumber": "SO3001",
                "StartedAt": day(2),
                "DurationSeconds": 60,
                "Reason": "delivery",
                "Agent": "agent.kim",
                "Notes": None,
                "ModifiedAt": day(2),
            },
        )
        self.land(
            "contactcentre.call",
            {
                "CallId": 7003,
                "CustomerNumber": 1002,
                "CallerName": None,
                "CallerNumber": None,
                "OrderNumber": "SO3001",
                "StartedAt": day(2),
                "DurationSeconds": 60,
                "Reason": "delivery",
                "Agent": "agent.kim",
                "Notes": None,
                "ModifiedAt": day(2),
            },
        )
        self.land(
            "contactcentre.complaint",
            {
                "ComplaintId": 8001,
                "FirstName": "Jane",
                "Surname": "Smith",
                "Email": "jane.smith77@example.org",
                "Phone": None,
                "OrderNumber": "SO3001",
                "Category": "late",
                "Severity": 1,
                "Status": "open",
                "OpenedAt": day(2),
                "ClosedAt": None,
                "Description": "Late",
            },
        )
        for number in (1, 2):
            self.send(
                "web.web_account_events",
                self.web(
                    "W-1",
                    number,
                    email="jane.smith77@example.org",
                    first_name="Jane",
                    last_name="Smith",
                    phone="07700 900123",
                    customer_number=1001,
                    date_of_birth="1980-03-07",
                    address={"line1": "9 Mill Lane", "town": "York", "postcode": "YO1 7HH", "country": "GB"},
                ),
            )
        self.send(
            "web.web_account_events",
            self.web(
                "W-2",
                1,
                email="mary.brown9@example.org",
                first_name="Mary",
                last_name="Brown",
                phone=None,
                customer_number=1003,
            ),
        )
        self.send("web.web_account_events", {}, text='{"account": {"email": "jane.smith77@example.org"}, broken')
        for n in range(2):
            self.send(
                "delivery.delivery_events",
                {
                    "event_id": f"D-{n}",
                    "occurred_at": day(2 + n).isoformat(),
                    "order_number": f"SO300{1 + 2 * n}",
                    "status": "on its way",
                    "parcel": 1,
                    "sequence": 1,
                    "carrier": "Fast",
                    "delivery_reference": "PARCEL-77" if n == 0 else "PARCEL-88",
                },
            )
        source = self.catalogue.source("crm.customer")
        bad = Rejected(
            "1009",
            "DateOfBirth is no date",
            {"CustomerId": "1009", "Email": "JANE.SMITH77@example.org", "Surname": "Smith"},
        )
        LandingWriter(self.store, self.catalogue, source, "test").write(Batch([], [bad], {}, day(3)), Outcome())
        self.run()
        return self

    def id_of(self, record: str) -> str:
        found = self.store.identity["party_records"].find_one({"_id": record})
        assert found is not None
        return str(found["customer_id"])


def found_anywhere(
    store: Store, texts: tuple[str, ...], folder: Path | None = None, allowed: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    """A byte search of the test's own over every collection and file: (text, place)."""
    hits = []
    pattern = {
        t: re.compile(b"(?<![A-Za-z0-9])" + re.escape(t.encode()) + b"(?![A-Za-z0-9])", re.IGNORECASE) for t in texts
    }
    for name in store.client.list_database_names():
        if not name.startswith(store.prefix):
            continue
        for collection in store.client[name].list_collection_names():
            place = f"{name.removeprefix(store.prefix)}.{collection}"
            if place in allowed:
                continue
            for document in (
                store.client[name].get_collection(collection, codec_options=store.control.codec_options).find({})
            ):
                raw = bson.encode(document, codec_options=store.control.codec_options)
                hits += [(text, place) for text, p in pattern.items() if p.search(raw)]
    for path in folder.rglob("*") if folder else ():
        if path.is_file():
            hits += [
                (text, str(path.relative_to(folder))) for text, p in pattern.items() if p.search(path.read_bytes())
            ]
    return sorted(set(hits))
