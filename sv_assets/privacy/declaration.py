"""What is held about people, and what becomes of it: the retailer's one declaration, `defs/privacy/retention.yaml`."""

from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from sv_assets.catalogue.entry import Duration, Entry, load_entry
from sv_assets.ledger import Policy
from sv_assets.mongo import Store

DEFAULT = Path(__file__).resolve().parents[1] / "defs" / "privacy" / "retention.yaml"
Kind = Literal["customer", "record", "order"]
Erase = Literal["delete", "reduce", "pseudonymise", "keep"]
_SYSTEM_DATABASES = frozenset({"admin", "local", "config"})


class Expiry(Entry):
    """Documents whose `field` (a moment) is older than `after` go; `where` narrows them to those with these values."""

    after: Duration
    field: str
    where: dict[str, str | bool | int] = {}


class Held(Entry):
    """A collection (`database.collection`, `*` for any part), what it is for, and how a person is found in it.

    `find`: `station` where the platform's own stations know it, `anywhere` to look through all of it, or the fields that hold
    ids: `{customer_id: customer, records: record}`. `erase` says what erasure does with what is found.
    """

    name: Annotated[str, Field(pattern=r"^[a-z_*]+\..+$")]
    personal: bool
    purpose: str
    basis: str = ""
    kept: str
    find: Literal["station", "anywhere", "nobody"] | dict[str, Kind] = "nobody"
    erase: Erase = "keep"
    expires: list[Expiry] = []

    def covers(self, database: str, collection: str) -> bool:
        return fnmatchcase(f"{database}.{collection}", self.name)


class HeldFile(Entry):
    """Files of a kind, by a pattern under the folder of the estate; `handled` says what erasure does with them."""

    name: str
    personal: bool
    purpose: str
    kept: str
    handled: Literal["redact", "rows", "delete", "nothing"]
    after: Duration | None = None


class ForTheLaw(Entry):
    """What of an erased person's rows is kept: by feed its fields, for how long, and which law asks for it."""

    fields: dict[str, list[str]]
    keep: Duration
    law: str


class Audience(Entry):
    """Who may be contacted for what, and by which kind of contact a channel reaches them."""

    purpose: str
    channels: dict[str, Literal["email", "mobile", "phone", "address"]]


class Declaration(Entry):
    """All of it. `answer_within`: until when a request must be answered; `deleted_rows`: how long rows keep their fields that were
    deleted at their source."""

    answer_within: Duration
    deleted_rows: Duration
    for_the_law: ForTheLaw
    audience: Audience
    others: list[str] = []
    collections: list[Held]
    files: list[HeldFile] = []

    @property
    def policy(self) -> Policy:
        return Policy(self.for_the_law.fields, self.for_the_law.keep.days)

    def of(self, database: str, collection: str) -> Held | None:
        """What is declared of a collection: the first entry that covers it; None where nothing is."""
        return next((held for held in self.collections if held.covers(database, collection)), None)


@lru_cache
def load_declaration(path: Path = DEFAULT) -> Declaration:
    """Read it. Raises ConfigurationError with file, place and allowed values."""
    return load_entry(Declaration, path)


def collections_of(store: Store, declared: Declaration) -> list[tuple[str, str]]:
    """Every collection of the store, as (database, collection), without the prefix: declared or not. Views hold nothing themselves."""
    own = {database.name.removeprefix(store.prefix) for database in store.databases()}
    known = own | {held.name.partition(".")[0] for held in declared.collections}
    found = []
    for name in sorted(store.client.list_database_names()):
        if not name.startswith(store.prefix) or name in _SYSTEM_DATABASES:
            continue
        bare = name.removeprefix(store.prefix)
        if not store.prefix and bare not in known and any(bare.endswith(f"_{one}") for one in known):
            continue  # of another team, whose prefix is not ours
        names = [found["name"] for found in store.client[name].list_collections() if found.get("type") != "view"]
        found += [(bare, collection) for collection in sorted(names) if not collection.startswith("system.")]
    return found


def undeclared(store: Store, declared: Declaration) -> list[str]:
    """The collections that nobody has declared: nobody knows what they hold of whom."""
    return [
        f"{database}.{name}"
        for database, name in collections_of(store, declared)
        if declared.of(database, name) is None
    ]
