"""Clusters: which party records are one customer, and the `customer_id` that they keep for life.

A *component* is what links hold together; a *cluster* is what of it may be one person. Both are pure functions of the
records and links, so that working through pending records in any order ends with the same clusters.

What happens to ids
- A new cluster gets a new id, made from its first record.
- Clusters that become one keep the oldest id; the others become aliases, which resolve for ever.
- When a cluster falls apart, the part with the anchor (the record the id was made from) keeps the id.
- A record that goes over to another cluster takes that one's id.
Each of these is an event that says why. Everything written is keyed by what it says, so a run that was killed half-way
and runs again writes the same.
"""

import datetime as dt
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pymongo import IndexModel, UpdateOne

from sv_assets.identity.match import STRENGTH, clash
from sv_assets.identity.party import StationReport
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, bulk_write, ensure_indexes, find_many
from sv_assets.progress import Progress
from sv_assets.worklist import PENDING_INDEX, clear_pending, pending_batches

log = logging.getLogger(__name__)
CLUSTER_INDEXES = [PENDING_INDEX, IndexModel([("anchor", 1)])]
ALIAS_INDEXES = [IndexModel([("customer_id", 1)])]
EVENT_INDEXES = [IndexModel([("customer_ids", 1), ("at", 1)])]
FACT_STATIONS = ("orders", "interactions", "consents")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RECORD = {"compared": 1, "customer_id": 1, "deleted": 1, "_sv": 1}


@dataclass(frozen=True)
class Cluster:
    """One customer as decided in this run: its id, its anchor, its live records, and the ids that end in it."""

    customer_id: str
    anchor: str
    records: tuple[str, ...]
    born: dt.datetime
    merged: tuple[str, ...] = ()
    split_from: tuple[str, ...] = ()


def refresh_clusters(store: Store) -> StationReport:
    """Decide again for every component with a pending record. Customers whose records changed go on their work list."""
    report = StationReport()
    identity = store.identity
    ensure_indexes(identity["clusters"], CLUSTER_INDEXES)
    ensure_indexes(identity["aliases"], ALIAS_INDEXES)
    ensure_indexes(identity["events"], EVENT_INDEXES)
    with lease(store, "identity"):
        progress = Progress("clusters", "party records")
        for batch in pending_batches(identity["party_records"], "cluster", 500, _RECORD):
            _refresh_batch(store, batch, report)
            report.read += len(batch)
            progress.advance(len(batch))
    return report


def resolve(store: Store, customer_id: str) -> str:
    """The id that a customer has today: itself, or what its id is an alias of."""
    alias = store.identity["aliases"].find_one({"_id": customer_id})
    return str(alias["customer_id"]) if alias else customer_id


def current_ids(store: Store, record_ids: Iterable[str]) -> dict[str, str]:
    """The customer_id of each party record that has one. A deleted record keeps it as long as its customer lives on."""
    fields = {"customer_id": 1, "deleted": 1}
    found = find_many(store.identity["party_records"], "_id", set(record_ids), fields)
    records = [record for record in found if record.get("customer_id")]
    doubtful = {record["customer_id"] for record in records if record["deleted"]}
    states = find_many(store.identity["clusters"], "_id", doubtful, {"state": 1})
    closed = {cluster["_id"] for cluster in states if cluster["state"] == "closed"}
    return {record["_id"]: record["customer_id"] for record in records if record["customer_id"] not in closed}


def divide(records: dict[str, Document], links: Iterable[Document]) -> list[list[str]]:
    """The clusters of one or more components: record ids, sorted, in lists.

    Links are taken from the strongest to the weakest. One that would put two people into a cluster whose first names,
    titles or birth dates clash is not followed, unless a source itself says that the two records are one person.
    """
    parent = {identifier: identifier for identifier in records}
    members = {identifier: [identifier] for identifier in records}

    def root(identifier: str) -> str:
        while parent[identifier] != identifier:
            parent[identifier] = identifier = parent[parent[identifier]]
        return identifier

    for link in sorted(links, key=_strongest_first(records)):
        if not all(end in parent for end in link["ends"]):
            continue
        a, b = sorted(root(end) for end in link["ends"])
        if a == b:
            continue
        told = link["rules"][0] == "given_by_source"
        if not told and any(
            clash(records[x]["compared"], records[y]["compared"]) for x in members[a] for y in members[b]
        ):
            continue
        parent[b] = a
        members[a] += members.pop(b)
    return sorted(sorted(cluster) for cluster in members.values())


def _strongest_first(records: dict[str, Document]) -> Callable[[Document], tuple[int, int, str]]:
    def order(link: Document) -> tuple[int, int, str]:
        a, b = (records.get(end, {}).get("compared", {}) for end in link["ends"])
        agreeing = sum(a.get(name) is not None and a.get(name) == b.get(name) for name in ("first", "born", "gender"))
        return -STRENGTH[link["rules"][0]], -agreeing, str(link["_id"])

    return order


def mint(anchor: str, taken: Iterable[str]) -> str:
    """A new opaque id for the cluster anchored at a record: the same for the same record, unless it is taken."""
    taken = set(taken)
    for attempt in range(1000):
        number = int.from_bytes(hashlib.blake2b(f"{attempt}|{anchor}".encode(), digest_size=10).digest(), "big")
        text = "".join(_ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))
        if f"C{text}" not in taken:
            return f"C{text}"
    raise AssertionError("a thousand ids made from one record are taken")


def _refresh_batch(store: Store, batch: list[Document], report: StationReport) -> None:
    identity = store.identity
    records, links = _closure(store, [record["_id"] for record in batch])
    live = {identifier: record for identifier, record in records.items() if not record["deleted"]}
    known = _known_clusters(store, records)
    decided, closed = _assign(divide(live, links), records, known, store)
    evidence = _evidence(links)
    now = dt.datetime.now(dt.timezone.utc)

    bulk_write(identity["events"], _events(decided, closed, known, records, evidence, now))
    for cluster in decided:
        for loser in cluster.merged:
            identity["aliases"].update_many({"customer_id": loser}, {"$set": {"customer_id": cluster.customer_id}})
            identity["aliases"].update_one(
                {"_id": loser},
                {"$set": {"customer_id": cluster.customer_id}, "$setOnInsert": {"since": now}},
                upsert=True,
            )
    touched = {record["_id"] for record in batch}
    inserted, updated = bulk_write(identity["clusters"], _cluster_updates(decided, closed, known, touched))
    report.inserted += inserted
    report.updated += updated
    moves = _moves(decided, closed, records)
    pending = [r for r in records.values() if "cluster" in r["_sv"].get("pending", [])]
    stay = clear_pending((r for r in pending if r["_id"] not in moves), "cluster", "revision")
    bulk_write(identity["party_records"], [*moves.values(), *stay])
    report.count("records_assigned", len(moves))
    for cluster in decided:
        report.count("customers_merged", len(cluster.merged))
        report.count("customers_split", len(cluster.split_from))


def _closure(store: Store, start: list[str]) -> tuple[dict[str, Document], list[Document]]:
    """The whole components of these records, and of all records that share a customer_id with one of them."""
    party, link_collection = store.identity["party_records"], store.identity["links"]
    records: dict[str, Document] = {}
    links: dict[str, Document] = {}
    customers: set[str] = set()
    frontier = set(start)
    while frontier:
        found = {r["_id"]: r for r in find_many(party, "_id", frontier, _RECORD)}
        records.update(found)
        new_links = list(find_many(link_collection, "ends", found.keys()))
        links.update({link["_id"]: link for link in new_links})
        ids = {r["customer_id"] for r in found.values() if r.get("customer_id")} - customers
        customers |= ids
        mates = find_many(party, "customer_id", ids, {"_id": 1})
        frontier = ({end for link in new_links for end in link["ends"]} | {m["_id"] for m in mates}) - records.keys()
    return records, list(links.values())


def _known_clusters(store: Store, records: dict[str, Document]) -> dict[str, Document]:
    """The active clusters that these records belong to or anchor. Ids that were merged come back as what they became."""
    clusters = store.identity["clusters"]
    ids = {record["customer_id"] for record in records.values() if record.get("customer_id")}
    found = {c["_id"]: c for c in find_many(clusters, "_id", ids)}
    found.update({c["_id"]: c for c in find_many(clusters, "anchor", records.keys())})
    became = {c["into"] for c in found.values() if c["state"] == "merged"} - found.keys()
    found.update({c["_id"]: c for c in find_many(clusters, "_id", became)})
    return found


def _assign(
    parts: list[list[str]], records: dict[str, Document], known: dict[str, Document], store: Store
) -> tuple[list[Cluster], list[Document]]:
    """Gives each part its id. Returns the clusters, and the known ones that are left without a live record."""
    part_of = {record: n for n, part in enumerate(parts) for record in part}
    active = {identifier: c for identifier, c in known.items() if c["state"] != "merged"}

    def id_of(record: str) -> str | None:
        identifier = records[record].get("customer_id")
        if identifier in known and known[identifier]["state"] == "merged":
            identifier = known[identifier]["into"]
        return identifier if identifier in active else None

    claims: dict[int, list[Document]] = defaultdict(list)
    closed: list[Document] = []
    for identifier, cluster in sorted(active.items()):
        heir = cluster["anchor"] if cluster["anchor"] in part_of else None
        heir = heir or min((r for r in part_of if id_of(r) == identifier), default=None)
        if heir is None:
            closed.append(cluster)
        else:
            claims[part_of[heir]].append({**cluster, "anchor": heir})
    decided: list[Cluster] = []
    now = dt.datetime.now(dt.timezone.utc)
    new_ids = _new_ids(store, [part[0] for n, part in enumerate(parts) if not claims[n]])
    for n, part in enumerate(parts):
        claimants = sorted(claims[n], key=lambda c: (c["born"], c["_id"]))
        before = {old for record in part if (old := id_of(record))}
        if claimants:
            first, *others = claimants
            decided.append(
                Cluster(first["_id"], first["anchor"], tuple(part), first["born"], tuple(c["_id"] for c in others))
            )
        else:
            identifier = new_ids[part[0]]
            decided.append(Cluster(identifier, part[0], tuple(part), now, split_from=tuple(sorted(before))))
    return decided, closed


def _new_ids(store: Store, anchors: list[str]) -> dict[str, str]:
    """A new id for each anchor; where one was made from that record before, for another cluster, the next one."""
    taken: dict[str, set[str]] = {anchor: set() for anchor in anchors}
    minted: dict[str, str] = {}
    while taken:
        candidates = {mint(anchor, ids): anchor for anchor, ids in taken.items()}
        there = {c["_id"] for c in find_many(store.identity["clusters"], "_id", candidates, {"_id": 1})}
        minted.update({anchor: identifier for identifier, anchor in candidates.items() if identifier not in there})
        taken = {candidates[identifier]: taken[candidates[identifier]] | {identifier} for identifier in there}
    return minted


def _evidence(links: list[Document]) -> dict[str, list[Document]]:
    """By record, the links that hold it."""
    by_record: dict[str, list[Document]] = defaultdict(list)
    for link in links:
        for end in link["ends"]:
            by_record[end].append(link)
    return by_record


def _events(
    decided: list[Cluster],
    closed: list[Document],
    known: dict[str, Document],
    records: dict[str, Document],
    evidence: dict[str, list[Document]],
    now: dt.datetime,
) -> list[UpdateOne]:
    events: list[Document] = []

    def why(of: Iterable[str]) -> list[Document]:
        links = {link["_id"]: link for r in of for link in evidence.get(r, [])}
        return [{"between": links[i]["ends"], "rules": links[i]["rules"]} for i in sorted(links)[:20]]

    for cluster in decided:
        common: Document = {"records": list(cluster.records)[:100], "evidence": why(cluster.records)}
        if cluster.customer_id not in known:
            kind = "split" if cluster.split_from else "created"
            ids = [cluster.customer_id, *cluster.split_from]
            events.append({"_id": f"{kind}:{cluster.customer_id}", "kind": kind, "customer_ids": ids, **common})
        for loser in cluster.merged:
            ids = [cluster.customer_id, loser]
            events.append({"_id": f"merged:{loser}", "kind": "merged", "customer_ids": ids, **common})
        for record in _came_over(cluster, known, records):
            identifier = f"moved:{record}:{records[record]['_sv']['revision']}"
            ids = [cluster.customer_id, records[record]["customer_id"]]
            moved: Document = {"records": [record], "evidence": why([record])}
            events.append({"_id": identifier, "kind": "moved", "customer_ids": ids, **moved})
    for cluster_document in closed:
        if cluster_document["state"] != "closed":
            identifier = f"closed:{cluster_document['_id']}:{cluster_document['_sv']['revision']}"
            ids = [cluster_document["_id"]]
            events.append(
                {
                    "_id": identifier,
                    "kind": "closed",
                    "customer_ids": ids,
                    "records": cluster_document["records"],
                    "evidence": [],
                }
            )
    return [
        UpdateOne(
            {"_id": e["_id"]}, {"$setOnInsert": {**{k: v for k, v in e.items() if k != "_id"}, "at": now}}, upsert=True
        )
        for e in events
    ]


def _came_over(cluster: Cluster, known: dict[str, Document], records: dict[str, Document]) -> list[str]:
    """The records that a customer has from another one that lives on without them."""
    if cluster.customer_id not in known:
        return []
    joined = set(cluster.records) - set(known[cluster.customer_id]["records"])
    ours = {None, cluster.customer_id, *cluster.merged}
    return sorted(record for record in joined if records[record].get("customer_id") not in ours)


def _cluster_updates(
    decided: list[Cluster], closed: list[Document], known: dict[str, Document], touched: set[str]
) -> list[UpdateOne]:
    """What changed, or has a changed record in it, goes on the customers' work list."""
    updates = []

    def write(identifier: str, fields: Document) -> None:
        updates.append(
            UpdateOne(
                {"_id": identifier},
                {"$set": fields, "$addToSet": {"_sv.pending": "customers"}, "$inc": {"_sv.revision": 1}},
                upsert=True,
            )
        )

    for cluster in decided:
        before = known.get(cluster.customer_id, {})
        same = (
            before.get("records") == list(cluster.records)
            and before.get("state") == "active"
            and before.get("anchor") == cluster.anchor
        )
        if not same or touched & set(cluster.records):
            fields = {
                "anchor": cluster.anchor,
                "records": list(cluster.records),
                "born": cluster.born,
                "state": "active",
            }
            write(cluster.customer_id, fields)
        for loser in cluster.merged:
            write(loser, {"state": "merged", "into": cluster.customer_id, "records": []})
    for document in closed:
        if document["state"] != "closed":
            write(document["_id"], {"state": "closed", "records": []})
    return updates


def _moves(decided: list[Cluster], closed: list[Document], records: dict[str, Document]) -> dict[str, UpdateOne]:
    """By record, the update that gives it another customer_id and takes it off the work list.

    Where it had another one before, or its customer is closed, what refers to the record must hear of it.
    """
    updates = {}
    became = {loser: cluster.customer_id for cluster in decided for loser in cluster.merged}
    new_ids = {record: cluster.customer_id for cluster in decided for record in cluster.records}
    without_customer = {cluster["_id"] for cluster in closed}
    for identifier, record in records.items():
        before = record.get("customer_id")
        after = new_ids.get(identifier) or became.get(before or "", before)
        if after == before and before not in without_customer:
            continue
        rest: Document = {"$setDifference": [{"$ifNull": ["$_sv.pending", []]}, ["cluster"]]}
        if before is not None:
            rest = {"$setUnion": [rest, list(FACT_STATIONS)]}
        change = {
            "customer_id": after,
            "_sv.revision": {"$add": [{"$ifNull": ["$_sv.revision", 0]}, 1]},
            "_sv.pending": {"$cond": [{"$eq": [rest, []]}, "$$REMOVE", rest]},
        }
        updates[identifier] = UpdateOne({"_id": identifier}, [{"$set": change}])
    return updates
