"""`control.customer_keys`: one data key a customer, a key vault as MongoDB's drivers know it.

| field        | what it is                                                                                    |
|--------------|-----------------------------------------------------------------------------------------------|
| _id          | UUID made of the customer id: two runs that make a key at once make one, and the first one wins |
| keyAltNames  | the customer id                                                                               |
| keyMaterial  | the key, wrapped by a master key                                                              |
| masterKey    | `{provider: local:<id of the master key>}`                                                    |
| shredded_at  | instead of all that once the customer was erased: no key is ever made under this id again      |
"""

import datetime as dt
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from bson import Binary
from pymongo import IndexModel, ReplaceOne, UpdateOne
from pymongo.collection import Collection

from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Document, Store, bulk_write, ensure_indexes, find_many, in_batches, insert_missing
from sv_assets.sealing.aead import CannotOpen
from sv_assets.sealing.cipher import KEPT_SECONDS, Cipher, provider_of
from sv_assets.sealing.master import Masters, masters
from sv_assets.sealing.values import shut_for_ever

COLLECTION = "customer_keys"
INDEXES = [
    IndexModel([("keyAltNames", 1)], unique=True, partialFilterExpression={"keyAltNames": {"$exists": True}}),
    IndexModel([("masterKey.provider", 1)]),
]
MOST_KEPT = 50_000
MOST_RINGS = 16
_NAMES = UUID("6f1d2a52-7c1e-4a54-9f0e-9d8a3e0b7c11")
_PROBE = "opens"


def key_id(owner: str) -> UUID:
    """The id of a customer's key."""
    return uuid5(_NAMES, owner)


@dataclass
class Keyring:
    """The keys of one store, wrapped, as one process keeps them for a minute. A key that was shredded is None."""

    store: Store
    masters: Masters
    _kept: dict[UUID, tuple[float, Document | None]] = field(default_factory=dict, repr=False)

    @property
    def _vault(self) -> Collection[Document]:
        return self.store.control[COLLECTION]

    @cached_property
    def _cipher(self) -> Cipher:
        return Cipher(self.masters.secrets)

    def of_owners(self, owners: Iterable[str]) -> dict[str, tuple[UUID, Document | None]]:
        """By owner, the id of its key and the key; a key is made for who has none. Two statements, however many they are."""
        ids = {owner: key_id(owner) for owner in owners}
        found = self.by_id(ids.values())
        if absent := {owner: i for owner, i in ids.items() if i not in found}:
            found |= self._made(absent)
        return {owner: (i, found[i]) for owner, i in ids.items()}

    def by_id(self, ids: Iterable[UUID]) -> dict[UUID, Document | None]:
        """Those of the keys that there are. Raises ConfigurationError where a master key is missing."""
        now = time.monotonic()
        found: dict[UUID, Document | None] = {}
        asked = []
        for identifier in set(ids):
            held = self._kept.get(identifier)
            if held is not None and held[0] > now:
                found[identifier] = held[1]
            else:
                asked.append(identifier)
        for document in find_many(self._vault, "_id", asked, size=1000):
            found[document["_id"]] = self._keep(document["_id"], self._known(document))
        return found

    def sealed(self, identifier: UUID, key: Document | None, value: Any) -> Binary:
        """The value under a key; where that was shredded, bytes that nobody opens."""
        if key is None:
            return shut_for_ever(identifier)
        try:
            return self._cipher.sealed(key, value)
        except CannotOpen:
            raise self._other_master(key) from None

    def opened(self, key: Document, sealed: Binary) -> Any:
        """What was sealed with a key. Raises CannotOpen where it was changed since, ConfigurationError where the key does not open."""
        try:
            return self._cipher.opened(key, sealed)
        except CannotOpen:
            self.sealed(key["_id"], key, _PROBE)
            raise

    def forget(self) -> None:
        self._kept.clear()
        self._cipher.forget()

    def _keep(self, identifier: UUID, key: Document | None) -> Document | None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[identifier] = (time.monotonic() + KEPT_SECONDS, key)
        return key

    def _made(self, absent: dict[str, UUID]) -> dict[UUID, Document | None]:
        ensure_prepared(self.store)
        made: dict[UUID, Document | None] = {}
        for owner, identifier in absent.items():
            made[identifier] = {
                **self._cipher.made_key(identifier, self.masters.current),
                "keyAltNames": [owner],
            }
        if insert_missing(self._vault, [key for key in made.values() if key]) < len(made):
            return self.by_id(made)  # another run was first with some of them
        return {identifier: self._keep(identifier, key) for identifier, key in made.items()}

    def _known(self, document: Document) -> Document | None:
        """The key in a document of the vault, once its master key is known."""
        if "keyMaterial" not in document:
            return None
        master = _master_of(document)
        if master not in self.masters.secrets:  # made by a process that has a newer one
            self.masters = masters(self.store, anew=True)
            self.__dict__.pop("_cipher", None)
        if master not in self.masters.secrets:
            raise ConfigurationError(
                f"Keys of customers lie under the master key {master}, which is not configured ({self.masters.kept}). Add it behind the "
                "current one: keys are rotated by putting a new one first, and kept until `sv privacy keys rotate` has run."
            )
        return document

    def _other_master(self, key: Document) -> ConfigurationError:
        return ConfigurationError(
            f"The master key {_master_of(key)} does not open the keys of customers that were made under that id: it is another key, or "
            "one was changed. Put the right one back; nothing was lost."
        )

    # --- under another master key ---------------------------------------------------------------------------------------

    def rewrapped(self) -> Iterator[int]:
        """Put all keys under the current master key, in batches; yields how many of each. Safe to stop and to repeat."""
        for old in sorted(set(status(self.store).by_master) - {self.masters.current}):
            while batch := list(self._vault.find({"masterKey.provider": provider_of(old)}).limit(1000)):
                keys = [key for document in batch if (key := self._known(document))]
                now = dt.datetime.now(dt.timezone.utc)
                updates = []
                for key in keys:
                    try:
                        fields = {**self._cipher.rewrapped(key, self.masters.current), "updateDate": now}
                    except CannotOpen:
                        raise self._other_master(key) from None
                    # One that was shredded meanwhile stays so.
                    same = {"$eq": ["$keyMaterial", {"$literal": key["keyMaterial"]}]}
                    after = {"$mergeObjects": ["$$ROOT", {"$literal": fields}]}
                    updates.append(
                        UpdateOne({"_id": key["_id"]}, [{"$replaceWith": {"$cond": [same, after, "$$ROOT"]}}])
                    )
                yield bulk_write(self._vault, updates)[1]


def _master_of(key: Document) -> str:
    return str(key["masterKey"]["provider"]).removeprefix(provider_of(""))


_rings: dict[Any, Keyring] = {}


def keyring(store: Store) -> Keyring:
    """The keyring of a store. Raises ConfigurationError where no master key is configured."""
    place = (id(store.client), store.prefix)
    known = masters(store)
    ring = _rings.get(place)
    if ring is None or ring.masters != known or ring.store.client is not store.client:
        if len(_rings) >= MOST_RINGS:
            _rings.clear()
        ring = _rings[place] = Keyring(store, known)
    return ring


_prepared: set[Any] = set()


def ensure_prepared(store: Store) -> None:
    place = (store.url or id(store.client), store.prefix)
    if place not in _prepared:
        ensure_indexes(store.control[COLLECTION], INDEXES)
        _prepared.add(place)


@dataclass(frozen=True)
class Status:
    """How many keys there are, by the id of their master key, and how many were shredded."""

    by_master: dict[str, int]
    shredded: int

    @property
    def keys(self) -> int:
        return sum(self.by_master.values())


def status(store: Store) -> Status:
    groups = store.control[COLLECTION].aggregate([{"$group": {"_id": "$masterKey.provider", "number": {"$sum": 1}}}])
    found = {group["_id"]: group["number"] for group in groups}
    shredded = found.pop(None, 0)
    return Status({str(p).removeprefix(provider_of("")): n for p, n in sorted(found.items())}, shredded)


def shred(store: Store, owners: Iterable[str], erasure: str, at: dt.datetime) -> int:
    """Destroy the keys of these customers for good; returns how many there were. Needs no master key; safe to repeat."""
    vault = store.control[COLLECTION]
    ensure_prepared(store)
    shredded = 0
    for batch in in_batches(sorted({key_id(owner) for owner in owners})):
        there = {d["_id"]: "keyMaterial" in d for d in find_many(vault, "_id", batch, {"keyMaterial": 1})}
        todo = [i for i in batch if there.get(i, True)]
        gone = [ReplaceOne({"_id": i}, {"_id": i, "shredded_at": at, "erasure": erasure}, upsert=True) for i in todo]
        if gone:
            vault.bulk_write(gone, ordered=False)
        shredded += sum(there.values())
    for ring in list(_rings.values()):
        ring.forget()
    return shredded


def owners(store: Store) -> Iterator[str]:
    """Everybody who has a key."""
    for document in store.control[COLLECTION].find({}, {"keyAltNames": 1}).batch_size(10_000):
        yield from document.get("keyAltNames", ())
