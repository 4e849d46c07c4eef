"""Which field of the single view is made from which: from the columns of landing, as the feeds of the catalogue say."""

from collections import defaultdict
from collections.abc import Iterator

from sv_assets.catalogue.entry import Const, Entry
from sv_assets.catalogue.feeds import OrderReference, PartyFeed, PlaceFields, Reference
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source, address_fields
from sv_assets.customers.orders import PARTS
from sv_assets.customers.values import ADDRESS_PARTS, NAME_PARTS

Upstream = tuple[Source | str, str]
"""A landed source and its column (or path into a message), or a station's collection (`identity/party_records`) and its field."""
Lineage = dict[str, list[Upstream]]
"""By field, what it is made from."""
PARTY_RECORDS, ORDERS, INTERACTIONS, CONSENTS, FLAGS, HOUSEHOLDS, CUSTOMERS = (
    "identity/party_records",
    "single_view/orders",
    "single_view/interactions",
    "single_view/consents",
    "single_view/flags",
    "identity/households",
    "single_view/customers",
)
_ADDRESS = tuple(f"addresses.{part}" for part in ADDRESS_PARTS if part != "kind")
_VALIDITY = ("addresses.valid_from", "addresses.valid_to")


def of_party_records(catalogue: Catalogue) -> Lineage:
    """The fields of a party record from the columns that feed `party` and `address`."""
    found: Lineage = defaultdict(list)
    for source in catalogue.feeding("party"):
        feed = source.entry.feeds.party
        assert feed is not None
        for name, column in _of_person(feed):
            found[name].append((source, column))
    for source in catalogue.feeding("address"):
        address = source.entry.feeds.address
        assert address is not None
        for name, spec in address_fields(address).items():
            if isinstance(spec, str):
                found[f"addresses.{name}"].append((source, spec))
    return dict(found)


def _of_person(feed: PartyFeed) -> Iterator[tuple[str, str]]:
    for part in NAME_PARTS:
        if column := getattr(feed.name, part):
            yield f"name.{part}", column
    for column in feed.email:
        yield "emails", column
    for column in feed.phone:
        yield "phones", column
    if feed.date_of_birth:
        yield "date_of_birth", feed.date_of_birth
    for name, spec in address_fields(feed.address).items() if feed.address else ():
        if isinstance(spec, str):
            yield f"addresses.{name}", spec
    for name, column in feed.ids.items():
        yield f"ids.{name}", column
    for reference in feed.same_as:
        yield "same_as", reference.key
    for order in feed.quotes:
        yield "quotes", order.id or order.number or ""
    if feed.observed_at:
        yield "observed_at", feed.observed_at
    if feed.opened_at:
        yield "opened_at", feed.opened_at


def of_orders(catalogue: Catalogue) -> Lineage:
    """The fields of an order from the columns of its header, lines, payments, refunds and delivery events."""
    found: Lineage = defaultdict(list)
    for source in catalogue.feeding("order"):
        _add(found, source, source.entry.feeds.order)
    for feed, part in PARTS.items():
        for source in catalogue.feeding(feed):
            _add(found, source, getattr(source.entry.feeds, feed), f"{part}.")
    return dict(found)


def of_interactions(catalogue: Catalogue) -> Lineage:
    """The fields of a call or complaint from its columns."""
    found: Lineage = defaultdict(list)
    for source in catalogue.feeding("interaction"):
        _add(found, source, source.entry.feeds.interaction)
    return dict(found)


def of_consents(catalogue: Catalogue) -> Lineage:
    """The fields of a consent from its columns."""
    found: Lineage = defaultdict(list)
    for source in catalogue.feeding("consent"):
        for feed in source.entry.feeds.consent:
            _add(found, source, feed)
    return dict(found)


def of_flags(catalogue: Catalogue) -> Lineage:
    """The fields of a flag from its columns."""
    found: Lineage = defaultdict(list)
    for source in catalogue.feeding("flag"):
        _add(found, source, source.entry.feeds.flag)
    return dict(found)


def _add(found: Lineage, source: Source, feed: Entry | None, prefix: str = "") -> None:
    """All fields of a feed. What refers to a person stands under `party`; to an order, under `order_number` or nowhere."""
    if feed is None:
        return
    for name in type(feed).model_fields:
        spec = getattr(feed, name)
        if isinstance(spec, Reference):
            _put(found, f"{prefix}{name}", (source, spec.key))
        elif isinstance(spec, OrderReference):
            if not prefix and spec.number:
                _put(found, "order_number", (source, spec.number))
        elif isinstance(spec, PlaceFields):
            _add(found, source, spec, f"{prefix}{name}.")
        elif isinstance(spec, str) and spec != "self" and not isinstance(spec, Const):
            _put(found, f"{prefix}{name}", (source, spec))


def _put(found: Lineage, name: str, upstream: Upstream) -> None:
    node, column = (
        upstream  # the same node is the same object: to compare all that is declared takes a second of an estate
    )
    if not any(one is node and other == column for one, other in found[name]):
        found[name].append(upstream)


def of_customers() -> Lineage:
    """The fields of the customer document from the collections that it is composed of."""
    names = tuple(f"name.{part}" for part in NAME_PARTS)
    from_records = {
        "name": names,
        "names": names,
        "date_of_birth": ("date_of_birth",),
        "dates_of_birth": ("date_of_birth",),
        "email": ("emails",),
        "emails": ("emails",),
        "phone": ("phones",),
        "phones": ("phones",),
        "address": _ADDRESS + _VALIDITY,
        "addresses": _ADDRESS + _VALIDITY,
        "keys": (*names, "date_of_birth", "emails", "phones", *_ADDRESS),
    }
    found: Lineage = {name: [(PARTY_RECORDS, field) for field in fields] for name, fields in from_records.items()}
    from_facts = {
        "consents": (CONSENTS, ("purpose", "channel", "granted", "observed_at")),
        "orders": (
            ORDERS,
            ("number", "placed_at", "status", "total", "currency", "channel", "refunds.amount", "deliveries.status"),
        ),
        "interactions": (INTERACTIONS, ("kind", "at", "closed_at", "reason", "status", "order_number")),
        "flags": (FLAGS, ("flag", "since", "until")),
        "household": (HOUSEHOLDS, ("customers",)),
    }
    for name, (collection, fields) in from_facts.items():
        found[name] = [(collection, field) for field in fields]
    found["open_issues"] = [
        *((ORDERS, field) for field in ("status", "deliveries.status", "deliveries.at", "deliveries.parcel")),
        *((INTERACTIONS, field) for field in ("kind", "at", "closed_at", "status")),
    ]
    found["quality"] = [
        (PARTY_RECORDS, field) for field in (*names, "date_of_birth", "emails", "phones", "observed_at", *_ADDRESS)
    ]
    return found


def of_households() -> Lineage:
    """A household is the customers at one address: its fields come from the addresses of their party records."""
    return {
        "customers": [(PARTY_RECORDS, field) for field in _ADDRESS],
        "records": [(PARTY_RECORDS, field) for field in _ADDRESS],
    }


def of_stations(catalogue: Catalogue) -> dict[str, Lineage]:
    """By collection, the lineage of every station between landing and the customer document, and of that document."""
    return {
        PARTY_RECORDS: of_party_records(catalogue),
        HOUSEHOLDS: of_households(),
        ORDERS: of_orders(catalogue),
        INTERACTIONS: of_interactions(catalogue),
        CONSENTS: of_consents(catalogue),
        FLAGS: of_flags(catalogue),
        CUSTOMERS: of_customers(),
    }


def legacy_columns(catalogue: Catalogue) -> dict[str, list[str]]:
    """By field of the customer document, the legacy columns that it is made from in the end: `crm.customer.Email`."""
    stations = of_stations(catalogue)

    def followed(upstream: Upstream) -> set[str]:
        node, column = upstream
        if isinstance(node, Source):
            return {f"{node.key}.{column}"}
        return {found for next_one in stations.get(node, {}).get(column, ()) for found in followed(next_one)}

    return {
        field: sorted({column for upstream in upstreams for column in followed(upstream)})
        for field, upstreams in of_customers().items()
    }
