"""Sealing customers: which look-up keys are hashed, whether the declaration fits the model, and what was written before there was any."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from pymongo import UpdateOne

from sv_assets import sealing
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.customers import history, lineage, schema
from sv_assets.customers.keys import MADE_OF
from sv_assets.customers.rights import CORRECTIONS
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Document, Store, bulk_write, find_many, in_batches
from sv_assets.sealing.declaration import CUSTOMERS, Declaration
from sv_assets.sealing.master import is_off

BATCH = 500
_STORED = {"single_view.flags": ("flags", "customer_id"), "single_view.corrections": (CORRECTIONS, "customer_id")}
_SENSITIVE = "sensitive"
MOST_LOOKED_AT = 20_000
"""So many documents of a collection are looked at by a check."""


def seal_customers(store: Store, documents: Sequence[Document]) -> list[Document]:
    """Customer documents as they are kept: declared fields sealed, look-up keys made of them hashed. Same input, same bytes."""
    kinds = hashed_kinds(sealing.load_declaration())
    hashed = sealing.hashed_keys(store, kinds)
    kept = [{**d, "keys": sorted(hashed(d["keys"]))} if "keys" in d else d for d in documents] if kinds else documents
    return sealing.seal(store, CUSTOMERS, kept, [document["_id"] for document in documents])


def asked_as(store: Store, key: str) -> list[str]:
    """What a look-up key of customers may be kept as."""
    return sealing.asked_as(store, key, hashed_kinds(sealing.load_declaration()))


def hashed_kinds(declared: Declaration) -> frozenset[str]:
    """The kinds of look-up keys that tell something of a sealed field."""
    return _hashed_kinds(tuple(declared.paths(CUSTOMERS)))


@lru_cache
def _hashed_kinds(sealed_paths: tuple[str, ...]) -> frozenset[str]:
    return frozenset(
        kind for kind, told in MADE_OF.items() if any(_meet(path, field) for path in sealed_paths for field in told)
    )


def _meet(path: str, other: str) -> bool:
    """True where one of two paths is the other, or lies in it."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")


def check_declaration(declared: Declaration) -> None:
    """Raises ConfigurationError for a path that is none of the customer document, or whose value is an object or a list."""
    known = {column.path.replace("[]", ""): column for column in schema.columns()}
    for path in declared.paths(CUSTOMERS):
        column = known.get(path)
        inside = [name for name in known if name.startswith(f"{path}.")]
        if column is None:
            near = [name for name in known if name.partition(".")[0] == path.partition(".")[0]]
            raise ConfigurationError(
                f"encryption.yaml: {CUSTOMERS} has no field {path}. Near it are: {', '.join(near) or ', '.join(known)}."
            )
        if inside or column.type.startswith(("list", "object")):
            raise ConfigurationError(
                f"encryption.yaml: {CUSTOMERS}: {path} is no single value, and its history is told value by value. Name those in it: {', '.join(inside)}."
            )


def unsealed(catalogue: Catalogue, declared: Declaration) -> list[str]:
    """What is fed by a column declared as `sensitive`, and neither sealed nor left in the clear for a reason: `<column> → <field>`."""
    excused = {one.field for one in declared.in_the_clear}
    kinds = hashed_kinds(declared)
    stations, found = lineage.of_stations(catalogue), []
    for node, fields in stations.items():
        collection = node.replace("/", ".")
        for name in fields:
            if f"{collection}.{name}" in excused or any(_meet(path, name) for path in declared.paths(collection)):
                continue
            if collection == CUSTOMERS and name == "keys" and "name_born" in kinds:
                continue
            found += [
                f"{column} → {collection}.{name}" for column in sorted(set(_sensitive_behind(stations, node, name)))
            ]
    return sorted(found)


def _sensitive_behind(stations: Mapping[str, lineage.Lineage], node: str, field: str) -> Iterator[str]:
    """The sensitive columns that a field is made from in the end."""
    for upstream, column in stations.get(node, {}).get(field, ()):
        if not isinstance(upstream, Source):
            yield from _sensitive_behind(stations, upstream, column)
        elif any(
            kind == _SENSITIVE and _meet(name.casefold(), column.casefold())
            for name, kind in upstream.entry.pii.items()
        ):
            yield f"{upstream.key}.{column}"


def seal_stored(store: Store) -> int:
    """Seal what was written before its fields were declared: history, flags, corrections. Once for each declaration.

    Customers are composed again by other rules, and cards made again, so they are none of these. Returns how many documents
    were sealed; safe to stop and to repeat.
    """
    state = store.single_view["state"]
    done = state.find_one({"_id": sealing.DONE})
    rules = sealing.load_declaration().rules
    if is_off():
        return 0
    if done is not None and done["rules"] == rules:
        return 0
    sealed = _seal_history(store) + _seal_last_changes(store)
    for collection, (name, owner) in _STORED.items():
        sealed += _seal_collection(store, collection, name, owner)
    state.replace_one({"_id": sealing.DONE}, {"rules": rules}, upsert=True)
    return sealed


def history_entries(store: Store, entries: Sequence[Document]) -> list[Document]:
    """Entries of the history as they are kept, of whatever time the documents are that they were made of."""
    return sealing.seal_changes(store, entries, hashed_kinds(sealing.load_declaration()))


def _seal_last_changes(store: Store) -> int:
    """The last change of customers, which lies in their documents and may tell what is no more in them."""
    customers = store.single_view["customers"]
    changed = 0
    for batch in in_batches(customers.find({}, {"_sv.change.changes": 1, "version": 1}).batch_size(BATCH), BATCH):
        before = [
            {"_id": d["_id"], "customer_id": d["_id"], "version": d["version"], "changes": changes}
            for d in batch
            if (changes := d.get("_sv", {}).get("change", {}).get("changes"))
        ]
        updates = []
        for old, new in zip(before, history_entries(store, before), strict=True):
            if old != new:
                same = {"$eq": ["$version", old["version"]]}
                sealed = {"$cond": [same, {"$literal": new["changes"]}, "$_sv.change.changes"]}
                updates.append(UpdateOne({"_id": old["_id"]}, [{"$set": {"_sv.change.changes": sealed}}]))
        changed += bulk_write(customers, updates)[1]
    return changed


def _seal_history(store: Store) -> int:
    entries = store.single_view[history.COLLECTION]
    changed = 0
    fields = {"customer_id": 1, "document": 1, "changes": 1}
    for batch in in_batches(entries.find({}, fields).batch_size(BATCH), BATCH):
        updates = [
            UpdateOne({"_id": after["_id"]}, {"$set": {n: after[n] for n in ("document", "changes") if n in after}})
            for before, after in zip(batch, history_entries(store, batch), strict=True)
            if before != after
        ]
        changed += bulk_write(entries, updates)[1]
    return changed


def _seal_collection(store: Store, collection: str, name: str, owner: str) -> int:
    """Only the fields that are sealed are set, so that what another run writes meanwhile stays."""
    roots = sorted({path.partition(".")[0] for path in sealing.load_declaration().paths(collection)})
    if not roots:
        return 0
    documents = store.single_view[name]
    changed = 0
    for batch in in_batches(documents.find({}, dict.fromkeys([owner, "party", *roots], 1)).batch_size(BATCH), BATCH):
        owners = [document.get(owner) or document.get("party") for document in batch]
        made = sealing.seal(store, collection, batch, owners)
        updates = []
        for before, after in zip(batch, made, strict=True):
            if before != after:
                # Written by another run meanwhile: that run sealed it.
                same = [
                    {"$eq": [f"${root}", {"$literal": before.get(root)}]}
                    for root in roots
                    if before.get(root) is not None
                ]
                change = {
                    root: {"$cond": [{"$and": same}, {"$literal": after[root]}, f"${root}"]}
                    for root in roots
                    if root in after
                }
                updates.append(UpdateOne({"_id": after["_id"]}, [{"$set": change}]))
        changed += bulk_write(documents, updates)[1]
    return changed


def in_the_clear(store: Store) -> tuple[int, int]:
    """(documents looked at, those with a declared field in the clear), of each collection as many as may be looked at at once."""
    declared = sealing.load_declaration()
    looked = clear = 0
    for collection in declared.collections:
        roots = {path.partition(".")[0]: 1 for path in declared.paths(collection)}
        database, _, name = collection.partition(".")
        for document in getattr(store, database)[name].find({}, roots).limit(MOST_LOOKED_AT).batch_size(BATCH):
            looked += 1
            clear += sealing.has_clear(collection, document)
    return looked, clear


def without_key(store: Store) -> int:
    """How many customers have no key: they have nothing that is sealed, or were composed before there was sealing."""
    from sv_assets.sealing.keys import COLLECTION, key_id

    missing = 0
    customers = store.single_view["customers"].find({}, {"_id": 1}).batch_size(10_000)
    for batch in in_batches((customer["_id"] for customer in customers), 1000):
        ids = [key_id(customer) for customer in batch]
        missing += len(ids) - len(list(find_many(store.control[COLLECTION], "_id", ids, {"_id": 1}, size=1000)))
    return missing
