"""The project's own catalogue over a store of the test's own: land rows by hand, run the stations, look at what came out."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import count
from typing import Any

from sv_assets.access import Actor
from sv_assets.catalogue import Catalogue, Source, load_catalogue
from sv_assets.catalogue.capture import RowversionCapture
from sv_assets.contact_centre.calls import STATION as CALLS
from sv_assets.customers.contacts import CONSENTS, FLAGS, INTERACTIONS
from sv_assets.customers.customers import refresh_customers
from sv_assets.customers.facts import refresh_facts
from sv_assets.customers.orders import ORDERS
from sv_assets.identity.party import StationReport, refresh_party_records
from sv_assets.identity.resolution import refresh_identities
from sv_assets.landing.documents import Origin
from sv_assets.landing.statements import tombstone
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.mongo import Document, Store, bulk_write
from sv_assets.sealing import opened
from sv_assets.settings import PROJECT_ROOT
from sv_assets.sources.keys import document_id, key_text
from sv_assets.sources.records import Batch, Record, Version

OFFICER = Actor("olive", "privacy_officer", "audit", reason="test")
"""Who sees all there is."""
DAY = dt.datetime(2026, 11, 1, tzinfo=dt.timezone.utc)


@lru_cache
def catalogue() -> Catalogue:
    """As committed, whatever the environment says."""
    return load_catalogue(PROJECT_ROOT / "sv_assets" / "defs" / "legacy")


def day(number: int) -> dt.datetime:
    """The number-th day of the test's time."""
    return DAY + dt.timedelta(days=number)


class Retailer:
    """Lands rows and messages with rising versions, as captures would, and runs the stations in their order."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.catalogue = catalogue()
        self._writers: dict[str, LandingWriter] = {}
        self._versions = count(1)

    # --- landing -----------------------------------------------------------------------------------------------------

    def land(self, key: str, *rows: Document, version: int | None = None) -> Outcome:
        """Land rows of a table, or bodies of messages, as the next version (or the one that is given)."""
        source, outcome = self.catalogue.source(key), Outcome()
        number = version if version is not None else next(self._versions)
        records = [_record(source, row, number) for row in rows]
        self._writer(source).write(Batch(records, [], {}, dt.datetime.now(dt.timezone.utc)), outcome)
        return outcome

    def delete(self, key: str, *ids: Any) -> None:
        """Land tombstones."""
        source = self.catalogue.source(key)
        origin = Origin(source, "test", dt.datetime.now(dt.timezone.utc))
        version = _version(source, next(self._versions))
        bulk_write(self._writer(source).collection, [tombstone(origin, i, version) for i in ids])

    def customer(self, number: int, first: str | None, last: str | None, **columns: Any) -> str:
        """Land a row of crm.customer; returns its record id."""
        row = dict.fromkeys(("Title", "Email", "Phone", "Mobile", "DateOfBirth", "ModifiedAt"))
        self.land("crm.customer", {**row, "CustomerId": number, "FirstName": first, "Surname": last, **columns})
        return f"crm.customer:{number}"

    def account(self, number: int, first: str | None, last: str | None, **columns: Any) -> str:
        """Land a row of sales.account; returns its record id."""
        row = dict.fromkeys(("CrmCustomerId", "EmailAddress", "Telephone", "ModifiedAt"))
        self.land("sales.account", {**row, "AccountId": number, "FirstName": first, "LastName": last, **columns})
        return f"sales.account:{number}"

    def order(self, number: int, **columns: Any) -> str:
        """Land a row of sales.orderheader (a guest's, unless AccountId is given); returns the order's id."""
        guest = ("GuestFirstName", "GuestLastName", "GuestEmail", "GuestPhone")
        where = ("DeliveryLine1", "DeliveryTown", "DeliveryPostcode")
        order = {"OrderNumber": f"SO{number}", "OrderDate": day(1), "Status": "placed", "CurrencyCode": "GBP"}
        empty = dict.fromkeys(("AccountId", *guest, *where, "Channel", "GrandTotal"))
        row = {**empty, **order, "OrderId": number, **columns}
        self.land("sales.orderheader", row)
        return f"sales.orderheader:{number}"

    # --- stations ----------------------------------------------------------------------------------------------------

    def identify(self) -> list[StationReport]:
        """Party records, then links, clusters and ids."""
        return [refresh_party_records(self.store, self.catalogue), refresh_identities(self.store)]

    def run(self) -> list[StationReport]:
        """Everything after landing; returns the reports of the stations in their order."""
        reports = self.identify()
        reports += [refresh_facts(self.store, self.catalogue, s) for s in (ORDERS, INTERACTIONS, CONSENTS, FLAGS)]
        return [*reports, refresh_customers(self.store, self.catalogue)]

    # --- what came out -----------------------------------------------------------------------------------------------

    def customer_ids(self) -> dict[str, str]:
        """The customer of each live party record."""
        found = self.store.identity["party_records"].find({}, {"customer_id": 1, "deleted": 1})
        return {r["_id"]: r["customer_id"] for r in found if not r["deleted"]}

    def people(self) -> set[frozenset[str]]:
        """The party records that are one customer, without the ids."""
        groups: dict[str, set[str]] = defaultdict(set)
        for record, customer in self.customer_ids().items():
            groups[customer].add(record)
        return {frozenset(records) for records in groups.values()}

    def customers(self) -> dict[str, Document]:
        """All customer documents, by id, with what is sealed in them in the clear."""
        return {d["_id"]: d for d in opened(self.store, list(self.store.single_view["customers"].find({})))}

    def the_customer(self) -> Document:
        """The only customer document there is."""
        (document,) = self.customers().values()
        return document

    def the_order(self, number: int) -> Document | None:
        """One order document."""
        return self.store.single_view["orders"].find_one({"_id": f"sales.orderheader:{number}"})

    def events(self, kind: str) -> list[Document]:
        """The identity events of one kind, in the order of their ids."""
        return sorted(self.store.identity["events"].find({"kind": kind}), key=lambda e: str(e["_id"]))

    def links(self) -> dict[tuple[str, ...], list[str]]:
        """The rules of each link, by its two ends."""
        return {tuple(link["ends"]): link["rules"] for link in self.store.identity["links"].find({})}

    def waiting(self) -> dict[str, int]:
        """How many documents are on each work list of the stations run here, whatever collection they are in; only lists with some."""
        collections = [
            *(self.store.landing[s.key] for s in self.catalogue.sources),
            *(self.store.identity[name] for name in ("party_records", "clusters")),
        ]
        found = (document for c in collections for document in c.find({}, {"_sv.pending": 1}))
        waiting = Counter(station for document in found for station in document["_sv"].get("pending", []))
        return {station: count for station, count in waiting.items() if station != CALLS}

    def _writer(self, source: Source) -> LandingWriter:
        if source.key not in self._writers:
            self._writers[source.key] = LandingWriter(self.store, self.catalogue, source, "test")
        return self._writers[source.key]


def written(reports: Iterable[StationReport]) -> int:
    """The documents that stations wrote."""
    return sum(report.written for report in reports)


def _version(source: Source, number: int) -> Version:
    if source.is_queue:
        return number if source.queue.version == "$.version" else f"{number:019d}"
    return number.to_bytes(8) if isinstance(source.table.capture, RowversionCapture) else f"{number:019d}"


def _record(source: Source, row: Document, number: int) -> Record:
    if source.is_queue:
        value: Any = row
        for part in source.queue.key.removeprefix("$.").split("."):
            value = value[part]
        return Record(value, value, {"body": row}, _version(source, number))
    identifier = document_id([row[name] for name in source.table.key])
    return Record(identifier, key_text(identifier), row, _version(source, number))
