"""Party records: one for each source row that describes a person, raw values beside their compared form."""

import datetime as dt
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pymongo import IndexModel, UpdateOne

from sv_assets.catalogue.feeds import AddressFields, PartyFeed
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source, address_fields
from sv_assets.identity import normalise
from sv_assets.identity.normalise import PersonName
from sv_assets.landing.documents import field_path, field_value
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
from sv_assets.sources.keys import key_text, key_value
from sv_assets.worklist import PENDING_INDEX, clear_pending, work_off

log = logging.getLogger(__name__)
STATION = "identity"
MAX_SHARED = 60
"""A key that more records than this share is no evidence."""
INDEXES = [
    PENDING_INDEX,
    IndexModel([("keys", 1)]),
    IndexModel([("customer_id", 1)]),
    IndexModel([("addresses.record", 1)]),
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


def refresh_party_records(store: Store, catalogue: Catalogue, *, full: bool = False) -> StationReport:
    """Bring the party records up to what has landed: of pending rows, or of all (`full`). Unchanged ones are not written."""
    report = StationReport()
    ensure_indexes(store.identity["party_records"], INDEXES)
    with lease(store, "identity"):
        for source in catalogue.feeding("party"):
            _refresh_from_people(store, catalogue, source, report, full)
        for source in catalogue.feeding("address"):
            _refresh_from_addresses(store, catalogue, source, report)
    return report


def _refresh_from_people(store: Store, catalogue: Catalogue, source: Source, report: StationReport, full: bool) -> None:
    progress = Progress(f"party records of {source.key}", "rows")
    landed = store.landing[source.key]

    def write(rows: list[Document], records: list[Document]) -> None:
        _write(store, records, report)
        bulk_write(landed, clear_pending(rows, STATION, "hash"))
        report.read += len(rows)
        progress.advance(len(rows))

    work_off(landed, STATION, 1000, lambda rows: _party_records(store, catalogue, source, rows), write, everything=full)


def _refresh_from_addresses(store: Store, catalogue: Catalogue, source: Source, report: StationReport) -> None:
    """A changed address concerns the person it points to now, and the one it pointed to before."""
    feed = source.entry.feeds.address
    assert feed is not None
    owner = catalogue.referred(source, feed.party)
    landed = store.landing[source.key]

    def build(rows: list[Document]) -> list[Document]:
        keys = {value for row in rows if (value := reference_value(source, row, feed.party.key)) is not None}
        addresses = [source.record_id(key_text(row["_id"])) for row in rows]
        before = find_many(store.identity["party_records"], "addresses.record", addresses, {"key": 1, "source": 1})
        keys.update(record["key"] for record in before if record["source"] == owner.key)
        return _party_records(store, catalogue, owner, list(find_many(store.landing[owner.key], "_id", keys)))

    def write(rows: list[Document], records: list[Document]) -> None:
        _write(store, records, report)
        bulk_write(landed, clear_pending(rows, STATION, "hash"))
        report.read += len(rows)

    work_off(landed, STATION, 1000, build, write)


def _party_records(store: Store, catalogue: Catalogue, source: Source, rows: list[Document]) -> list[Document]:
    feed = source.entry.feeds.party
    assert feed is not None
    addresses = _addresses_of(store, catalogue, source, rows)
    return [_party_record(catalogue, source, feed, row, addresses.get(row["_id"], [])) for row in rows]


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
    catalogue: Catalogue, source: Source, feed: PartyFeed, row: Document, addresses: list[Document]
) -> Document:
    def value(spec: str | None) -> Any:
        return field_value(source, row, spec)

    deleted = row["_sv"]["deleted"] or (feed.when_empty is not None and value(feed.when_empty) is not None)
    name = {part: value(getattr(feed.name, part)) for part in type(feed.name).model_fields if getattr(feed.name, part)}
    emails = [v for spec in feed.email if isinstance(v := value(spec), str)]
    phones = [v for spec in feed.phone if isinstance(v := value(spec), str)]
    if feed.address and any(isinstance(value(spec), str) for spec in (feed.address.line_1, feed.address.postcode)):
        addresses = [*addresses, _address(source, feed.address, row)]
    record_id = source.record_id(key_text(row["_id"]))
    same_as = [
        catalogue.referred(source, reference).record_id(key_text(target))
        for reference in feed.same_as
        if (target := value(reference.key)) is not None
    ]
    born = value(feed.date_of_birth)
    compared = compared_form(
        **{part: v for part, v in name.items() if part != "middle" and isinstance(v, str)},
        emails=emails,
        phones=phones,
        born=born if isinstance(born, (str, dt.datetime)) else None,
    )
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
        "same_as": same_as,
        "compared": compared,
        "keys": [] if deleted else match_keys(record_id, same_as, compared),
        "deleted": deleted,
    }


def row_version(source: Source, row: Document) -> Any:
    """The version of a landed row, for provenance: as its source gives it.

    A snapshot knows only when it read a row, which depends on how often it ran; there the hash of the content stands
    for the version.
    """
    by_snapshot = not source.is_queue and source.table.capture.mode == "snapshot"
    return row["_sv"]["hash" if by_snapshot else "version"]


def reference_value(source: Source, row: Document, path: str) -> Any:
    """The key that a row points to another row with; None where there is none. A message may hold what is no key at all."""
    value = key_value(field_value(source, row, path))
    return None if isinstance(value, (dict, list)) else value


def compared_form(
    *,
    title: str | None = None,
    first: str | None = None,
    last: str | None = None,
    full: str | None = None,
    emails: Iterable[str] = (),
    phones: Iterable[str] = (),
    born: dt.date | str | None = None,
) -> Document:
    """What of a person is compared: `{first, last, gender, emails, phones, born}`, normalised, each possibly empty."""
    name: PersonName = normalise.person_name(title=title, first=first, last=last, full=full)
    date = normalise.birth_date(born)
    return {
        "first": name.first,
        "last": name.last,
        "gender": name.gender,
        "emails": sorted({v for raw in emails if (v := normalise.email(raw))}),
        "phones": sorted({v for raw in phones if (v := normalise.phone(raw))}),
        "born": date.isoformat() if date else None,
    }


def match_keys(record_id: str, same_as: Iterable[str], compared: Document) -> list[str]:
    """What two records must share to be looked at as one person; prefixed with the rule that it serves."""
    keys = {f"record:{record_id}"}
    keys.update(f"record:{other}" for other in same_as)
    keys.update(f"email:{value}" for value in compared["emails"])
    if compared["last"]:
        keys.update(f"phone:{value} {compared['last']}" for value in compared["phones"])
    return sorted(keys)


def _write(store: Store, records: list[Document], report: StationReport) -> None:
    """Write what changed, and put it on the work list of matching. The `customer_id` of a record is never touched here.

    `_sv.given_up` are the keys that a record had before and that too many shared: without it they may be evidence.
    """
    collection = store.identity["party_records"]
    ids = [record["_id"] for record in records]
    stored = {d["_id"]: d for d in find_many(collection, "_id", ids, {"_sv.hash": 1, "keys": 1})}
    lost = {r["_id"]: set(stored[r["_id"]]["keys"]) - set(r["keys"]) for r in records if r["_id"] in stored}
    over_shared = _over_shared(store, set().union(*lost.values()))
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
            new.append({**record, "_sv": {"hash": content, "pending": ["match"], "revision": 1}})
            continue
        fields = {name: value for name, value in record.items() if name != "_id"}
        given_up = sorted(lost.get(record["_id"], set()) & over_shared)
        updates.append(
            UpdateOne(
                {"_id": record["_id"]},
                {
                    "$set": {**fields, "_sv.hash": content},
                    "$addToSet": {
                        "_sv.pending": "match",
                        **({"_sv.given_up": {"$each": given_up}} if given_up else {}),
                    },
                    "$inc": {"_sv.revision": 1},
                },
            )
        )
    inserted, _ = put(collection, new, ())
    _, updated = bulk_write(collection, updates)
    report.inserted += inserted
    report.updated += updated


def _over_shared(store: Store, keys: set[str]) -> set[str]:
    """Those of the keys that more than `MAX_SHARED` records share now."""
    found = find_many(store.identity["party_records"], "keys", keys, {"keys": 1})
    shared = Counter(key for record in {r["_id"]: r for r in found}.values() for key in record["keys"])
    return {key for key in keys if shared[key] > MAX_SHARED}
