"""The station of cases, and what people do with them: list, look, decide. Decisions go back as labels."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pymongo import UpdateOne

from sv_assets import access
from sv_assets.access import Actor, Attempt
from sv_assets.errors import SvError
from sv_assets.fraud.cases import VERDICTS, Verdict, case_id, case_of, decision_event, is_fraud, new_events
from sv_assets.fraud.collections import CASES, EVENTS, FACTS, LEASE, SCORES, SIGNALS, STATE, prepare
from sv_assets.fraud.gathering import EVALUATE, mark_neighbours
from sv_assets.fraud.scoring import DECIDE
from sv_assets.fraud.settings import FraudSettings, load_settings
from sv_assets.identity.party import StationReport
from sv_assets.lease import lease
from sv_assets.mongo import (
    Document,
    Store,
    bulk_write,
    content_hash,
    find_many,
    insert_missing,
    now_in_milliseconds,
    put,
)
from sv_assets.progress import Progress
from sv_assets.worklist import clear_pending, pending_batches, work_off

BATCH = 300
SEEN_AS = "fraud.cases"
"""What roles are granted of a case, and of what is shown beside it."""


def refresh_cases(
    store: Store, settings: FraudSettings | None = None, *, full: bool = False, now: dt.datetime | None = None
) -> StationReport:
    """Open, take up again and withdraw cases as scores and decisions say: all of them (`full`) when the settings for cases are
    others than last time. Unchanged ones are not written.
    """
    settings = settings or load_settings()
    report = StationReport()
    prepare(store)
    moment = now or now_in_milliseconds()
    progress = Progress("cases", "orders")
    with lease(store, LEASE):
        state = store.fraud[STATE]
        made_by = state.find_one({"_id": CASES})
        everything = full or made_by is None or made_by["rules"] != settings.deciding
        for batch in pending_batches(
            store.fraud[EVENTS], DECIDE, BATCH
        ):  # decided by somebody who was stopped half-way
            decided = find_many(store.fraud[SCORES], "_id", sorted({event["order"] for event in batch}))
            _settle(store, list(decided), settings, moment, report)
            bulk_write(store.fraud[EVENTS], clear_pending(batch, DECIDE, "revision"))

        def write(batch: list[Document], scores: list[Document]) -> None:
            _settle(store, scores, settings, moment, report)
            bulk_write(store.fraud[SCORES], clear_pending(batch, DECIDE, "revision"))
            report.read += len(batch)
            progress.advance(len(batch))

        work_off(store.fraud[SCORES], DECIDE, BATCH, lambda batch: batch, write, everything=everything)
        if everything:
            state.replace_one({"_id": CASES}, {"rules": settings.deciding}, upsert=True)
    return report


def _settle(
    store: Store, scores: Sequence[Document], settings: FraudSettings, now: dt.datetime, report: StationReport
) -> None:
    """Write the events that these scores bring about, then the cases that follow."""
    wanted = {case_id(score["_id"]): score for score in scores}
    stored = {case["_id"]: case for case in find_many(store.fraud[CASES], "_id", wanted)}
    concerned = {i: s for i, s in wanted.items() if i in stored or s.get("flagged")}
    events = _events_of(store, concerned)
    fresh = [e for i, s in concerned.items() for e in new_events(s, events[i], settings.cases, now)]
    if fresh:
        insert_missing(store.fraud[EVENTS], fresh)
        events = _events_of(store, concerned)
    made = [case for i, s in concerned.items() if (case := case_of(s, events[i], settings.cases))]
    changed = []
    for case in made:
        hashed = content_hash(case)
        if stored.get(case["_id"], {}).get("_sv", {}).get("hash") != hashed:
            changed.append({**case, "_sv": {"hash": hashed}})
    # Labels first: a case that says fraud, while its neighbours had not heard of it, would be left so by a crash.
    _label(store, made)
    inserted, updated = put(store.fraud[CASES], changed, stored)
    report.inserted += inserted
    report.updated += updated
    for case in changed:
        if case["state"] != stored.get(case["_id"], {}).get("state"):
            report.count(f"cases_{case['state']}")


def _label(store: Store, cases: Iterable[Document]) -> None:
    """Tell the facts which orders are fraud by a human's word, and put those who share something with them on the work list."""
    labels = {case["order"]: is_fraud(case) for case in cases}
    facts = [f for f in find_many(store.fraud[FACTS], "_id", labels) if f["fraud"] != labels[f["_id"]]]
    if not facts:
        return
    mark_neighbours(store, facts)
    updates = []
    for fact in facts:
        content = {**{k: v for k, v in fact.items() if k != "_sv"}, "fraud": labels[fact["_id"]]}
        change = {"$set": {"fraud": labels[fact["_id"]], "_sv.hash": content_hash(content)}}
        marked = {"$addToSet": {"_sv.pending": EVALUATE}, "$inc": {"_sv.revision": 1}}
        updates.append(UpdateOne({"_id": fact["_id"]}, {**change, **marked}))
    bulk_write(store.fraud[FACTS], updates)


def decide(
    store: Store,
    cases: Sequence[str],
    verdict: Verdict,
    *,
    by: str,
    why: str,
    settings: FraudSettings | None = None,
    now: dt.datetime | None = None,
) -> list[Document]:
    """Decide cases; returns of each what was decided. A case may be decided again: the last word holds.

    Raises SvError where a case is not there, the verdict is none, or nobody or no reason is given.
    """
    if verdict not in VERDICTS:
        raise SvError(f"A verdict is one of {', '.join(VERDICTS)}.")
    if not by.strip() or not why.strip():
        raise SvError("A decision needs who decides (--by) and why (--reason): somebody will ask.")
    settings, moment = settings or load_settings(), now or now_in_milliseconds()
    prepare(store)
    with lease(store, LEASE):
        known = {case["_id"]: case for case in find_many(store.fraud[CASES], "_id", set(cases))}
        if missing := [case for case in cases if case not in known]:
            raise SvError(f"There is no case {missing[0]}. `sv fraud cases` lists them.")
        scores = {s["_id"]: s for s in find_many(store.fraud[SCORES], "_id", [c["order"] for c in known.values()])}
        if unscored := [i for i, case in known.items() if case["order"] not in scores]:
            raise SvError(
                f"The order of case {unscored[0]} has no score any more. `sv fraud score --full` makes it, if the order is still there."
            )
        events = _events_of(store, known)
        decisions = [
            decision_event(scores[case["order"]], events[identifier], verdict, by.strip(), why.strip(), moment)
            for identifier, case in known.items()
        ]
        insert_missing(store.fraud[EVENTS], decisions)
        _settle(store, list(scores.values()), settings, moment, StationReport())
        bulk_write(store.fraud[EVENTS], clear_pending(decisions, DECIDE, "revision"))
        decided = dict.fromkeys(("state", "verdict", "decided_by", "decided_at", "why"), 1)
        return list(find_many(store.fraud[CASES], "_id", known, decided))


def listed(store: Store, state: str | None = "open", limit: int = 50, *, actor: Actor) -> list[Document]:
    """Cases of a state (None: of any), the riskiest first, as the actor may see them. Raises as `access.permission` does."""
    query = {} if state is None else {"state": state}
    found = store.fraud[CASES].find(query).sort([("risk", -1), ("_id", 1)]).limit(limit)
    return access.shown(store, actor, SEEN_AS, found, _whose)


def shown(store: Store, case: str, *, actor: Actor) -> Document:
    """A case whole, as the actor may see it: `{case, signals, explained, events, linked}`. Raises SvError where there is none.

    `linked` are other cases whose orders share a card, device, telephone, e-mail, address or customer, and which kinds of them.
    """
    allowed = access.permission(store, actor, SEEN_AS, Attempt(("case",)))
    found = store.fraud[CASES].find_one({"_id": case})
    customer = _whose(found) if found else None
    allowed.log(store, [customer] if customer else [], Attempt(("case",)))
    if found is None:
        raise SvError(f"There is no case {case}. `sv fraud cases` lists them.")
    signals = store.fraud[SIGNALS].find_one({"_id": found["order"]}) or {}
    beside = {
        "signals": signals.get("signals", {}),
        "explained": signals.get("explained", []),
        "events": _events_of(store, [case])[case],
        "linked": linked(store, found["order"]),
    }
    return {"case": allowed.seen(found), **{name: [] for name in beside}, **allowed.seen(beside)}


def _whose(case: Document) -> str | None:
    customer: str | None = case["customer_id"]
    return customer


def linked(store: Store, order: str, limit: int = 200) -> list[Document]:
    """The cases of other orders that share something with this one: `{case, state, verdict, shares}`."""
    fact = store.fraud[FACTS].find_one({"_id": order}) or {"keys": []}
    shares: dict[str, set[str]] = defaultdict(set)
    for key in fact["keys"]:
        for other in store.fraud[FACTS].find({"keys": key}, {"_id": 1}).limit(limit):
            if other["_id"] != order:
                shares[other["_id"]].add(key.partition(":")[0])
    cases = find_many(store.fraud[CASES], "_id", [case_id(other) for other in shares])
    return [
        {"case": c["_id"], "state": c["state"], "verdict": c.get("verdict"), "shares": sorted(shares[c["order"]])}
        for c in sorted(cases, key=lambda c: str(c["_id"]))
    ]


def _events_of(store: Store, cases: Iterable[str]) -> dict[str, list[Document]]:
    """The events of each case, in their order."""
    found: dict[str, list[Document]] = {case: [] for case in cases}
    for event in find_many(store.fraud[EVENTS], "case", list(found)):
        found[event["case"]].append(event)
    return {case: sorted(events, key=lambda e: (e["at"], str(e["_id"]))) for case, events in found.items()}
