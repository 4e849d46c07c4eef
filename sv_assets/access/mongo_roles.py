"""The declared roles in MongoDB itself: a read-only view for each role and collection, and a role that reads its views only.

Who logs in to the server with such a role sees what our own read path would show in clear. What a role sees masked its view
leaves out, and so does it with paths that have `*` in their middle, which no projection can say, and with all that such a path
takes out a part of.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure

from sv_assets.access.fields import Treatment
from sv_assets.access.roles import Roles
from sv_assets.errors import ConfigurationError, SvError
from sv_assets.mongo import Document, Store

UNAUTHORISED = 13
NO_SUCH_COMMAND = frozenset({59, 115, 8000})
"""How servers answer that let roles be managed only elsewhere: MongoDB Atlas by its own interface."""
AS = "_as_"
"""`customers_as_marketing`: what `marketing` sees of `customers`."""


@dataclass(frozen=True)
class View:
    """What a role sees of a collection, as the server shows it."""

    database: str
    source: str
    role: str
    pipeline: list[Document]

    @property
    def name(self) -> str:
        return f"{self.source}{AS}{self.role}"


@dataclass
class Applied:
    """What was done to make the server's roles and views those that are declared."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0

    def count(self, name: str, before: Any, wanted: Any) -> bool:
        """Put it down; True if there is something to do."""
        if before == wanted:
            self.unchanged += 1
            return False
        (self.created if before is None else self.changed).append(name)
        return True


@dataclass(frozen=True)
class Tried:
    """What happened when a user with a role read a collection or view."""

    role: str
    namespace: str
    allowed: bool
    could: bool

    @property
    def is_right(self) -> bool:
        return self.allowed == self.could


def views(store: Store, roles: Roles) -> list[View]:
    """The views that are declared; of collections that are none of the store's (`explained.pair`) there are none."""
    names = {database.name.removeprefix(store.prefix) for database in store.databases()}
    found = []
    for role, declared in roles.roles.items():
        for collection, grant in declared.collections.items():
            database, _, source = collection.partition(".")
            pipeline = pipeline_of(grant.treatments)
            if database in names and pipeline:
                found.append(View(store.prefix + database, source, role, pipeline))
    return found


def pipeline_of(treatments: Mapping[str, Treatment]) -> list[Document]:
    """The stages that leave of a document what is seen in clear; none where a projection cannot say anything of it."""
    kept = [path.removesuffix(".**") for path, given in treatments.items() if given == "clear"]
    # What a path with `*` takes out again cannot be said either: then nothing is shown of where it may lie.
    unsayable = [path.removesuffix(".**") for path, given in treatments.items() if given != "clear"]
    kept = [path for path in kept if "*" not in path and not any(_may_lie_below(path, u) for u in unsayable)]
    # A projection refuses a path beside one that holds it already.
    wanted = {path for path in kept if not any(path.startswith(f"{other}.") for other in kept)}
    if not wanted:
        return []
    taken_out = sorted(
        path.removesuffix(".**")
        for path, given in treatments.items()
        if given != "clear" and "*" not in path.removesuffix(".**") and any(path.startswith(f"{w}.") for w in wanted)
    )
    stages: list[Document] = [{"$project": {"_id": 0, **dict.fromkeys(sorted(wanted), 1)}}]
    return [*stages, {"$unset": taken_out}] if taken_out else stages


def _may_lie_below(path: str, other: str) -> bool:
    """True for another path, with `*` in it, that some value below `path` may stand at."""
    above, names = path.split("."), other.split(".")
    return "*" in other and len(names) > len(above) and all(n in ("*", a) for a, n in zip(above, names, strict=False))


def privileges(store: Store, roles: Roles) -> dict[str, list[Document]]:
    """By role as it is called on the server, what it may do: read its views."""
    declared = views(store, roles)
    return {
        role_name(store, role): [
            {"resource": {"db": view.database, "collection": view.name}, "actions": ["find"]}
            for view in declared
            if view.role == role
        ]
        for role in roles.roles
    }


def apply(store: Store, roles: Roles, *, dry_run: bool = False, views_only: bool = False) -> Applied:
    """Make views and roles as declared, and remove those of ours that are declared no more. Repeated, it changes nothing.

    `views_only` leaves roles to who manages them elsewhere (MongoDB Atlas does not take them from a client); `privileges` are
    what to give them. Raises ConfigurationError where our own user may not manage roles, or the server does not let it.
    """
    done = Applied()
    declared = views(store, roles)
    with _explained():
        for database in store.databases():
            _apply_views(database, [view for view in declared if view.database == database.name], done, dry_run)
        if not views_only:
            _apply_roles(store, roles, done, dry_run)
    return done


def role_name(store: Store, role: str) -> str:
    """What a role is called on the server, where several of us may share one."""
    return f"{store.prefix}sv_{role}"


def _apply_views(database: Database[Document], declared: list[View], done: Applied, dry_run: bool) -> None:
    there = {
        found["name"]: found["options"].get("pipeline")
        for found in database.list_collections()
        if found.get("type") == "view" and AS in found["name"]
    }
    for view in declared:
        before = there.pop(view.name, None)
        name = f"{database.name}.{view.name}"
        if not done.count(name, before, view.pipeline) or dry_run:
            continue
        if before is not None:
            database.drop_collection(view.name)
        database.command("create", view.name, viewOn=view.source, pipeline=view.pipeline)
    for name in sorted(there):
        done.removed.append(f"{database.name}.{name}")
        if not dry_run:
            database.drop_collection(name)


def _apply_roles(store: Store, roles: Roles, done: Applied, dry_run: bool) -> None:
    admin = store.client.admin
    ours = role_name(store, "")
    listed = admin.command("rolesInfo", 1, showPrivileges=True)["roles"]
    known = {found["role"]: _plain(found.get("privileges", ())) for found in listed if found["role"].startswith(ours)}
    # Of another team, whose prefix begins as our roles do, are those that read other databases than ours.
    databases, declared = {database.name for database in store.databases()}, privileges(store, roles)
    there = {r: may for r, may in known.items() if r in declared or all(where in databases for where, _, _ in may)}
    for name, wanted in declared.items():
        before = there.pop(name, None)
        if done.count(f"role {name}", before, _plain(wanted)) and not dry_run:
            admin.command("createRole" if before is None else "updateRole", name, privileges=wanted, roles=[])
    for name in sorted(there):
        done.removed.append(f"role {name}")
        if not dry_run:
            admin.command("dropRole", name)


def _plain(privileges: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Privileges in an order of their own, to be compared."""
    return sorted(
        (p["resource"].get("db", ""), p["resource"].get("collection", ""), tuple(sorted(p["actions"])))
        for p in privileges
    )


# --- trying them ----------------------------------------------------------------------------------------------------------


def check(store: Store, roles: Roles) -> list[Tried]:
    """Log in as a user of each role, made for this and removed again, and try to read every collection and view.

    Raises SvError where roles have not been applied, ConfigurationError where our own user may not make users.
    """
    declared = views(store, roles)
    namespaces = [
        (database.name, found["name"])
        for database in store.databases()
        for found in database.list_collections()
        if not found["name"].startswith("system.")
    ]
    if missing := [view for view in declared if (view.database, view.name) not in set(namespaces)]:
        raise SvError(f"The view {missing[0].database}.{missing[0].name} is not there. `sv roles apply` makes it.")
    tried = []
    with _explained():
        for role in roles.roles:
            mine = {(view.database, view.name) for view in declared if view.role == role}
            with _logged_in(store, role_name(store, role)) as client:
                for database, collection in namespaces:
                    could = _can_read(client, database, collection)
                    tried.append(Tried(role, f"{database}.{collection}", (database, collection) in mine, could))
    return tried


def enforces_roles(store: Store) -> bool:
    """Whether this server keeps a user whose role reads one collection from reading another; tried, on two of our own."""
    role, database = f"{store.prefix}sv_probe_{token_hex(4)}", store.control
    privilege = {"resource": {"db": database.name, "collection": "roles_probe"}, "actions": ["find"]}
    with _explained():
        store.client.admin.command("createRole", role, privileges=[privilege], roles=[])
        try:
            with _logged_in(store, role) as client:
                return not _can_read(client, database.name, "leases")
        finally:
            store.client.admin.command("dropRole", role)


@contextmanager
def _logged_in(store: Store, role: str) -> Iterator[MongoClient[Document]]:
    """A client of a user with this role only, who is there as long as the client."""
    user, password = f"{role}_{token_hex(4)}", token_hex(16)
    admin = store.client.admin
    admin.command("createUser", user, pwd=password, roles=[{"role": role, "db": "admin"}])
    try:
        client: MongoClient[Document] = MongoClient(
            store.url, username=user, password=password, authSource="admin", serverSelectionTimeoutMS=10_000
        )
        try:
            yield client
        finally:
            client.close()
    finally:
        with suppress(OperationFailure):
            admin.command("dropUser", user)


def _can_read(client: MongoClient[Document], database: str, collection: str) -> bool:
    try:
        client[database][collection].find_one({"_id": "nobody"})
    except OperationFailure as error:
        if error.code == UNAUTHORISED:
            return False
        raise
    return True


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OperationFailure as error:
        if error.code in NO_SUCH_COMMAND:
            raise ConfigurationError(
                "This server does not let a client manage roles (MongoDB Atlas does not). `sv roles apply --views-only --json` makes the views "
                "and lists the privileges to give each role there."
            ) from None
        if error.code != UNAUTHORISED:
            raise
        raise ConfigurationError(
            "Our user on MongoDB may not manage roles, users and views. Give the one behind SV_MONGO_URL the role userAdminAnyDatabase "
            "and dbAdminAnyDatabase for this, or let an administrator run `sv roles apply`."
        ) from None
