"""Erasure: a person goes out of every collection, file and log, and what the law wants of them stays without them.

The steps stand in `erasure_steps`. What is done stands in `control.erasures`, so that an erasure that was killed goes on.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

from sv_assets.catalogue.load import Catalogue
from sv_assets.errors import SvError
from sv_assets.lease import lease
from sv_assets.ledger import customer_trace, open_ledger, record_trace
from sv_assets.mongo import Store, find_many, in_batches, now_in_milliseconds
from sv_assets.privacy import search
from sv_assets.privacy.declaration import load_declaration
from sv_assets.privacy.erasure import COLLECTION, Erasure, Work, delete
from sv_assets.privacy.erasure_neighbours import OF_OTHERS, mentioning
from sv_assets.privacy.erasure_steps import STEPS, at_consumers, run_stations
from sv_assets.privacy.files import declared_files
from sv_assets.privacy.plan import Plan, make_plan
from sv_assets.sealing.keys import owners, shred
from sv_assets.sources.keys import key_text


def dry_run(store: Store, catalogue: Catalogue, customer_id: str) -> Plan:
    """What an erasure would do; writes nothing. `counts` hold what would go or be changed, in consumers' collections, other
    people's rows, Dagster's history and logs as well. What has landed and no station has taken up yet is not in it."""
    plan, declared = make_plan(store, catalogue, customer_id), load_declaration()
    if (pattern := search.pattern_of(plan.searched)) is None:
        return plan
    for place, source, ids in mentioning(store, catalogue, plan, pattern):
        if ids:
            plan.counts[f"{place}.{source.key}{OF_OTHERS}"] = len(ids)
    for database, name, _, ids in at_consumers(store, catalogue, declared, plan):
        if ids:
            plan.counts[f"{database}.{name}"] = len(ids)
    ours = (path for path, handled in declared_files(declared) if handled != "nothing" and path.exists())
    if files := sum(search.in_file(path, pattern) for path in ours):
        plan.counts["files"] = files
    return plan


def erase(
    store: Store,
    catalogue: Catalogue,
    customer_id: str,
    *,
    actor: str,
    reason: str,
    request: str | None = None,
    verify: bool = True,
    advance: Callable[[str], None] = lambda step: None,
) -> Erasure:
    """Erase a person, or go on with it. Raises SvError where nobody is there, TransientError where another run is in the way."""
    if not actor.strip() or not reason.strip():
        raise SvError(
            "An erasure needs an actor and a reason: whoever asks later must find out who ordered it, and why."
        )
    begun = next(
        (d for d in store.control[COLLECTION].find({"state": "running"}) if customer_id in d["plan"]["customer_ids"]),
        None,
    )
    if begun is not None:
        return resume(store, catalogue, begun["_id"], verify=verify, advance=advance)
    advance("settle")
    run_stations(store, catalogue)
    plan = make_plan(store, catalogue, customer_id)
    if not plan.records:
        raise SvError(
            f"There is no customer {customer_id}. `sv find` finds customers, `sv privacy access` says who may be meant."
        )
    erasure = Erasure(f"e-{uuid.uuid4().hex[:16]}", plan, now_in_milliseconds(), actor, reason)
    store.control[COLLECTION].insert_one(
        {"_id": erasure.id, "state": "running", "begun_at": erasure.at, "actor": actor, "reason": reason, "request": request,
         "planned": plan.counts, "plan": plan.as_document(), "done": []}
    )  # fmt: skip
    return _go_on(Work(store, catalogue, load_declaration(), erasure), verify, advance)


def resume(
    store: Store,
    catalogue: Catalogue,
    erasure_id: str,
    *,
    verify: bool = True,
    advance: Callable[[str], None] = lambda step: None,
) -> Erasure:
    """Go on with an erasure that was killed, or that still found something. Raises SvError for one that is done, or is not there."""
    found = store.control[COLLECTION].find_one({"_id": erasure_id})
    if found is None or found["state"] != "running":
        raise SvError(f"There is no erasure {erasure_id} under way. `sv privacy requests` lists what there is.")
    erasure = Erasure(
        erasure_id,
        Plan.from_document(found["plan"]),
        found["begun_at"],
        found["actor"],
        found["reason"],
        found["done"],
        found.get("counts", {}),
        notes=found.get("notes", []),
    )
    return _go_on(Work(store, catalogue, load_declaration(), erasure), verify, advance)


def finished(store: Store, request_id: str) -> Erasure | None:
    """The erasure that a request led to, if it came to its end."""
    found = store.control[COLLECTION].find_one({"request": request_id, "state": "done"})
    if found is None:
        return None
    return Erasure(
        found["_id"],
        None,
        found["begun_at"],
        found["actor"],
        found["reason"],
        found["done"],
        found["counts"],
        found["found"],
        found["notes"],
    )


def unfinished(store: Store) -> list[str]:
    """The erasures that were begun and have not come to their end."""
    return sorted(d["_id"] for d in store.control[COLLECTION].find({"state": "running"}, {"_id": 1}))


def _go_on(work: Work, verify: bool, advance: Callable[[str], None]) -> Erasure:
    erasure = work.erasure
    with lease(work.store, "erasure"):
        known = work.store.control[COLLECTION].find_one({"_id": erasure.id}) or {}
        erasure.done = known.get("done", erasure.done)  # another process may have gone on with it, or come to its end
        for name, step in STEPS.items() if known.get("state") == "running" else ():
            if name in erasure.done or (name == "verify" and not verify):
                continue
            advance(name)
            step(work)
            is_clean = name != "verify" or not erasure.found
            erasure.done += [name] if is_clean else []
            work.store.control[COLLECTION].update_one(
                {"_id": erasure.id, "state": "running"},
                {
                    "$set": {
                        "done": erasure.done,
                        "counts": erasure.counts,
                        "found": erasure.found,
                        "notes": erasure.notes,
                    }
                },
            )
            if not is_clean:
                break  # it is not done while anything is found: `resume` searches again
    return erasure


# --- after a restore ----------------------------------------------------------------------------------------------------------


def returned(store: Store, catalogue: Catalogue) -> dict[str, list[Any]]:
    """By source, the keys of landed rows of people who were erased: after a restore from a backup, or never."""
    ledger = open_ledger(store)
    found: dict[str, list[Any]] = {}
    if ledger is None:
        return found
    for source in catalogue.sources:
        rows = store.landing[source.key].find({}, {"_sv.erased.until": 1}).batch_size(10_000)
        for batch in in_batches(rows, 5000):
            traces = {record_trace(source.key, key_text(row["_id"])): row for row in batch}
            back = [
                row["_id"]
                for trace, entry in ledger.entries(traces).items()
                if not entry.natural and "erased" not in (row := traces[trace])["_sv"]
            ]
            if back:
                found.setdefault(source.key, []).extend(back)
    return found


def erase_again(
    store: Store, catalogue: Catalogue, *, actor: str, advance: Callable[[str], None] = lambda step: None
) -> list[Erasure]:
    """Erase whoever came back with a restored backup. Takes no evidence: that they were erased is known."""
    run_stations(store, catalogue)
    erasures = []
    back = returned(store, catalogue)
    records = [catalogue.source(key).record_id(key_text(i)) for key, ids in back.items() for i in ids]
    customers = {
        r["customer_id"]
        for r in find_many(store.identity["party_records"], "_id", records, {"customer_id": 1})
        if r.get("customer_id")
    }
    for customer in sorted(customers):
        if store.identity["party_records"].find_one({"customer_id": customer}, {"_id": 1}) is not None:
            erasures.append(
                erase(
                    store,
                    catalogue,
                    customer,
                    actor=actor,
                    reason="came back with a restored backup",
                    verify=False,
                    advance=advance,
                )
            )
    _shred_again(store)
    left = returned(store, catalogue)
    for key, ids in left.items():
        delete(store, "landing", key, "_id", ids)
    return erasures


def _shred_again(store: Store) -> None:
    """Keys of erased customers that came back with the backup of the key vault."""
    ledger = open_ledger(store)
    if ledger is None:
        return
    for batch in in_batches(owners(store), 5000):
        traces = {customer_trace(owner): owner for owner in batch}
        erased = [traces[trace] for trace in ledger.entries(traces)]
        shred(store, erased, "came back with a restored backup", dt.datetime.now(dt.timezone.utc))
