"""Links: two party records are one person, by which rule, on which evidence.

| rule               | the two records share                                   | not if                                    |
|--------------------|---------------------------------------------------------|-------------------------------------------|
| given_by_source    | one names the other, or both name the same third record | never refused                             |
| email              | a normalised e-mail address                             | first names, titles or birth dates clash  |
| phone_and_surname  | a phone number in E.164, and the surname                | first names, titles or birth dates clash  |

A key that more than `MAX_SHARED` records share is no evidence (a switchboard, a placeholder nobody listed, a "walk-in customer" number). When a key
comes to be shared by more than that, or by fewer again, the links of all its records are decided anew.
"""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pymongo import IndexModel, UpdateMany

from sv_assets.identity import normalise
from sv_assets.identity.party import MAX_SHARED, StationReport
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, bulk_write, ensure_indexes, find_many, put
from sv_assets.progress import Progress
from sv_assets.worklist import clear_pending, mark_pending, work_off

log = logging.getLogger(__name__)
INDEXES = [IndexModel([("ends", 1)])]
STRENGTH = {"given_by_source": 3, "email": 2, "phone_and_surname": 1}
_RULE_OF_PREFIX = {"record": "given_by_source", "email": "email", "phone": "phone_and_surname"}


@dataclass(frozen=True)
class Decided:
    """Records, and every link that they have, by its id."""

    records: set[str]
    links: dict[str, Document]


def refresh_links(store: Store) -> StationReport:
    """Bring the links up to the party records that changed: new ones are written, those without evidence removed."""
    report = StationReport()
    ensure_indexes(store.identity["links"], INDEXES)
    progress = Progress("links", "party records")

    def write(batch: list[Document], decided: Decided) -> None:
        _write(store, batch, decided, report)
        report.read += len(batch)
        progress.advance(len(batch))

    with lease(store, "identity"):
        work_off(store.identity["party_records"], "match", 500, lambda batch: _decided(store, batch), write)
    return report


def _decided(store: Store, batch: list[Document]) -> Decided:
    """Every link of the records of the batch, and of those whose keys became evidence, or none, through the batch."""
    sharing = _sharing_a_key(store, batch)
    if others := _turned(sharing, batch):
        batch = [*batch, *others]
        sharing = _sharing_a_key(store, batch)
    ids = {record["_id"] for record in batch}
    links: dict[str, Document] = {}
    for key, members in _blocks(sharing, batch).items():
        if len(members) <= MAX_SHARED:
            for a, b in _pairs(key, members, ids):
                _add_evidence(links, a, b, _RULE_OF_PREFIX[key.split(":", 1)[0]])
    return Decided(ids, links)


def _turned(sharing: list[Document], batch: list[Document]) -> list[Document]:
    """The records outside the batch that share a key with it which was evidence before the batch changed, or is now."""
    ids = {record["_id"] for record in batch}
    given_up = {key for record in batch for key in record["_sv"].get("given_up", [])}
    turned: dict[str, Document] = {}
    for key, members in _blocks(sharing, batch).items():
        settled = [m for m in members if m["_id"] not in ids and "match" not in m["_sv"].get("pending", [])]
        grown = len(settled) <= MAX_SHARED < len(members)
        shrunk = len(members) <= MAX_SHARED and key in given_up
        if grown or shrunk:
            turned.update({member["_id"]: member for member in settled})
    return list(turned.values())


def _write(store: Store, batch: list[Document], decided: Decided, report: StationReport) -> None:
    records, links = store.identity["party_records"], store.identity["links"]
    stored = {link["_id"]: link for link in find_many(links, "ends", decided.records)}
    gone = stored.keys() - decided.links.keys()
    changed = [link for identifier, link in decided.links.items() if stored.get(identifier) != link]
    # Other ends go on the work list before their links change, so that a crash in between loses no cluster.
    touched = {end for identifier in gone for end in stored[identifier]["ends"]}
    touched.update(end for link in changed for end in link["ends"])
    bulk_write(records, mark_pending(touched - {record["_id"] for record in batch}, "cluster"))
    if gone:
        links.delete_many({"_id": {"$in": sorted(gone)}})
    if changed:
        inserted, updated = put(links, changed, stored)
        report.inserted += inserted
        report.updated += updated
    report.deleted += len(gone)
    for link in changed:
        for rule in link["rules"]:
            report.count(rule)
    bulk_write(records, clear_pending(batch, "match", "hash", add="cluster"))
    given_up = [record["_id"] for record in batch if "given_up" in record["_sv"]]
    bulk_write(records, [UpdateMany({"_id": {"$in": given_up}}, {"$unset": {"_sv.given_up": ""}})] if given_up else [])


def _sharing_a_key(store: Store, batch: list[Document]) -> list[Document]:
    """All records that share a key with one of the batch; deleted ones have no keys."""
    found = find_many(store.identity["party_records"], "keys", _keys(batch), {"keys": 1, "compared": 1, "_sv": 1})
    return list({record["_id"]: record for record in found}.values())


def _blocks(records: Iterable[Document], batch: list[Document]) -> dict[str, list[Document]]:
    """By key of the batch, the records that share it."""
    blocks: dict[str, list[Document]] = defaultdict(list)
    for record in records:
        for key in record["keys"]:
            blocks[key].append(record)
    return {key: blocks[key] for key in sorted(_keys(batch) & blocks.keys())}


def _keys(batch: list[Document]) -> set[str]:
    return {key for record in batch for key in (*record["keys"], *record["_sv"].get("given_up", []))}


def _pairs(key: str, members: list[Document], touched: set[str]) -> Iterator[tuple[str, str]]:
    """The pairs (in order of their ids) that `key` makes one person, of which at least one record is in work."""
    members = sorted(members, key=lambda r: str(r["_id"]))
    for n, a in enumerate(members):
        for b in members[n + 1 :]:
            if a["_id"] not in touched and b["_id"] not in touched:
                continue
            if key.startswith("record:") or clash(a["compared"], b["compared"]) is None:
                yield a["_id"], b["_id"]


def _add_evidence(links: dict[str, Document], a: str, b: str, rule: str) -> None:
    """One link a pair, with every rule that makes it, strongest first."""
    link = links.setdefault(f"{a}|{b}", {"_id": f"{a}|{b}", "ends": [a, b], "rules": []})
    if rule not in link["rules"]:
        link["rules"] = sorted([*link["rules"], rule], key=lambda r: -STRENGTH[r])


def clash(a: Document, b: Document) -> str | None:
    """Why two records (in compared form) cannot be one person: the name of what clashes; None if nothing does."""
    if a["first"] and b["first"] and not normalise.same_first_name(a["first"], b["first"]):
        return "first_name"
    if a["gender"] and b["gender"] and a["gender"] != b["gender"]:
        return "title"
    if a["born"] and b["born"] and not normalise.same_birth_date(_date(a["born"]), _date(b["born"])):
        return "date_of_birth"
    return None


def _date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)
