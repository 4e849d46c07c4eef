"""A shop of any size for benchmarks: rows of the legacy systems, landed as captures land them. The n-th customer is always the same.

Half of the customers have an account in the web shop, which names their number in the stores; a customer has one order on
average, of one line, every fifth with a parcel; every tenth has rung or complained; three of four live alone.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sv_assets.catalogue import Catalogue, Source
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.local.generator.words import FEMALE_MID, MALE_MID, STREETS, SURNAMES, TOWNS
from sv_assets.mongo import Document, Store
from sv_assets.sources.keys import document_id, key_text
from sv_assets.sources.records import Batch, Record

_FIRST = (*FEMALE_MID, *MALE_MID)
_OPENED = dt.datetime(2024, 11, 1, tzinfo=dt.timezone.utc)
_TOGETHER = 2_000


def land_shop(store: Store, catalogue: Catalogue, customers: int) -> int:
    """Land the rows of this many customers. Returns how many rows there are."""
    landed = 0
    for key, rows in _tables(customers).items():
        source = catalogue.source(key)
        writer, outcome = LandingWriter(store, catalogue, source, "bench"), Outcome()
        for batch in _batches(source, rows):
            writer.write(batch, outcome)
        landed += outcome.landed
    return landed


def email_of(n: int) -> str:
    first, last = _names(n)
    return f"{first}.{last}.{n}@mailbox.example".lower().replace("'", "").replace("ö", "oe")


def mobile_of(n: int) -> str:
    """Nobody else's; nor are its last six digits, below a million customers."""
    return f"074{(n * 387_420_489 + 12_345) % 100_000_000:08}"


def order_number(n: int) -> str:
    return f"SO{n:09}"


def delivery_reference(n: int) -> str:
    return f"PW{n:010}"


def _tables(customers: int) -> dict[str, Iterator[Document]]:
    return {
        "crm.customer": map(_customer, range(customers)),
        "crm.customeraddress": map(_address, range(customers)),
        "crm.contactpreference": map(_preference, range(0, customers, 2)),
        "sales.account": map(_account, range(0, customers, 2)),
        "sales.orderheader": (_order(n, customers) for n in range(customers)),
        "sales.orderline": map(_line, range(customers)),
        "delivery.delivery_events": map(_delivery, range(0, customers, 5)),
        "contactcentre.call": map(_call, range(0, customers, 10)),
    }


def _batches(source: Source, rows: Iterable[Document]) -> Iterator[Batch]:
    iterator, now = iter(rows), dt.datetime.now(dt.timezone.utc)
    while records := [_record(source, row) for row in islice(iterator, _TOGETHER)]:
        yield Batch(records, [], {}, now)


def _record(source: Source, row: Document) -> Record:
    if source.is_queue:
        key = row[source.queue.key.removeprefix("$.")]
        return Record(key, key, {"body": row}, row["occurred_at"])
    identifier = document_id([row[name] for name in source.table.key])
    version: Any = (1).to_bytes(8) if source.table.capture.mode == "rowversion" else "1"
    return Record(identifier, key_text(identifier), row, version)


def _moment(n: int) -> dt.datetime:
    return _OPENED + dt.timedelta(minutes=n * 7919 % 1_051_200)


def _draw(n: int, what: int, below: int) -> int:
    """A number below `below` as if drawn by lot, the same each time; what is drawn for one thing says nothing of another."""
    return int.from_bytes(hashlib.blake2b(f"{what}:{n}".encode(), digest_size=8).digest()) % below


def _names(n: int) -> tuple[str, str]:
    return _FIRST[_draw(n, 1, len(_FIRST))], SURNAMES[_draw(n, 2, len(SURNAMES))]


def _customer(n: int) -> Document:
    first, last = _names(n)
    born = dt.datetime(1940, 1, 2, tzinfo=dt.timezone.utc) + dt.timedelta(days=_draw(n, 3, 24_000))
    return {
        "CustomerId": n, "Title": None, "FirstName": first, "Surname": last, "Email": email_of(n), "Phone": None,
        "Mobile": mobile_of(n), "DateOfBirth": born, "ModifiedAt": _moment(n),
    }  # fmt: skip


def _address(n: int) -> Document:
    home = n - (n % 4 == 1)  # of four customers two share a door
    town = TOWNS[_draw(home, 4, len(TOWNS))]
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    inward = f"{_draw(home, 5, 9) + 1}{letters[_draw(home, 6, 20)]}{letters[_draw(home, 7, 20)]}"
    street = f"{_draw(home, 8, 190) + 1} {STREETS[_draw(home, 9, len(STREETS))]}"
    return {
        "AddressId": n, "CustomerId": n, "AddressType": "home", "Line1": street, "Line2": None, "Town": town.name,
        "County": town.county, "Postcode": f"{town.outward}{_draw(home, 10, 9) + 1} {inward}", "Country": "GB",
        "ValidFrom": _moment(n + 1), "ValidTo": None,
    }  # fmt: skip


def _preference(n: int) -> Document:
    return {"CustomerId": n, "Purpose": "marketing", "Channel": "email", "OptedIn": n % 3 > 0, "RecordedAt": _moment(n)}


def _account(n: int) -> Document:
    first, last = _names(n)
    return {
        "AccountId": n, "CrmCustomerId": n, "FirstName": first, "LastName": last, "EmailAddress": email_of(n),
        "Telephone": mobile_of(n), "ModifiedAt": _moment(n + 2),
    }  # fmt: skip


def _order(n: int, customers: int) -> Document:
    guest = (
        "GuestFirstName",
        "GuestLastName",
        "GuestEmail",
        "GuestPhone",
        "DeliveryLine1",
        "DeliveryTown",
        "DeliveryPostcode",
    )
    account = (n * 31 % customers) // 2 * 2
    return {
        **dict.fromkeys(guest), "OrderId": n, "OrderNumber": order_number(n), "AccountId": account, "OrderDate": _moment(n),
        "Status": "completed" if n % 5 else "dispatched", "GrandTotal": f"{n % 300 + 5}.99", "CurrencyCode": "GBP", "Channel": "web",
    }  # fmt: skip


def _line(n: int) -> Document:
    price = f"{n % 300 + 5}.99"
    return {"OrderId": n, "LineNumber": 1, "Sku": f"SKU{n % 977}", "Description": "Jumper", "Quantity": 1, "UnitPrice": price, "LineTotal": price}  # fmt: skip


def _delivery(n: int) -> Document:
    at = _moment(n) + dt.timedelta(days=1)
    return {
        "event_id": f"E{n}", "order_number": order_number(n), "parcel": 1, "sequence": 1, "status": "dispatched",
        "carrier": "Parcelwing", "occurred_at": at.isoformat(), "delivery_reference": delivery_reference(n),
    }  # fmt: skip


def _call(n: int) -> Document:
    return {
        "CallId": n, "CustomerNumber": n, "CallerName": None, "CallerNumber": None, "StartedAt": _moment(n + 3),
        "Reason": "delivery", "DurationSeconds": 60 + n % 300, "OrderNumber": None, "Notes": None, "ModifiedAt": _moment(n + 3),
    }  # fmt: skip
