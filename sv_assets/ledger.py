"""The ledger of what was erased: keyed hashes, from which nobody can be made out, and which every way in asks.

`control.erased` holds `{_id: <key id>:<hash>, kind, source, action, natural, erasure, at}`. Kinds: `record` (a source key),
`order` (an order that was somebody's, by key or number), `contact` (an e-mail address or phone number, alone or with a
name), `customer` (an id that must not be given again). Hashes are HMAC-SHA-256 under `SV_ERASURE_KEY`, `<id>:<hex>[,<id>:<hex>…]`:
the first is the one that new entries are made with, the others still read older ones. The embedded estate makes a key of its own.
"""

import datetime as dt
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pymongo import IndexModel, UpdateOne

from sv_assets import settings
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Document, Store, bulk_write, ensure_indexes, find_many, insert_missing

COLLECTION, STATE = "erased", "erasure_ledger"
ERASED = "[erased]"
"""What stands where somebody stood who was erased."""
SHARED = "shared"
"""The kind of an entry that decides nothing: others have the contact, too, so names must be looked at."""
VARIABLE, COPY_VARIABLE = "SV_ERASURE_KEY", "SV_ERASURE_LEDGER"
Action = Literal["drop", "reduce"]
_FEWEST_BYTES = 16
_BLOCK = 64
_LONGEST_TEXT = 200_000
EMAIL = re.compile(r"[^\s<>()\[\],;:\"'\\@|=]+@[^\s<>()\[\],;:\"'\\@|=]+\.[^\s<>()\[\],;:\"'\\@|=.]+")
PHONE = re.compile(r"(?<![\w.])\+?\(?\d[\d\s().-]{7,18}\d(?!\w)")
PHONE_DIGITS = 9
LONGEST_NUMBER = 15
"""Digits of a telephone number (ITU-T E.164)."""
_BETWEEN_DIGITS = {ord(ch): None for ch in " +-()"}
GMAIL = ("gmail.com", "googlemail.com")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Keys:
    """The secrets by their ids; `current` makes new entries."""

    secrets: Mapping[str, bytes]
    current: str


@dataclass(frozen=True)
class Trace:
    """One thing by which somebody is known: `kind` as in the ledger, and the parts that are hashed."""

    kind: str
    parts: tuple[str, ...]

    @property
    def message(self) -> bytes:
        return "\x1f".join((self.kind, *self.parts)).encode(errors="surrogatepass")

    def hashed(self, secret: bytes) -> bytes:
        return hmac.digest(secret, self.message, "sha256")[:16]


@dataclass(frozen=True)
class Entry:
    """What the ledger says of a trace. `natural`: the key is itself a contact that its owner may come back with."""

    at: dt.datetime
    action: Action
    natural: bool


@dataclass(frozen=True)
class Policy:
    """What of an erased person's rows the law wants kept: by feed its fields, and for how long."""

    keep: Mapping[str, Sequence[str]]
    keep_days: int


def record_trace(source_key: str, key_text: str) -> Trace:
    return Trace("record", (source_key, key_text))


def order_trace(source_key: str, by: str, value: str) -> Trace:
    """An order `by` its `id` or `number`."""
    return Trace("order", (source_key, by, value))


def customer_trace(customer_id: str) -> Trace:
    """An id that was given, and must not be given again."""
    return Trace("customer", (customer_id,))


def contact_trace(contact: str, name: str | None = None) -> Trace:
    """A contact as `contacts_in` gives it; with a name as `name_forms` gives it where others share it."""
    return Trace("contact", (contact, "*" if name is None else name))


def contacts_in(text: str) -> set[str]:
    """The e-mail addresses (`e:`) and phone numbers (`p:`) in a text, in a form in which their spellings meet.

    E-mail: lower case, without a `+tag`; for Gmail without dots. Phones: the last nine digits.
    """
    found: set[str] = set()
    if len(text) > _LONGEST_TEXT:
        text = text[:_LONGEST_TEXT]
    if "@" in text:
        found.update(_email(match) for match in EMAIL.findall(text))
    for match in PHONE.findall(text):
        digits = "".join(ch for ch in match if ch.isdigit())
        if PHONE_DIGITS < len(digits) <= LONGEST_NUMBER and not _is_moment(match):
            found.add(f"p:{digits[-PHONE_DIGITS:]}")
    return found


def _is_moment(text: str) -> bool:
    return re.match(r"(19|20)\d\d-\d\d-\d\d", text.strip()) is not None


def _email(text: str) -> str:
    local, _, domain = text.strip(".").lower().partition("@")
    local = local.partition("+")[0] or local
    if domain in GMAIL:
        local, domain = local.replace(".", "") or local, "gmail.com"
    return f"e:{local}@{domain}"


def email_contact(text: str) -> set[str]:
    """As `contacts_in`, several times as fast for what is one plain address."""
    return {_email(text)} if len(text) < 100 and EMAIL.fullmatch(text) else contacts_in(text)


def phone_contact(text: str) -> set[str]:
    """As `contacts_in`, several times as fast for what is one plain number."""
    digits = text.translate(_BETWEEN_DIGITS)
    plain = digits.isdigit() and digits.isascii() and PHONE_DIGITS < len(digits) <= LONGEST_NUMBER
    return (
        {f"p:{digits[-PHONE_DIGITS:]}"}
        if plain and digits.startswith(("0", "44")) and len(text) < 20
        else contacts_in(text)
    )


def name_forms(first: str | None, last: str | None, full: str | None = None) -> set[str]:
    """A name as far as it tells the people apart who share a contact: first name (or initial) and surname."""
    words = _WORD.findall(f"{first or ''} {last or ''} {full or ''}".casefold())
    words = [word for word in words if word not in ("mr", "mrs", "ms", "miss", "dr", "mx")]
    return {f"{words[0]}|{words[-1]}", f"{words[0][0]}|{words[-1]}"} if words else set()


# --- keys -----------------------------------------------------------------------------------------------------------------


def erasure_keys(*, create: bool = False) -> Keys:
    """The secrets, from the environment or the folder of the embedded estate. Raises ConfigurationError where there is none."""
    text = settings.variable(VARIABLE)
    path = settings.local_dir() / "erasure.key"
    if text is None and path.exists():
        text = path.read_text(encoding="ascii").strip()
    if text is None and create and _is_embedded():
        text = f"k1:{secrets.token_hex(32)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text + "\n", encoding="ascii")
    if text is None:
        raise ConfigurationError(
            f"{VARIABLE} is not set: without the secret of the erasure ledger nobody can be erased, and nothing may land, because "
            f"who was erased would come back. Set it to <id>:<64 hex digits> from your secret store (a new one: k1:$(openssl rand -hex 32))."
        )
    return parse_keys(text)


def _is_embedded() -> bool:
    url = settings.variable("SV_MONGO_URL") or ""
    return "127.0.0.1" in url or "localhost" in url


def parse_keys(text: str) -> Keys:
    """`k2:…,k1:…`, the current one first. Raises ConfigurationError for what is not that."""
    found: dict[str, bytes] = {}
    for part in text.split(","):
        identifier, _, value = part.strip().partition(":")
        try:
            secret = bytes.fromhex(value)
        except ValueError:
            secret = b""
        if not re.fullmatch(r"[A-Za-z0-9_-]+", identifier) or len(secret) < _FEWEST_BYTES or identifier in found:
            raise ConfigurationError(
                f"{VARIABLE} is not <id>:<hex digits>, at least {2 * _FEWEST_BYTES} of them, several parted by commas, each with an id of its own."
            )
        found[identifier] = secret
    return Keys(found, next(iter(found)))


# --- writing ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Erased:
    """A trace that is to be in the ledger. `shared`: it is a contact that others have, too, and decides nothing by itself."""

    trace: Trace
    source: str | None = None
    action: Action = "drop"
    natural: bool = False
    shared: bool = False


def write(store: Store, erasure: str, at: dt.datetime, erased: Iterable[Erased], policy: Policy) -> int:
    """Add entries, and let every writer know. Acknowledged by a majority when it returns; safe to repeat.

    Returns how many were new. They are also appended to the file `SV_ERASURE_LEDGER` names, for the day on which the
    database is restored from a backup that is older than they are.
    """
    keys = erasure_keys(create=True)
    ensure_indexes(
        store.control[COLLECTION],
        [IndexModel([("source", 1), ("action", 1)], sparse=True), IndexModel([("erasure", 1)])],
    )
    documents: dict[str, Document] = {}
    for one in erased:
        document: Document = {
            "_id": f"{keys.current}:{one.trace.hashed(keys.secrets[keys.current]).hex()}",
            "kind": SHARED if one.shared else one.trace.kind,
            "action": one.action,
            "erasure": erasure,
            "at": at,
        }
        if one.source:
            document["source"] = one.source
        if one.natural:
            document["natural"] = True
        documents[document["_id"]] = document
    inserted = _add(store, list(documents.values()), policy)
    if copy := copy_file():
        kept = {"keep": {feed: list(fields) for feed, fields in policy.keep.items()}, "keep_days": policy.keep_days}
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("a", encoding="utf-8") as handle:
            handle.writelines(json.dumps({**d, "at": at.isoformat()}) + "\n" for d in documents.values())
            handle.write(json.dumps({"policy": kept}) + "\n")
    return inserted


def copy_file() -> Path | None:
    """Where the ledger is copied to: `SV_ERASURE_LEDGER`, or a file of the embedded estate."""
    named = settings.variable(COPY_VARIABLE)
    if named:
        return Path(named)
    return settings.local_dir() / "erasure-ledger.jsonl" if settings.variable(VARIABLE) is None else None


def take_in(store: Store, path: Path) -> int:
    """Add the entries of a copy that the database has not (it was restored). Raises ConfigurationError for another file."""
    documents: list[Document] = []
    policy = Policy({}, 0)
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            read = json.loads(line)
            if "policy" in read:
                policy = Policy(read["policy"]["keep"], read["policy"]["keep_days"])
            else:
                documents.append({**read, "at": dt.datetime.fromisoformat(read["at"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is no copy of the erasure ledger ({type(error).__name__}).") from None
    return _add(store, list({d["_id"]: d for d in documents}.values()), policy) if documents else 0


def _add(store: Store, documents: list[Document], policy: Policy) -> int:
    inserted = insert_missing(store.control[COLLECTION], documents)
    if inserted < len(documents):
        bulk_write(store.control[COLLECTION], [_known_better(document) for document in documents])
    kept = {"keep": {feed: list(fields) for feed, fields in policy.keep.items()}, "keep_days": policy.keep_days}
    store.control[STATE].update_one({"_id": "ledger"}, {"$inc": {"revision": 1}, "$set": kept}, upsert=True)
    return inserted


def _known_better(document: Document) -> UpdateOne:
    """What is in the ledger already, of the last of its erasures: who came back is a new person only after that one. What was
    shared once, and is now nobody else's, decides from now on."""
    decides = {"$cond": [{"$eq": ["$kind", SHARED]}, document["kind"], "$kind"]}
    return UpdateOne({"_id": document["_id"]}, [{"$set": {"at": {"$max": ["$at", document["at"]]}, "kind": decides}}])


# --- asking -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ledger:
    """The ledger as one writer asks it: beginnings of hashes in memory (eight bytes each), the entries themselves in MongoDB."""

    store: Store
    revision: int
    policy: Policy
    keys: tuple[tuple[str, bytes], ...]
    beginnings: Any

    def may_hold(self, messages: Sequence[bytes]) -> Any:
        """For each message of a trace, whether it may be in the ledger: never false for one that is, or is a shared contact."""
        found = np.zeros(len(messages), dtype=bool)
        if not messages or not len(self.beginnings):
            return found
        for _, secret in self.keys:
            heads = np.frombuffer(b"".join(_heads(secret, messages)), dtype=">u8").astype(np.uint64)
            at = np.minimum(np.searchsorted(self.beginnings, heads), len(self.beginnings) - 1)
            found |= self.beginnings[at] == heads
        return found

    def entries(self, traces: Iterable[Trace]) -> dict[Trace, Entry]:
        """Of these traces those that are in the ledger."""
        asked = list(traces)
        found: dict[Trace, Entry] = {}
        for key_id, secret in self.keys:
            hashes = [trace.hashed(secret) for trace in asked]
            if not hashes or not len(self.beginnings):
                continue
            heads = np.frombuffer(b"".join(h[:8] for h in hashes), dtype=">u8")
            at = np.minimum(np.searchsorted(self.beginnings, heads), len(self.beginnings) - 1)
            likely = {f"{key_id}:{hashes[n].hex()}": asked[n] for n in np.flatnonzero(self.beginnings[at] == heads)}
            for entry in find_many(self.store.control[COLLECTION], "_id", likely):
                if entry["kind"] == SHARED:
                    continue
                trace, known = likely[entry["_id"]], found.get(likely[entry["_id"]])
                if known is None or entry["at"] > known.at:  # under several keys, the last erasure counts
                    found[trace] = Entry(entry["at"], entry["action"], entry.get("natural", False))
        return found


def _heads(secret: bytes, messages: Sequence[bytes]) -> Iterator[bytes]:
    """The first eight bytes of the HMAC-SHA-256 of each message (RFC 2104), by the states after its two pads: a third of the
    time that one call for each takes."""
    key = secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()
    key = key.ljust(_BLOCK, b"\0")
    begun, ended = (hashlib.sha256(bytes(byte ^ pad for byte in key)) for pad in (0x36, 0x5C))
    for message in messages:
        inner = begun.copy()
        inner.update(message)
        outer = ended.copy()
        outer.update(inner.digest())
        yield outer.digest()[:8]


_CACHE: dict[tuple[int, str], Ledger] = {}


def revision(store: Store) -> int:
    """How often the ledger was written to; 0 where nobody was ever erased."""
    state = store.control[STATE].find_one({"_id": "ledger"}, {"revision": 1})
    return int(state["revision"]) if state else 0


def open_ledger(store: Store) -> Ledger | None:
    """The ledger as it is now; None where nobody was ever erased. Raises ConfigurationError where its secret is missing."""
    state = store.control[STATE].find_one({"_id": "ledger"})
    if state is None:
        return None
    held = _CACHE.get(place := (id(store.client), store.prefix))
    if held is not None and held.revision == state["revision"]:
        return held
    known = erasure_keys()
    ids = list(_ids(store))
    used = sorted({identifier.partition(":")[0] for identifier in ids})
    if missing := [key_id for key_id in used if key_id not in known.secrets]:
        raise ConfigurationError(
            f"{VARIABLE} lacks the key {', '.join(missing)}, with which people were erased. Add it behind the current one: "
            "keys are rotated by putting a new one first, and kept for as long as the ledger."
        )
    heads = b"".join(bytes.fromhex(identifier.partition(":")[2][:16]) for identifier in ids)
    ledger = Ledger(
        store,
        state["revision"],
        Policy(state.get("keep", {}), state.get("keep_days", 0)),
        tuple((key_id, known.secrets[key_id]) for key_id in used),
        np.sort(np.frombuffer(heads, dtype=">u8").astype(np.uint64)),
    )
    _CACHE.clear()
    _CACHE[place] = ledger
    return ledger


def _ids(store: Store) -> Iterator[str]:
    for document in store.control[COLLECTION].find({}, {"_id": 1}).batch_size(50_000):
        yield document["_id"]


def dropped(store: Store, source_key: str) -> int:
    """How many rows of a source were erased, and do not land although the source may still have them."""
    return store.control[COLLECTION].count_documents({"source": source_key, "action": "drop"})


def kept_of_erased(store: Store, source_key: str) -> int:
    """How many rows of a source are kept for the law, although their person was erased and the source may have them no more."""
    return store.control[COLLECTION].count_documents({"source": source_key, "action": "reduce"})
