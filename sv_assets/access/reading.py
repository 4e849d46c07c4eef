"""The gate of the read path: is this actor allowed, write that it read, and what does it see."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from sv_assets import sealing
from sv_assets.access.actor import Actor
from sv_assets.access.fields import Fields
from sv_assets.access.log import Attempt, Outcome, write_entry
from sv_assets.access.roles import fields_for, load_roles
from sv_assets.errors import ConfigurationError, SvError
from sv_assets.mongo import Document, Store

T = TypeVar("T")
NOTHING_SAID = Attempt()


class AccessRefused(SvError):
    """The role may not see this, or not for this purpose."""


@dataclass(frozen=True)
class Permission:
    """An actor that may read some fields of a collection. Who holds one has still to `log` before it returns anything."""

    actor: Actor
    collection: str
    fields: Fields
    store: Store = field(repr=False)

    def log(self, store: Store, customers: Iterable[str], attempt: Attempt = NOTHING_SAID) -> None:
        """Write who is read. Raises TransientError where it cannot be written: nothing may be returned then."""
        whom = list(customers)
        outcome: Outcome = "shown" if whom else "nobody"
        write_entry(store, self.actor, self.collection, outcome, whom, self.fields, attempt)

    def log_refusal(self, store: Store, attempt: Attempt = NOTHING_SAID) -> None:
        """Write that something was asked which this permission does not cover."""
        write_entry(store, self.actor, self.collection, "refused", (), None, attempt)

    def seen(self, document: Mapping[str, Any]) -> Document:
        """What the actor sees of a document. Of what is sealed in it only that is opened."""
        return self.fields.of(document, self.opened([("", document)]))

    def seen_each(self, documents: Iterable[Mapping[str, Any]]) -> list[Document]:
        """What the actor sees of each of these documents; what is sealed in them is opened together."""
        found = list(documents)
        opened = self.opened(("", document) for document in found)
        return [self.fields.of(document, opened) for document in found]

    def opened(self, parts: Iterable[tuple[str, Any]]) -> Mapping[bytes, Any]:
        """What the actor sees of sealed values, opened together: of values that stand at paths of a document."""
        sealed = set().union(*(self.fields.sealed_below(path, part) for path, part in parts))
        return sealing.open_values(self.store, sealed) if sealed else {}

    def seen_of(self, found: T) -> T:
        """What the actor sees of a dataclass: fields that it does not see are None."""
        return cast(T, self.fields.below("", found, opened=self.opened([("", found)])))


def permission(store: Store, actor: Actor, collection: str, attempt: Attempt = NOTHING_SAID) -> Permission:
    """The actor's permission to read a collection. A refusal is logged, too.

    Raises AccessRefused where its role sees nothing of it, or not for its purpose or without a reason; ConfigurationError
    for a role or purpose that nobody declared.
    """
    roles = load_roles()
    role = roles.role(actor.role)
    if not actor.purpose:
        raise ConfigurationError(
            f"Say for what: the purposes of {actor.role} are {', '.join(role.purposes)} (--purpose)."
        )
    if actor.purpose not in roles.purposes:
        raise ConfigurationError(f"{actor.purpose} is no declared purpose. Those are: {', '.join(roles.purposes)}.")
    if not actor.name.strip():
        raise ConfigurationError("Say who reads: SV_ACTOR is empty.")
    fields = fields_for(actor.role, collection)
    refusal = None
    if fields is None:
        refusal = f"The role {actor.role} sees nothing of {collection}."
    else:
        allowed = role.collections[collection].purposes or role.purposes
        if actor.purpose not in allowed:
            refusal = (
                f"The role {actor.role} does not read {collection} for {actor.purpose}, only for {', '.join(allowed)}."
            )
        elif actor.purpose in role.needs_reason and not (actor.reason or "").strip():
            refusal = (
                f"For {actor.purpose} the role {actor.role} has to give a reason: a case or call number (--reason)."
            )
    if refusal is not None or fields is None:
        write_entry(store, actor, collection, "refused", (), None, attempt)
        raise AccessRefused(f"{refusal} It is written down that it was tried. `sv roles show` says who may.")
    return Permission(actor, collection, fields, store)


def shown(
    store: Store,
    actor: Actor,
    collection: str,
    documents: Iterable[Document],
    whom: Callable[[Document], str | None] = lambda document: document["_id"],
    attempt: Attempt = NOTHING_SAID,
) -> list[Document]:
    """What an actor sees of these documents of a collection, once it is written down whose they are.

    `whom` gives the customer that a document is about. Raises as `permission` and `Permission.log` do.
    """
    allowed = permission(store, actor, collection, attempt)
    found = list(documents)
    allowed.log(store, [customer for document in found if (customer := whom(document))], attempt)
    return allowed.seen_each(found)
