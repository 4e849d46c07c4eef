"""Sealing declared fields of documents, and opening whatever is sealed in some."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

import bson
from bson import Binary

from sv_assets.mongo import CODEC, Document, Store
from sv_assets.sealing.aead import CannotOpen
from sv_assets.sealing.declaration import CUSTOMERS, Node, load_declaration
from sv_assets.sealing.keys import Keyring, keyring
from sv_assets.sealing.look_ups import hashed_keys
from sv_assets.sealing.master import is_off, masters
from sv_assets.sealing.values import FEWEST_BYTES, SUBTYPE, is_sealed, key_of

T = TypeVar("T")
SHREDDED = "[shredded]"
"""What stands for a value whose key was shredded."""
UNREADABLE = "[cannot be opened]"
"""What stands for a value that was changed, or whose key is another now."""
UNRESOLVED = "unresolved"
"""The owner of what is nobody's yet and does not even say whose it will be."""
DONE = "sealed"
"""The entry of `single_view.state` that says by which declaration everything was sealed that is stored."""
_Memory = dict[Any, Binary]


def version(store: Store) -> str:
    """Changes with whatever makes other bytes of the same document: the declaration, the look-up secret, the switch."""
    declared = load_declaration()
    if not declared.collections:
        return "nothing"
    return "off" if is_off() else f"{declared.rules}/{masters(store).current}"


def seal(store: Store, collection: str, documents: Sequence[Document], owners: Sequence[str | None]) -> list[Document]:
    """The documents with the declared fields of their collection sealed, each under the key of its owner.

    What is sealed already stays as it is. The same value of one owner always gives the same bytes. Raises ConfigurationError
    where fields are declared and no master key is configured.
    """
    tree = load_declaration().tree(collection)
    if tree is None:
        return list(documents)
    if is_off():  # what is written meanwhile is sealed when it is on again
        state = store.single_view["state"]
        if (
            state.find_one({"_id": DONE}, {"_id": 1}) is not None
        ):  # the embedded server refuses to delete from what is not there
            state.delete_one({"_id": DONE})
        return list(documents)
    return _sealed_by(
        store, documents, owners, lambda document, sealing: _sealed(document, tree, sealing), lambda d: _holds(d, tree)
    )


def seal_changes(store: Store, entries: Sequence[Document], kinds: Collection[str] = ()) -> list[Document]:
    """Entries of the history of customers with the declared fields of customers sealed: in `document`, and in `changes`.

    Look-up keys of these `kinds` are hashed there.
    """
    tree = load_declaration().tree(CUSTOMERS)
    if tree is None or is_off():
        return list(entries)

    hashed = hashed_keys(store, kinds)

    def sealed(entry: Document, sealing: "_Sealing") -> Document:
        result = dict(entry)
        if isinstance(entry.get("document"), dict):
            document = with_keys(_sealed(entry["document"], tree, sealing), "keys")
            bookkeeping = document.get("_sv", {})
            if last := bookkeeping.get("change", {}).get("changes"):  # the entry of its last version, which lies in it
                change = {**bookkeeping["change"], "changes": each(last, sealing)}
                document = {**document, "_sv": {**bookkeeping, "change": change}}
            result["document"] = document
        if entry.get("changes"):
            result["changes"] = each(entry["changes"], sealing)
        return result

    def each(changes: list[Document], sealing: "_Sealing") -> list[Document]:
        return [
            with_keys(change, "from", "to") if change["path"] == "keys" else _sealed_change(change, tree, sealing)
            for change in changes
        ]

    def with_keys(document: Document, *names: str) -> Document:
        return {
            **document,
            **{n: hashed(document[n]) for n in names if isinstance(document.get(n), list)},
        }

    return _sealed_by(store, entries, [entry["customer_id"] for entry in entries], sealed, lambda entry: True)


def _sealed_change(change: Document, tree: Node, sealing: "_Sealing") -> Document:
    node: Node | None = tree
    for name in change["path"].split("."):
        if node is None:
            break
        if name not in node:
            return change
        node = node[name]
    return {**change, **{side: _sealed(change[side], node, sealing) for side in ("from", "to") if side in change}}


class _Sealing:
    """The key of one owner, and what was sealed with it already."""

    __slots__ = ("_known", "identifier", "key", "ring")

    def __init__(self, ring: Keyring, identifier: UUID, key: Document | None) -> None:
        self.ring, self.identifier, self.key = ring, identifier, key
        self._known: _Memory = {}

    def __call__(self, value: Any) -> Binary:
        said = (str, value) if type(value) is str else bson.encode({"": value}, codec_options=CODEC)
        known = self._known.get(said)
        if known is None:
            known = self._known[said] = self.ring.sealed(self.identifier, self.key, value)
        return known


def _sealed_by(
    store: Store, documents: Sequence[Document], owners: Sequence[str | None], make: Any, holds: Any
) -> list[Document]:
    named = [owner or UNRESOLVED for owner in owners]
    wanted = {owner for document, owner in zip(documents, named, strict=True) if holds(document)}
    if not wanted:
        return list(documents)
    ring = keyring(store)
    sealing = {owner: _Sealing(ring, *key) for owner, key in ring.of_owners(wanted).items()}
    return [
        make(document, sealing[owner]) if owner in sealing else document
        for document, owner in zip(documents, named, strict=True)
    ]


def has_clear(collection: str, document: Document) -> bool:
    """Whether a declared field of the collection is in the clear."""
    return _holds(document, load_declaration().tree(collection) or {})


def _holds(value: Any, node: Node | None) -> bool:
    """Whether there is something to seal."""
    if node is None:
        return not (value is None or value == "" or value == [] or value == {} or is_sealed(value))
    if isinstance(value, dict):
        return any(name in value and _holds(value[name], below) for name, below in node.items())
    return isinstance(value, list) and any(_holds(item, node) for item in value)


def _sealed(value: Any, node: Node | None, sealing: _Sealing) -> Any:
    if node is None:
        return sealing(value) if _holds(value, None) else value
    if isinstance(value, dict):
        changed = {name: _sealed(value[name], below, sealing) for name, below in node.items() if name in value}
        return {**value, **changed} if changed else value
    return [_sealed(item, node, sealing) for item in value] if isinstance(value, list) else value


# --- opening ----------------------------------------------------------------------------------------------------------------


def opened(store: Store, value: T, *, keep_shut: bool = False) -> T:
    """The same with whatever is sealed in it in the clear, for stations and for who has seen to the actor.

    A value whose key was shredded is `SHREDDED`, one that was changed `UNREADABLE`: neither stops the others. Who writes
    what was opened lets them `keep_shut`: sealed as they are. One statement, however much is sealed; none where nothing
    is. Raises ConfigurationError where the master key is missing.
    """
    found = set(_all_sealed(value))
    clear = open_values(store, found) if found else {}
    if keep_shut:
        clear = {sealed: said for sealed, said in clear.items() if said not in (SHREDDED, UNREADABLE)}
    return cast(T, _replaced(value, clear)) if clear else value


def open_values(store: Store, sealed: Iterable[bytes]) -> Mapping[bytes, Any]:
    """By sealed value, what it is in the clear."""
    wanted = {value: key_of(value) for value in sealed if len(value) >= FEWEST_BYTES}
    if not wanted:
        return {}
    ring = keyring(store)
    keys = ring.by_id(wanted.values())
    found: dict[bytes, Any] = {}
    for value, identifier in wanted.items():
        key = keys.get(identifier)
        try:
            found[value] = SHREDDED if key is None else ring.opened(key, Binary(value, SUBTYPE))
        except CannotOpen:
            found[value] = UNREADABLE
    return found


def _all_sealed(value: Any) -> Iterator[bytes]:
    kind = type(value)
    if kind is dict:
        for item in value.values():
            kind = type(item)
            if kind is dict or kind is list or kind is Binary:
                yield from _all_sealed(item)
    elif kind is list:
        for item in value:
            kind = type(item)
            if kind is dict or kind is list or kind is Binary:
                yield from _all_sealed(item)
    elif kind is Binary and value.subtype == SUBTYPE:
        yield value


def _replaced(value: Any, clear: Mapping[bytes, Any]) -> Any:
    """The same object where nothing in it is sealed; else a copy of what leads there."""
    kind = type(value)
    if kind is Binary:
        return clear.get(value, value) if value.subtype == SUBTYPE else value
    places = value.items() if kind is dict else enumerate(value) if kind is list else ()
    changed = None
    for place, item in places:
        inner = type(item)
        if inner is dict or inner is list or inner is Binary:
            made = _replaced(item, clear)
            if made is not item:
                changed = value.copy() if changed is None else changed
                changed[place] = made
    return value if changed is None else changed
