"""Looking into the log of accesses, which is a read like any other."""

from sv_assets.access.actor import Actor
from sv_assets.access.log import COLLECTION
from sv_assets.access.reading import permission
from sv_assets.mongo import Document, Store


def log_entries(store: Store, customer_id: str | None, at_most: int, *, actor: Actor) -> list[Document]:
    """Who read (this customer), the newest first, as the actor may see it. Raises as `permission` does."""
    allowed = permission(store, actor, f"control.{COLLECTION}")
    query = {} if customer_id is None else {"customers": customer_id}
    found = list(store.control[COLLECTION].find(query).sort("at", -1).limit(at_most))
    allowed.log(store, [] if customer_id is None else [customer_id])
    return [allowed.seen(entry) for entry in found]
