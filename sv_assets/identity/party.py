"""Party records: one for each source row that describes a person, raw values beside their compared form."""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pymongo import IndexModel, UpdateOne

from sv_assets.catalogue.feeds import AddressFields, PartyFeed, PartyReference, Reference
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source, address_fields
from sv_assets.identity.blocking import keys_of
from sv_assets.identity.compared import Description, PostalAddress, compared_form, identifies, is_more_than_a_name
from sv_assets.identity.settings import IdentitySettings, load_settings
from sv_assets.identity.workbench import form_hash, initials_of
from sv_assets.landing.documents import field_path, field_value, reference_value
from sv_assets.lease import lease
from sv_assets.mongo import (
    Document,
    Store,
    bulk_write,
    content_hash,
    ensure_indexes,
    find_many,
    put,
)
from sv_assets.progress import Progress
from sv_assets.sources.keys import key_text
from sv_assets.worklist import PENDING_INDEX, clear_pending, work_off

log = logging.getLogger(__name__)
STATION = "identity"
NAME_KEY, FORM_KEY, HOME_KEY = "record:", "form:", "home:"
"""What the keys begin with that are none of blocking's: the records named, the very same form, the home."""
INDEXES = [
    PENDING_INDEX,
    IndexModel([("keys", 1)]),
    IndexModel([("customer_id", 1)]),
    IndexModel([("addresses.record", 1)]),
    IndexModel([("quotes.number", 1)], sparse=True),
    IndexModel([("deleted", 1)], partialFilterExpression={"deleted": True}),
]


@dataclass
class StationReport:
    """What a station did: documents read from its work list, and written (`inserted`, `updated`, `deleted`)."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    details: dict[str, int] = field(default_factory=dict)

    @property
    def written(self) -> int:
        return self.inserted + self.updated + self.deleted

    def count(self, name: str, number: int = 1) -> None:
        self.details[name] = self.details.get(name, 0) + number

    def add(self, other: "StationReport") -> None:
        """Count what another run of the station did."""
        self.read += other.read
        self.inserted += other.inserted
        self.updated += other.updated
        self.deleted += other.deleted
        for name, number in other.details.items():
            self.count(name, number)


def refresh_party_records(
    store: Store, catalogue: Catalogue, settings: IdentitySettings | None = None, *, full: bool = False
) -> StationReport:
    """Bring the party records up to what has landed: of pending rows, or of all (`full`). Unchanged ones are not written.

    All are made anew when the settings say otherwise than last time how records are normalised or blocked. Default: those
    that are applied, so that a change of the file waits for the full run that applies it.
    """
    report = StationReport()
    settings = settings or _applied_settings(store) or load_settings()
    ensure_indexes(store.identity["party_records"], INDEXES)
    with lease(store, "identity"):
        state = store.identity["state"]
        made = state.find_one({"_id": "normalisation"})
        changed = made is not None and made["hash"] != settings.normalisation
        names = sorted({name for source in catalogue.feeding("party") for name in _party_feed(source).ids})
        work = _Work(store, catalogue, settings, report)
        for source in catalogue.feeding("address"):
            _refresh_from_addresses(work, source)
        for source in catalogue.feeding("party"):
            _refresh_from_people(work, source, full or changed)
        if made is None or changed or made["identifiers"] != names:
            state.replace_one(
                {"_id": "normalisation"}, {"hash": settings.normalisation, "identifiers": names}, upsert=True
            )
    return report


def _applied_settings(store: Store) -> IdentitySettings | None:
    applied = store.identity["state"].find_one({"_id": "applied"})
    return IdentitySettings.model_validate(applied["settings"]) if applied else None


@dataclass(frozen=True)
class _Work:
    """What a refresh works with."""

    store: Store
    catalogue: Catalogue
    settings: IdentitySettings
    report: StationReport


def _refresh_from_people(work: _Work, source: Source, full: bool) -> None:
    progress = Progress(f"party records of {source.key}", "rows")
    landed = work.store.landing[source.key]

    def write(rows: list[Document], records: list[Document]) -> None:
        _write(work.store, records, work.report)
        if source.feeds_into("order"):
            _write(work.store, _who_quotes(work, source, rows), work.report)
        bulk_write(landed, clear_pending(rows, STATION, "hash"))
        work.report.read += len(rows)
        progress.advance(len(rows))

    work_off(landed, STATION, 1000, lambda rows: _party_records(work, source, rows), write, everything=full)


def _refresh_from_addresses(work: _Work, source: Source) -> None:
    """A changed address concerns the person it points to now, and the one it pointed to before.

    Those who are on the work list themselves are left to it: they are made later in the same run, or in the next one.
    """
    store, catalogue = work.store, work.catalogue
    feed = source.entry.feeds.address
    assert feed is not None
    owner = catalogue.referred(source, feed.party)
    landed = store.landing[source.key]

    def build(rows: list[Document]) -> list[Document]:
        keys = {value for row in rows if (value := reference_value(source, row, feed.party.key)) is not None}
        addresses = [source.record_id(key_text(row["_id"])) for row in rows]
        before = find_many(store.identity["party_records"], "addresses.record", addresses, {"key": 1, "source": 1})
        keys.update(record["key"] for record in before if record["source"] == owner.key)
        people = find_many(store.landing[owner.key], "_id", keys)
        return _party_records(work, owner, [p for p in people if STATION not in p["_sv"].get("pending", ())])

    def write(rows: list[Document], records: list[Document]) -> None:
        _write(store, records, work.report)
        bulk_write(landed, clear_pending(rows, STATION, "hash"))
        work.report.read += len(rows)

    work_off(landed, STATION, 1000, build, write)


def _party_feed(source: Source) -> PartyFeed:
    feed = source.entry.feeds.party
    assert feed is not None
    return feed


def _party_records(work: _Work, source: Source, rows: list[Document]) -> list[Document]:
    feed = _party_feed(source)
    addresses = _addresses_of(work.store, work.catalogue, source, rows)
    quotes = _quotes_of(work, source, rows)
    return [
        _party_record(work, source, feed, row, addresses.get(row["_id"], []), quotes.get(row["_id"], []))
        for row in rows
    ]


def _quotes_of(work: _Work, source: Source, rows: list[Document]) -> dict[Any, list[Document]]:
    """By row, the orders that it names: `{number: <orders>:<number>, record}`, with who placed it where that is known."""
    found: dict[Any, list[Document]] = defaultdict(list)
    for reference in _party_feed(source).quotes:
        orders = work.catalogue.order_source(reference.system or source.system)
        feed = orders.entry.feeds.order
        assert feed is not None
        named = {row["_id"]: reference_value(source, row, reference.number or reference.id or "") for row in rows}
        wanted = {value for value in named.values() if value is not None}
        column = field_path(orders, feed.number) if reference.number else "_id"
        placed = {
            reference_value(orders, order, feed.number) if reference.number else order["_id"]: party_of(
                work.catalogue, orders, feed.party, order
            )
            for order in find_many(work.store.landing[orders.key], column, wanted)
            if not order["_sv"]["deleted"] and "erased" not in order["_sv"]
        }
        for row, value in named.items():
            if value in wanted:
                found[row].append({"number": f"{orders.key}:{value}", "record": placed.get(value)})
    return found


def _who_quotes(work: _Work, orders: Source, rows: list[Document]) -> list[Document]:
    """The party records that name one of these orders, made anew."""
    feed = orders.entry.feeds.order
    assert feed is not None
    numbers = {
        f"{orders.key}:{value}" for row in rows for value in (reference_value(orders, row, feed.number), row["_id"])
    }
    keys: dict[str, set[Any]] = defaultdict(set)
    for record in find_many(work.store.identity["party_records"], "quotes.number", numbers, {"source": 1, "key": 1}):
        keys[record["source"]].add(record["key"])
    return [
        record
        for key, found in sorted(keys.items())
        for record in _party_records(
            work, work.catalogue.source(key), list(find_many(work.store.landing[key], "_id", found))
        )
    ]


def party_of(catalogue: Catalogue, source: Source, reference: PartyReference, row: Document) -> str | None:
    """The id of the party record that a row points to; None where it points nowhere."""
    if isinstance(reference, Reference):
        key = field_value(source, row, reference.key)
        if key is not None:
            return catalogue.referred(source, reference).record_id(key_text(key))
        if reference.otherwise is None:
            return None
    return source.record_id(key_text(row["_id"]))


def _addresses_of(store: Store, catalogue: Catalogue, owner: Source, rows: list[Document]) -> dict[Any, list[Document]]:
    """By the `_id` of the owner's row, the addresses that other sources hold for it."""
    found: dict[Any, list[Document]] = defaultdict(list)
    for source in catalogue.feeding("address"):
        feed = source.entry.feeds.address
        assert feed is not None
        if catalogue.referred(source, feed.party) != owner:
            continue
        for row in find_many(store.landing[source.key], field_path(source, feed.party.key), [r["_id"] for r in rows]):
            if not row["_sv"]["deleted"]:
                found[reference_value(source, row, feed.party.key)].append(_address(source, feed, row))
    return {key: sorted(items, key=lambda a: str(a["record"])) for key, items in found.items()}


def _address(source: Source, fields: AddressFields, row: Document) -> Document:
    address = {name: field_value(source, row, spec) for name, spec in address_fields(fields).items()}
    return {
        **address,
        "record": source.record_id(key_text(row["_id"])),
        "system": source.system,
        "table": source.name,
        "key": row["_id"],
        "version": row_version(source, row),
    }


def _party_record(
    work: _Work, source: Source, feed: PartyFeed, row: Document, addresses: list[Document], quotes: list[Document]
) -> Document:
    def value(spec: str | None) -> Any:
        return field_value(source, row, spec)

    deleted = (
        row["_sv"]["deleted"]
        or "erased" in row["_sv"]
        or (feed.when_empty is not None and value(feed.when_empty) is not None)
    )
    name = {part: value(getattr(feed.name, part)) for part in type(feed.name).model_fields if getattr(feed.name, part)}
    emails = [v for spec in feed.email if isinstance(v := value(spec), str)]
    phones = [v for spec in feed.phone if isinstance(v := value(spec), str)]
    if feed.address and any(isinstance(value(spec), str) for spec in (feed.address.line_1, feed.address.postcode)):
        addresses = [*addresses, _address(source, feed.address, row)]
    record_id = source.record_id(key_text(row["_id"]))
    same_as = [
        work.catalogue.referred(source, reference).record_id(key_text(target))
        for reference in feed.same_as
        if (target := value(reference.key)) is not None
    ]
    born = value(feed.date_of_birth)
    ids = {
        kind: v for kind, spec in feed.ids.items() if (v := value(spec)) is not None and not isinstance(v, (dict, list))
    }
    compared = compared_form(
        Description(
            title=_text(name.get("title")),
            first=_texts(name.get("first")),
            middle=_texts(name.get("middle")),
            last=_texts(name.get("last")),
            full=_text(name.get("full")),
            emails=tuple(emails),
            phones=tuple(phones),
            born=born if isinstance(born, (str, dt.datetime)) else None,
            addresses=tuple(_postal(address) for address in addresses),
            ids={kind: (str(v),) for kind, v in ids.items()},
        ),
        work.settings.values_of_nobody,
        feed.region,
    )
    placed_by = [quote["record"] for quote in quotes if quote["record"]]
    return {
        "_id": record_id,
        "source": source.key,
        "system": source.system,
        "table": source.name,
        "key": row["_id"],
        "version": row_version(source, row),
        "observed_at": value(feed.observed_at),
        "name": {part: v for part, v in name.items() if v is not None},
        "emails": emails,
        "phones": phones,
        "date_of_birth": born,
        "addresses": addresses,
        "ids": ids,
        "same_as": same_as,
        "quotes": quotes,
        "compared": compared,
        "identified": identifies(compared),
        "keys": [] if deleted else record_keys(record_id, [*same_as, *placed_by], compared, work.settings),
        "deleted": deleted,
        **({"region": feed.region} if feed.region != "GB" else {}),
        **({"opened_at": value(feed.opened_at)} if feed.opened_at else {}),
    }


def record_keys(record_id: str, named: Iterable[str], compared: Document, settings: IdentitySettings) -> list[str]:
    """By what other records are found that may be one person with this one, or live with them.

    Beside the keys of blocking: `record:` the record itself and those that it names, `form:` what it says as a whole (where
    two records that say so are one person), `home:` where it lives.
    """
    keys = {f"{NAME_KEY}{record_id}", *(f"{NAME_KEY}{other}" for other in named), *keys_of(compared, settings)}
    if is_more_than_a_name(compared):
        keys.add(f"{FORM_KEY}{form_hash(compared)}")
    keys.update(f"{HOME_KEY}{home}" for home in compared.get("homes", ()))
    return sorted(keys)


def _postal(address: Document) -> PostalAddress:
    fields = ("line_1", "line_2", "town", "county", "postcode", "country")
    return PostalAddress(**{name: _text(address.get(name)) for name in fields})


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _texts(value: Any) -> tuple[str, ...]:
    return (text,) if (text := _text(value)) else ()


def row_version(source: Source, row: Document) -> Any:
    """The version of a landed row, for provenance: as its source gives it.

    A snapshot knows only when it read a row, which depends on how often it ran; there the hash of the content stands
    for the version.
    """
    by_snapshot = not source.is_queue and source.table.capture.mode == "snapshot"
    return row["_sv"]["hash" if by_snapshot else "version"]


def matched_state(record: Document) -> Document:
    """What others depend on of a record: `{form, initials, keys}`."""
    form = record["compared"]
    return {"form": form_hash(form), "initials": initials_of(form), "keys": record["keys"]}


def _write(store: Store, records: list[Document], report: StationReport) -> None:
    """Write what changed, and put it on the work list of matching. The `customer_id` of a record is never touched here.

    `_sv.before` is what a record was when it was last matched, as far as others depend on it: `{form, initials, keys}`.
    `_sv.new` says that it never was.
    """
    collection = store.identity["party_records"]
    ids = [record["_id"] for record in records]
    stored = {d["_id"]: d for d in find_many(collection, "_id", ids, {"_sv": 1, "keys": 1, "compared": 1})}
    new: list[Document] = []
    updates = []
    for record in records:
        before = stored.get(record["_id"])
        if before is None and record["deleted"]:
            continue
        content = content_hash(record)
        if before is not None and before["_sv"].get("hash") == content:
            continue
        if before is None:
            new.append({**record, "_sv": {"hash": content, "pending": ["match"], "revision": 1, "new": True}})
            continue
        fields = {name: value for name, value in record.items() if name != "_id"}
        if not ("new" in before["_sv"] or "before" in before["_sv"]):
            fields["_sv.before"] = matched_state(before)
        updates.append(
            UpdateOne(
                {"_id": record["_id"]},
                {
                    "$set": {**fields, "_sv.hash": content},
                    "$addToSet": {"_sv.pending": "match"},
                    "$inc": {"_sv.revision": 1},
                },
            )
        )
    inserted, _ = put(collection, new, ())
    _, updated = bulk_write(collection, updates)
    report.inserted += inserted
    report.updated += updated
