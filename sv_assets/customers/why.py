"""Why a customer document changed: which records, facts, neighbours or rules are others than in the version before."""

from collections.abc import Iterable
from typing import Any

from sv_assets.mongo import Document, Store, find_many

MOST = 50
_PARTS = ("orders", "interactions", "consents", "flags", "household", "rights")


def reasons(store: Store, changed: Iterable[tuple[Document, Document]], rules: str) -> dict[str, list[Document]]:
    """By customer, why it changed; `changed` are pairs of (document before, document now).

    `{kind: record, record, from, to}` (versions; None where it came or went), `{kind: orders | interactions | consents |
    household}`, `{kind: merged | split | moved …, event}` (the id of the identity event), `{kind: rules, from, to}`.
    """
    pairs = list(changed)
    why = {after["_id"]: _parts(before, after, rules) for before, after in pairs}
    regrouped = {
        after["_id"]: before["composed_at"]
        for before, after in pairs
        if _records(before).keys() != _records(after).keys()
    }
    for event in find_many(
        store.identity["events"], "customer_ids", regrouped, {"kind": 1, "customer_ids": 1, "at": 1}
    ):
        for customer in event["customer_ids"]:
            if customer in regrouped and event["at"] >= regrouped[customer] and len(why[customer]) < MOST:
                reason = {"kind": event["kind"], "event": event["_id"]}
                if reason not in why[customer]:
                    why[customer].append(reason)
    return why


def _parts(before: Document, after: Document, rules: str) -> list[Document]:
    found: list[Document] = []
    was, now = _records(before), _records(after)
    for record in sorted(was.keys() | now.keys()):
        if was.get(record) != now.get(record):
            found.append({"kind": "record", "record": record, "from": was.get(record), "to": now.get(record)})
    found += [{"kind": part} for part in _PARTS if before.get(part) != after.get(part)]
    if before["_sv"].get("rules") != rules:
        found.append({"kind": "rules", "from": before["_sv"].get("rules"), "to": rules})
    return found[:MOST]


def _records(document: Document) -> dict[str, Any]:
    return {source["record"]: source["version"] for source in document["sources"]["records"]}
