"""What identity resolution keeps of a person: records, links, decisions, events, and what its models know of their values."""

from sv_assets.identity.customer_ids import let_go
from sv_assets.lease import lease
from sv_assets.mongo import Document, find_many
from sv_assets.privacy import search
from sv_assets.privacy.erasure import Work, delete, replace


def erase_identity(work: Work) -> None:
    """Everything that identity resolution made of the person's rows; no run of it is under way meanwhile."""
    store, plan = work.store, work.plan
    with lease(store, "identity"):
        let_go(store, plan.customer_ids)
        for name, path, values in (
            ("links", "ends", plan.records),
            ("review", "records", plan.records),
            ("clusters", "_id", plan.customer_ids),
            ("aliases", "customer_id", plan.customer_ids),
            ("aliases", "_id", plan.customer_ids),
            ("party_records", "_id", plan.records),
        ):
            work.count(f"identity.{name}", delete(store, "identity", name, path, values))
        decisions = [d["_id"] for d in find_many(store.identity["decisions"], "records", plan.records, {"_id": 1})]
        work.count(
            "identity.decisions",
            delete(store, "identity", "decisions", "of", decisions)
            + delete(store, "identity", "decisions", "_id", decisions),
        )
        about = [*plan.customer_ids, *plan.others]
        events = {event["_id"]: event for event in find_many(store.identity["events"], "customer_ids", about)}
        work.count("identity.events", _events(work, list(events.values())))
        _homes(work)
        _values(work)
        _models(work)


def _events(work: Work, events: list[Document]) -> int:
    """Events about them alone go; in those about others their ids are replaced. Returns how many that were."""
    ids = set(work.plan.customer_ids)
    collection = work.store.identity["events"]
    pattern = search.pattern_of([*work.plan.customer_ids, *work.plan.records])
    changed = 0
    for event in events:
        if set(event["customer_ids"]) <= ids:
            collection.delete_one({"_id": event["_id"]})
            changed += 1
        elif pattern is not None and search.in_document(event, pattern):
            replace(collection, event, pattern)
            changed += 1
    return changed


def _homes(work: Work) -> None:
    households = work.store.identity["households"]
    ids = work.plan.customer_ids
    for home in list(find_many(households, "customers", ids)):
        left = [customer for customer in home["customers"] if customer not in ids]
        if len(left) < 2:
            households.delete_one({"_id": home["_id"]})
        else:
            households.update_one({"_id": home["_id"]}, {"$set": {"customers": left}})


def _values(work: Work) -> None:
    """Keys and values that were too frequent to be evidence, where nobody has them any more."""
    identity = work.store.identity
    dead = [d["_id"] for d in find_many(identity["dead_keys"], "_id", work.plan.keys, {"_id": 1})]
    alone = [key for key in dead if identity["party_records"].find_one({"keys": key}, {"_id": 1}) is None]
    work.count("identity.dead_keys", delete(work.store, "identity", "dead_keys", "_id", alone))
    pattern = search.pattern_of(work.plan.searched)
    if pattern is not None:
        values = [d["_id"] for d in identity["dead_values"].find({}, {"_id": 1}) if search.in_document(d, pattern)]
        work.count("identity.dead_values", delete(work.store, "identity", "dead_values", "_id", values))


def _models(work: Work) -> None:
    """Names and birth dates that nobody has any more go out of what models know of how rare they are."""
    identity = work.store.identity
    for model in identity["models"].find({}, {"frequencies": 1}):
        kept = {}
        for column, shares in model["frequencies"].items():
            asked = {value for value, _ in shares} & set(work.plan.words.get(column, ()))
            gone = {
                v for v in asked if identity["party_records"].find_one({f"compared.{column}": v}, {"_id": 1}) is None
            }
            if gone:
                kept[f"frequencies.{column}"] = [[value, share] for value, share in shares if value not in gone]
        if kept:
            identity["models"].update_one({"_id": model["_id"]}, {"$set": kept})
            work.count("identity.models", 1)
