"""Customer ids: each group of party records that is one person has a `customer_id`, which it keeps for life.

- A new customer gets a new id, made from its first record, the anchor.
- Customers that become one keep the oldest id; the others become aliases, which resolve for ever.
- When a customer falls apart, the part with the anchor keeps the id.
- A record that goes over to another customer takes that one's id.

Each of these is an event that says what, when, and on which evidence; `identity.events` is only ever added to. Everything
written is keyed by what it says, so a run that was killed half-way and runs again writes the same.
"""

import datetime as dt
import hashlib
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from pymongo import IndexModel, UpdateOne

from sv_assets.identity.division import Division, Stopped
from sv_assets.identity.party import StationReport
from sv_assets.ledger import customer_trace, open_ledger
from sv_assets.mongo import Document, Store, bulk_write, ensure_indexes, find_many, in_batches, insert_missing
from sv_assets.worklist import PENDING_INDEX, clear_pending

FACT_STATIONS = ("orders", "interactions", "consents", "flags")
STATION = "match"
BUCKETS = 64
"""Into so many parts of about one size the customers are divided, each of which can be rebuilt by itself."""
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_INDEXES = {
    "clusters": [
        PENDING_INDEX,
        IndexModel([("anchor", 1)]),
        IndexModel([("into", 1)], sparse=True),
        IndexModel([("bucket", 1)]),
    ],
    "aliases": [IndexModel([("customer_id", 1)])],
    "events": [IndexModel([("customer_ids", 1), ("at", 1)])],
    "review": [IndexModel([("records", 1)]), IndexModel([("guard", 1)])],
}


@dataclass(frozen=True)
class Cluster:
    """One customer as decided in this run: its id, its anchor, its live records, and the ids that end in it."""

    customer_id: str
    anchor: str
    records: tuple[str, ...]
    born: dt.datetime
    merged: tuple[str, ...] = ()
    split_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Neighbourhood:
    """Whole components with everything that shares a customer with them.

    `records` by id: `{customer_id, deleted, identified, _sv}`; `links` as stored; `division` of the live ones; `touched` are the
    records whose content changed, `done` those that come off the work list. `first`: nothing has been decided before.
    """

    records: dict[str, Document]
    links: list[Document]
    division: Division
    touched: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    first: bool = False


def ensure_id_indexes(store: Store) -> None:
    """Create what the collections of customers need."""
    for name, indexes in _INDEXES.items():
        ensure_indexes(store.identity[name], indexes)


def bucket_of(customer_id: str) -> int:
    """The part that a customer belongs to, from 0; the same for life."""
    return zlib.crc32(customer_id.encode()) % BUCKETS


def resolve(store: Store, customer_id: str) -> str:
    """The id that a customer has today: itself, or what its id is an alias of."""
    alias = store.identity["aliases"].find_one({"_id": customer_id})
    return str(alias["customer_id"]) if alias else customer_id


def ids_of(store: Store, customer_ids: Iterable[str]) -> dict[str, str]:
    """By every id that is or was one of these customers, which of them it is.

    An id that was merged resolves for ever to what it became (`resolve`). What was said or kept under it is of whom its anchor
    record belongs to now: where the two have parted again that is another one.
    """
    clusters, aliases = store.identity["clusters"], store.identity["aliases"]
    owners = {identifier: identifier for identifier in customer_ids}
    by_record = {
        record: cluster["_id"]
        for cluster in find_many(clusters, "_id", list(owners), {"records": 1})
        for record in cluster["records"]
    }
    for cluster in find_many(clusters, "anchor", by_record, {"anchor": 1, "state": 1}):
        if cluster["state"] == "merged":
            owners.setdefault(cluster["_id"], by_record[cluster["anchor"]])
    became = {alias["_id"]: alias["customer_id"] for alias in find_many(aliases, "customer_id", list(owners))}
    elsewhere = became.keys() - owners.keys()
    anchors = {c["_id"]: c["anchor"] for c in find_many(clusters, "_id", elsewhere, {"anchor": 1})}
    fields = {"customer_id": 1, "deleted": 1}
    gone = {
        record["_id"]
        for record in find_many(store.identity["party_records"], "_id", set(anchors.values()), fields)
        if not record["deleted"] and record.get("customer_id") not in (None, *became, *became.values())
    }
    return owners | {i: became[i] for i in elsewhere if anchors.get(i) not in gone}


def let_go(store: Store, customer_ids: Collection[str]) -> None:
    """Let ids that were merged into these customers, and are another's since (`ids_of`), resolve to that one: before these are
    forgotten."""
    clusters, aliases = store.identity["clusters"], store.identity["aliases"]
    merged = {cluster["_id"] for cluster in find_many(clusters, "into", customer_ids, {"_id": 1})}
    merged |= {alias["_id"] for alias in find_many(aliases, "customer_id", customer_ids, {"_id": 1})}
    anchors = {c["_id"]: c["anchor"] for c in find_many(clusters, "_id", merged - set(customer_ids), {"anchor": 1})}
    owners = current_ids(store, anchors.values())
    for identifier, anchor in anchors.items():
        if anchor in owners and owners[anchor] not in customer_ids:
            clusters.update_one({"_id": identifier}, {"$set": {"into": owners[anchor]}})
            aliases.update_one({"_id": identifier}, {"$set": {"customer_id": owners[anchor]}})


def merged_ids(store: Store) -> dict[str, str]:
    """What each id that was merged has become, as its cluster says.

    Its records say so too, unless a run was killed before it came to them.
    """
    found = store.identity["clusters"].find({"into": {"$exists": True}}, {"into": 1}).batch_size(10_000)
    into = {cluster["_id"]: cluster["into"] for cluster in found}
    for identifier in into:
        while into[identifier] in into:
            into[identifier] = into[into[identifier]]
    return into


def merged_with(store: Store, customer_ids: Iterable[str]) -> set[str]:
    """These ids, what they have become, and what was merged into one of those: what a killed run may have left on records."""
    clusters = store.identity["clusters"]
    found: set[str] = set()
    frontier = set(customer_ids)
    while frontier:
        found |= frontier
        near = [
            *find_many(clusters, "_id", frontier, {"into": 1}),
            *find_many(clusters, "into", frontier, {"into": 1}),
        ]
        frontier = {i for cluster in near for i in (cluster["_id"], cluster.get("into")) if i is not None} - found
    return found


def current_ids(store: Store, record_ids: Iterable[str]) -> dict[str, str]:
    """The customer_id of each party record that has one. A deleted record keeps it as long as its customer lives on."""
    fields = {"customer_id": 1, "deleted": 1}
    found = find_many(store.identity["party_records"], "_id", set(record_ids), fields)
    records = [record for record in found if record.get("customer_id")]
    doubtful = {record["customer_id"] for record in records if record["deleted"]}
    states = find_many(store.identity["clusters"], "_id", doubtful, {"state": 1})
    closed = {cluster["_id"] for cluster in states if cluster["state"] == "closed"}
    return {record["_id"]: record["customer_id"] for record in records if record["customer_id"] not in closed}


def mint(anchor: str, taken: Iterable[str]) -> str:
    """A new opaque id for the cluster anchored at a record: the same for the same record, unless it is taken."""
    taken = set(taken)
    for attempt in range(1000):
        number = int.from_bytes(hashlib.blake2b(f"{attempt}|{anchor}".encode(), digest_size=10).digest(), "big")
        text = "".join(_ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))
        if f"C{text}" not in taken:
            return f"C{text}"
    raise AssertionError("a thousand ids made from one record are taken")


def settle(
    store: Store,
    around: Neighbourhood,
    report: StationReport,
    *,
    before_records: Callable[[list[Cluster]], None] = lambda _: None,
) -> list[Cluster]:
    """Give every group of a neighbourhood its id, write what changed, and take its records off the work list.

    Customers whose records changed go on their work list. Returns all customers of the neighbourhood; `before_records` is
    called with them when only the records themselves are still to be written.
    """
    identity = store.identity
    known = {} if around.first else _known_clusters(store, around.records)
    decided, closed = _assign(around, known, store)
    evidence = _evidence(around.links)
    now = dt.datetime.now(dt.timezone.utc)

    _tell(store, _events(decided, closed, known, around.records, evidence, now))
    _review(store, around, decided, now)
    identified = {record for record, document in around.records.items() if document.get("identified", True)}
    new = [cluster for cluster in decided if cluster.customer_id not in known]
    report.inserted += insert_missing(identity["clusters"], [_cluster_document(cluster, identified) for cluster in new])
    updates = _cluster_updates(decided, closed, known, around.touched, identified)
    inserted, updated = bulk_write(identity["clusters"], updates)
    report.inserted += inserted
    report.updated += updated
    _write_aliases(store, decided, known, now)
    before_records(decided)
    moves = _moves(decided, closed, around, known)
    pending = [r for r in around.records.values() if r["_id"] in around.done and STATION in r["_sv"].get("pending", [])]
    stay = clear_pending((r for r in pending if r["_id"] not in moves), STATION, "revision", forget=("before", "new"))
    bulk_write(identity["party_records"], [*moves.values(), *stay])
    report.count("records_assigned", len(moves))
    for cluster in decided:
        report.count("customers_merged", len(cluster.merged))
        report.count("customers_split", len(cluster.split_from))
    return decided


def _tell(store: Store, events: list[Document]) -> None:
    """Write events that are not there.

    One may be there that a killed run wrote about what then came otherwise, since records changed again before the next
    run. It stays, and what came gets an id of its own.
    """
    if insert_missing(store.identity["events"], events) == len(events):
        return
    told = {e["_id"]: e["customer_ids"] for e in find_many(store.identity["events"], "_id", [e["_id"] for e in events])}
    others = [event for event in events if told[event["_id"]] != event["customer_ids"]]
    insert_missing(store.identity["events"], [{**e, "_id": ":".join([e["_id"], *e["customer_ids"]])} for e in others])


def _write_aliases(store: Store, decided: list[Cluster], known: dict[str, Document], now: dt.datetime) -> None:
    """Let the ids that were merged resolve to what they became; those of a run that was killed before it came to it, too.

    Aliases come after the clusters: only what is merged for good has one.
    """
    aliases = store.identity["aliases"]
    became = {loser: cluster.customer_id for cluster in decided for loser in cluster.merged}
    merged = {identifier for identifier, cluster in known.items() if cluster["state"] == "merged"}
    for identifier in merged - {alias["_id"] for alias in find_many(aliases, "_id", merged, {"_id": 1})}:
        into = _survivor(identifier, known)
        became[identifier] = became.get(into, into)
    for loser, survivor in sorted(became.items()):
        aliases.update_many({"customer_id": loser}, {"$set": {"customer_id": survivor}})
        aliases.update_one(
            {"_id": loser}, {"$set": {"customer_id": survivor}, "$setOnInsert": {"since": now}}, upsert=True
        )


def _survivor(identifier: str, known: dict[str, Document]) -> str:
    """What an id has become, over any number of merges."""
    while known[identifier]["state"] == "merged":
        identifier = known[identifier]["into"]
    return identifier


def _review(store: Store, around: Neighbourhood, decided: list[Cluster], now: dt.datetime) -> None:
    """Keep the review list true for these records: what guards stopped and nothing else joined."""
    review = store.identity["review"]
    customers = {record: cluster.customer_id for cluster in decided for record in cluster.records}
    wanted = {_review_id(item): item for item in around.division.stopped}
    there = () if around.first else find_many(review, "records", around.records, {"_id": 1})
    stored = {document["_id"] for document in there}
    gone = sorted(stored - wanted.keys())
    updates = [
        UpdateOne(
            {"_id": identifier},
            {
                "$set": {
                    "guard": item.guard,
                    "records": list(item.records),
                    "customer_ids": sorted({customers[record] for record in item.records}),
                    "weight": item.weight,
                    "reason": item.reason,
                    "detail": item.detail,
                },
                "$setOnInsert": {"since": now},
            },
            upsert=True,
        )
        for identifier, item in sorted(wanted.items())
    ]
    bulk_write(review, updates)
    for batch in in_batches(gone):
        review.delete_many({"_id": {"$in": batch}})


def _review_id(item: Stopped) -> str:
    return f"{item.guard}:{'|'.join(item.records[:2])}"


def _known_clusters(store: Store, records: dict[str, Document]) -> dict[str, Document]:
    """The active clusters that these records belong to or anchor. Ids that were merged come back as what they became."""
    clusters = store.identity["clusters"]
    ids = {record["customer_id"] for record in records.values() if record.get("customer_id")}
    found = {c["_id"]: c for c in find_many(clusters, "_id", ids)}
    found.update({c["_id"]: c for c in find_many(clusters, "anchor", records.keys())})
    while became := {c["into"] for c in found.values() if c["state"] == "merged"} - found.keys():
        found.update({c["_id"]: c for c in find_many(clusters, "_id", became)})
    return found


def _assign(around: Neighbourhood, known: dict[str, Document], store: Store) -> tuple[list[Cluster], list[Document]]:
    """Gives each part its id. Returns the clusters, and the known ones that are left without a live record."""
    parts, records = around.division.groups, around.records
    part_of = {record: n for n, part in enumerate(parts) for record in part}
    owners = {_survivor(i, known) for record in records.values() if (i := record.get("customer_id")) in known}
    # Not what a customer has become that was once anchored here: its records are elsewhere.
    active = {
        identifier: cluster
        for identifier, cluster in known.items()
        if cluster["state"] != "merged" and (identifier in owners or cluster["anchor"] in records)
    }

    def id_of(record: str) -> str | None:
        identifier = records[record].get("customer_id")
        return _survivor(identifier, known) if identifier in known else None

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
    anchors = [part[0] for n, part in enumerate(parts) if not claims[n]]
    is_new_to_all = around.first and open_ledger(store) is None
    new_ids = {anchor: mint(anchor, ()) for anchor in anchors} if is_new_to_all else _new_ids(store, anchors)
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
    """A new id for each anchor; where one was made from that record before, for another cluster or for somebody who was
    erased, the next one."""
    ledger = open_ledger(store)
    taken: dict[str, set[str]] = {anchor: set() for anchor in anchors}
    minted: dict[str, str] = {}
    while taken:
        candidates = {mint(anchor, ids): anchor for anchor, ids in taken.items()}
        there = {c["_id"] for c in find_many(store.identity["clusters"], "_id", candidates, {"_id": 1})}
        if ledger is not None:
            there |= {trace.parts[0] for trace in ledger.entries(map(customer_trace, candidates))}
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
) -> list[Document]:
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
    return [{**event, "at": now} for event in events]


def _came_over(cluster: Cluster, known: dict[str, Document], records: dict[str, Document]) -> list[str]:
    """The records that a customer has from another one that lives on without them."""
    if cluster.customer_id not in known:
        return []
    joined = set(cluster.records) - set(known[cluster.customer_id]["records"])
    ours = {None, cluster.customer_id, *cluster.merged}
    return sorted(record for record in joined if records[record].get("customer_id") not in ours)


def _cluster_fields(cluster: Cluster, identified: set[str]) -> Document:
    return {
        "anchor": cluster.anchor,
        "records": list(cluster.records),
        "born": cluster.born,
        "bucket": bucket_of(cluster.customer_id),
        "state": "active",
        "identified": not identified.isdisjoint(cluster.records),
    }


def _cluster_document(cluster: Cluster, identified: set[str]) -> Document:
    return {
        "_id": cluster.customer_id,
        **_cluster_fields(cluster, identified),
        "_sv": {"pending": ["customers"], "revision": 1},
    }


def _cluster_updates(
    decided: list[Cluster],
    closed: list[Document],
    known: dict[str, Document],
    touched: set[str],
    identified: set[str],
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
        before = known.get(cluster.customer_id)
        if before is None:
            continue
        same = (
            before.get("records") == list(cluster.records)
            and before.get("state") == "active"
            and before.get("anchor") == cluster.anchor
        )
        if not same or touched & set(cluster.records):
            write(cluster.customer_id, _cluster_fields(cluster, identified))
        for loser in cluster.merged:
            write(loser, {"state": "merged", "into": cluster.customer_id, "records": []})
    for document in closed:
        if document["state"] != "closed":
            write(document["_id"], {"state": "closed", "records": []})
    return updates


def _moves(
    decided: list[Cluster], closed: list[Document], around: Neighbourhood, known: dict[str, Document]
) -> dict[str, UpdateOne]:
    """By record, the update that gives it another customer_id, and takes it off the work list if it is done.

    Where it had another one before, or its customer is closed, what refers to the record must hear of it.
    """
    updates = {}
    became = {loser: cluster.customer_id for cluster in decided for loser in cluster.merged}
    new_ids = {record: cluster.customer_id for cluster in decided for record in cluster.records}
    without_customer = {cluster["_id"] for cluster in closed}
    for identifier, record in around.records.items():
        before = record.get("customer_id")
        once = _survivor(before, known) if before in known else before
        after = new_ids.get(identifier) or became.get(once or "", once)
        if after == before and before not in without_customer:
            continue
        done = identifier in around.done
        rest: Document = {"$setDifference": [{"$ifNull": ["$_sv.pending", []]}, [STATION] if done else []]}
        if before is not None:
            rest = {"$setUnion": [rest, list(FACT_STATIONS)]}
        change = {
            "customer_id": after,
            "_sv.revision": {"$add": [{"$ifNull": ["$_sv.revision", 0]}, 1]},
            "_sv.pending": {"$cond": [{"$eq": [rest, []]}, "$$REMOVE", rest]},
            **({"_sv.before": "$$REMOVE", "_sv.new": "$$REMOVE"} if done else {}),
        }
        updates[identifier] = UpdateOne({"_id": identifier}, [{"$set": change}])
    return updates
