"""What a source feeds: the contract between a legacy schema and the single view.

A *field* of a feed names where a value comes from: a column (`Email`), a path into a message (`$.account.email`), or a
constant (`{const: marketing}`).
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from sv_assets.catalogue.entry import Const, Entry, FieldList, FieldPath, FieldSpec, as_list


class Reference(Entry):
    """Points to the row of another (or the same) source that describes the person: its key stands in `key`.

    Where `key` is empty the row points nowhere, or to itself with `otherwise: self`.
    """

    table: str
    key: FieldPath
    system: str | None = None
    otherwise: Literal["self"] | None = None


PartyReference = Reference | Literal["self"]


class OrderReference(Entry):
    """Points to an order of `system`, by its key or by its number."""

    system: str | None = None
    id: FieldPath | None = None
    number: FieldPath | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.id is None) == (self.number is None):
            raise ValueError("an order is referred to by `id` or by `number`, one of the two")
        return self


class NameFields(Entry):
    """The parts of a name, or `full` for sources that keep it in one column."""

    title: FieldPath | None = None
    first: FieldPath | None = None
    middle: FieldPath | None = None
    last: FieldPath | None = None
    full: FieldPath | None = None


class AddressFields(Entry):
    """A postal address."""

    line_1: FieldPath | None = None
    line_2: FieldPath | None = None
    town: FieldPath | None = None
    county: FieldPath | None = None
    postcode: FieldPath | None = None
    country: FieldSpec | None = None
    kind: FieldSpec | None = None
    valid_from: FieldPath | None = None
    valid_to: FieldPath | None = None


class PlaceFields(Entry):
    """Where a parcel goes, or where a card's bill goes."""

    line_1: FieldPath | None = None
    line_2: FieldPath | None = None
    town: FieldPath | None = None
    postcode: FieldPath | None = None
    country: FieldSpec | None = None


class PartyFeed(Entry):
    """Each row describes a person. `when_empty`: only rows where that field is empty do (guest check-outs).

    `quotes` are orders that the person names: who placed such an order, and has the same name, is the same person.
    `ids` are strong identifiers by name (`{loyalty_card: CardNumber}`), compared with those of the same name elsewhere;
    `region` is the country of phone numbers without a prefix (two letters); `opened_at` is when an account was opened.
    """

    name: NameFields = NameFields()
    email: FieldList = []
    phone: FieldList = []
    date_of_birth: FieldPath | None = None
    address: AddressFields | None = None
    same_as: list[Reference] = []
    quotes: list[OrderReference] = []
    ids: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], FieldPath] = {}
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "GB"
    observed_at: FieldPath | None = None
    opened_at: FieldPath | None = None
    when_empty: FieldPath | None = None


class AddressFeed(AddressFields):
    """Each row is an address of a person that another source describes."""

    party: Reference


class OrderFeed(Entry):
    """Each row is an order. `device` is a token of the browser or telephone that it was placed with."""

    number: FieldPath
    placed_at: FieldPath
    party: PartyReference
    status: FieldPath | None = None
    total: FieldPath | None = None
    currency: FieldSpec | None = None
    channel: FieldSpec | None = None
    postcode: FieldPath | None = None
    device: FieldPath | None = None
    delivery_address: PlaceFields | None = None
    billing_address: PlaceFields | None = None


class OrderLineFeed(Entry):
    """Each row is a line of an order."""

    order: OrderReference
    line: FieldPath
    sku: FieldPath | None = None
    description: FieldPath | None = None
    quantity: FieldPath | None = None
    unit_price: FieldPath | None = None
    total: FieldPath | None = None


class PaymentFeed(Entry):
    """Each row is a payment for an order. `card` is a token of the card, never its number."""

    order: OrderReference
    amount: FieldPath
    method: FieldPath | None = None
    status: FieldPath | None = None
    paid_at: FieldPath | None = None
    card: FieldPath | None = None


class RefundFeed(Entry):
    """Each row is a refund on an order. `kind` tells chargebacks (`chargeback`) from what we gave back ourselves."""

    order: OrderReference
    amount: FieldPath
    reason: FieldPath | None = None
    refunded_at: FieldPath | None = None
    kind: FieldSpec | None = None


class DeliveryFeed(Entry):
    """Each row or message is an event in the delivery of an order."""

    order: OrderReference
    status: FieldPath
    at: FieldPath
    parcel: FieldPath | None = None
    sequence: FieldPath | None = None
    carrier: FieldPath | None = None
    reference: FieldPath | None = None


class InteractionFeed(Entry):
    """Each row is a contact with a person: a call, a complaint."""

    kind: FieldSpec
    at: FieldPath
    party: PartyReference
    reason: FieldPath | None = None
    status: FieldPath | None = None
    closed_at: FieldPath | None = None
    duration_seconds: FieldPath | None = None
    order: OrderReference | None = None


class ConsentFeed(Entry):
    """Each row says whether a person may be contacted for a purpose over a channel."""

    party: PartyReference
    purpose: FieldSpec
    channel: FieldSpec
    granted: FieldPath
    observed_at: FieldPath | None = None


class FlagFeed(Entry):
    """Each row says something to be mindful of with a person: that it is vulnerable, or bereaved.

    `raised` is a column that says whether (yes or no); without it the row itself does. Over from `until` on.
    """

    party: PartyReference
    flag: FieldSpec
    raised: FieldPath | None = None
    since: FieldPath | None = None
    until: FieldPath | None = None


class Feeds(Entry):
    """The contract between a legacy schema and the single view."""

    party: PartyFeed | None = None
    address: AddressFeed | None = None
    order: OrderFeed | None = None
    order_line: OrderLineFeed | None = None
    payment: PaymentFeed | None = None
    refund: RefundFeed | None = None
    delivery: DeliveryFeed | None = None
    interaction: InteractionFeed | None = None
    consent: Annotated[
        list[ConsentFeed], BeforeValidator(as_list, json_schema_input_type=ConsentFeed | list[ConsentFeed])
    ] = []
    flag: FlagFeed | None = None


def paths_of(entry: Entry) -> Iterator[str]:
    """Every column or path that a feed names, however deep."""
    for name in type(entry).model_fields:
        value = getattr(entry, name)
        for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]:
            if isinstance(item, Const):
                continue
            if isinstance(item, Entry):
                yield from paths_of(item)
            elif isinstance(item, str) and not _is_word(entry, name):
                yield item


def _is_word(entry: Entry, field: str) -> bool:
    """True for fields that hold a name of ours (`system`, `otherwise`, `party: self`), not a column."""
    if isinstance(entry, Reference):
        return field != "key"
    if isinstance(entry, OrderReference):
        return field == "system"
    if isinstance(entry, PartyFeed):
        return field == "region"
    return field == "party"
