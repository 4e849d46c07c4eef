"""The queries that serve people, each declared with the index that it needs; and a look at how the server answers them.

Every question of the contact centre is an equality on an index. `plans` asks the server itself (explain) how it would go
about each, on values that are there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pymongo import IndexModel
from pymongo.collection import Collection

from sv_assets.customers import history
from sv_assets.mongo import Document, Store

MOST_EXAMINED = 3
"""So many documents may be examined for each that is returned."""
SAMPLES = 500
"""Among so many documents a value is looked for before an index is asked."""


@dataclass(frozen=True)
class Query:
    """An equality on one field. `kind` is that of a look-up key; without it any value of the field will do."""

    name: str
    collection: str
    field: str = "keys"
    kind: str | None = None

    def of(self, store: Store) -> Collection[Document]:
        database, _, collection = self.collection.partition(".")
        found: Collection[Document] = getattr(store, database)[collection]
        return found


QUERIES = (
    Query("a customer by its id", "single_view.customers", "_id"),
    Query("by an id that was merged", "identity.aliases", "_id"),
    *(
        Query(f"customers by {words}", "single_view.customers", kind=kind)
        for kind, words in {
            "email": "e-mail address",
            "phone": "phone number",
            "phone_end": "last digits of a phone number",
            "postcode": "postcode",
            "postcode_surname": "postcode and surname",
            "postcode_house": "postcode and house number",
            "name_town": "name and town",
            "name_born": "name and date of birth",
            "account": "account number",
        }.items()
    ),
    Query("orders by order number", "single_view.orders", kind="order"),
    Query("orders by delivery reference", "single_view.orders", kind="delivery"),
    Query("all orders of a customer", "single_view.orders", "customer_id"),
    Query("all interactions of a customer", "single_view.interactions", "customer_id"),
    Query("all consents of a customer", "single_view.consents", "customer_id"),
    Query("a customer's history", f"single_view.{history.COLLECTION}", "customer_id"),
    Query("a customer by one of its records", "identity.party_records", "_id"),
    Query("the card of a customer", "contact_centre.customer_card", "_id"),
    Query("all calls of a customer", "contact_centre.calls", "customer_id"),
    Query("who read a customer", "control.access_log", "customers"),
)
INDEXES = {
    "customers": [IndexModel([("keys", 1)])],
    "orders": [IndexModel([("keys", 1)]), IndexModel([("customer_id", 1)])],
    "interactions": [IndexModel([("customer_id", 1)])],
    "consents": [IndexModel([("customer_id", 1)])],
    "flags": [IndexModel([("customer_id", 1)])],
    history.COLLECTION: history.INDEXES,
}
"""By collection of the single view, what the queries above need."""


@dataclass(frozen=True)
class Plan:
    """How the server answers a query: by what stages, documents examined and returned. `fault` says what is wrong with it."""

    query: Query
    stages: tuple[str, ...]
    examined: int
    returned: int

    @property
    def fault(self) -> str | None:
        if "COLLSCAN" in self.stages:
            return "scans the collection"
        if self.examined > MOST_EXAMINED * max(self.returned, 1):
            return f"examines {self.examined:,} documents to return {self.returned:,}"
        return None


def plans(store: Store) -> Iterator[Plan]:
    """The plan of each query, for a value that is there where there is one; queries of empty collections are left out."""
    for query in QUERIES:
        value = sample_of(store, query)
        if value is None:
            continue
        explained = query.of(store).find({query.field: value}).explain()
        stats = explained["executionStats"]
        stages = tuple(_stages(explained["queryPlanner"]["winningPlan"]))
        yield Plan(query, stages, int(stats["totalDocsExamined"]), int(stats["nReturned"]))


def sample_of(store: Store, query: Query) -> Any:
    """A value that something is found by; where nothing is, one that nobody has. None where there are no documents."""
    collection = query.of(store)
    first = list(collection.find({}, {query.field: 1}).limit(SAMPLES))
    found = [value for document in first for value in _values(document, query)]
    if first and not found and query.kind is not None:  # of a kind that few have
        begins = {"$elemMatch": {"$gte": f"{query.kind}:", "$lt": f"{query.kind};"}}
        rare = collection.find({query.field: begins}, {query.field: 1}).limit(1)
        found = [value for document in rare for value in _values(document, query)]
    if not first:
        return None
    return found[0] if found else f"{query.kind or query.field}:"


def _values(document: Document, query: Query) -> Iterator[Any]:
    found = document.get(query.field)
    for value in found if isinstance(found, list) else [found]:
        if value is not None and (query.kind is None or str(value).startswith(f"{query.kind}:")):
            yield value


def _stages(plan: Any) -> Iterator[str]:
    if isinstance(plan, dict):
        if "stage" in plan:
            yield str(plan["stage"])
        for inner in plan.values():
            yield from _stages(inner)
    elif isinstance(plan, list):
        for inner in plan:
            yield from _stages(inner)
