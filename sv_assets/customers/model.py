"""The customer document: what is known of one customer, and of every value where it came from.

From these types are made the validator of the collection (`schema.validator`), the columns that Dagster shows, and the page
`docs/customer.md`. Composition (`compose`) writes them as plain documents. A field that stands here with a default need
not be there, so that documents of an older `schema_version` stay valid.
"""

import datetime as dt
from typing import Annotated, Any, Literal

from bson import Decimal128
from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 5
"""Goes up with each change of what composition makes of the same data; every customer is then composed again."""

Status = Literal["preferred", "current", "former", "unusable"]
Text = str | None
Moment = dt.datetime | None


class Part(BaseModel):
    """What all parts share: fields that are not declared are kept, and types are not coerced."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="allow", strict=True, populate_by_name=True)


class Provenance(Part):
    """Where a value came from: the row (or message) of a table (or queue), in which version."""

    system: Annotated[str, Field(description="legacy system")]
    table: Annotated[str, Field(description="table or queue in it")]
    key: Annotated[Any, Field(description="key of the row there")]
    version: Annotated[Any, Field(description="version of the row, as its source counts them")]
    observed_at: Annotated[Moment, Field(description="when it was seen to be so, where the source says")] = None


class Golden(Provenance):
    """The value that counts, where it came from, and the criterion by which it was chosen; the others stand in the list."""

    value: Annotated[Any, Field(description="the value")]
    rule: Annotated[
        str, Field(description="the criterion of survivorship that decided: `only_value` where there was one")
    ]


class Name(Part):
    """A name as its source gives it."""

    title: Text = None
    first: Text = None
    middle: Text = None
    last: Text = None
    full: Text = None


class Address(Part):
    """A postal address as its source gives it."""

    kind: Text = None
    line_1: Text = None
    line_2: Text = None
    town: Text = None
    county: Text = None
    postcode: Text = None
    country: Text = None
    valid_from: Moment = None
    valid_to: Moment = None


class GoldenName(Golden):
    """The name that counts."""

    value: Name


class GoldenText(Golden):
    """The birth date (ISO), e-mail address or phone number that counts."""

    value: str


class GoldenAddress(Golden):
    """The address that counts."""

    value: Address


class Known(Part):
    """One value, and who says so."""

    status: Annotated[
        Status,
        Field(
            description="`preferred`: the one that counts; `former`: no longer so; `unusable`: a placeholder, or malformed"
        ),
    ]
    first_seen: Annotated[Moment, Field(description="the earliest that a present source says so")] = None
    last_seen: Annotated[Moment, Field(description="the latest")] = None
    said_by: Annotated[int, Field(description="how many records say so")]
    sources: Annotated[list[Provenance], Field(description="which, the latest first; at most ten")]


class KnownName(Known):
    """A name that a customer goes by."""

    value: Name


class KnownText(Known):
    """A birth date (ISO), e-mail address or phone number."""

    value: str


class KnownAddress(Known):
    """A place where a customer lives or lived, or has parcels sent to."""

    value: Address


class Account(Part):
    """A record of the customer in a legacy system."""

    system: str
    table: str
    key: Any
    record: Annotated[str, Field(description="id of its party record: `<system>.<table>:<key>`")]


class Answer(Provenance):
    """One answer to a question of consent."""

    granted: bool


class Consent(Answer):
    """Whether the customer may be contacted for a purpose over a channel: the most restrictive of all answers."""

    purpose: Annotated[str, Field(description="in lower case")]
    channel: Annotated[str, Field(description="in lower case")]
    rule: Annotated[
        Literal["most_restrictive", "person_said", "objection"],
        Field(
            description="by which the decisive answer counts; `person_said`: what the customer said last stands over what "
            "sources were told before"
        ),
    ]
    answers: Annotated[list[Answer], Field(description="all of them, the decisive one first; at most ten")]


class Flag(Provenance):
    """Something to be mindful of with the customer, as a source says it: vulnerable, bereaved."""

    flag: str
    since: Moment = None
    until: Annotated[Moment, Field(description="over from then on")] = None


class Totals(Part):
    """What was ordered, cancelled orders too, and given back in one currency. An order that says none counts under an empty one."""

    currency: Annotated[str, Field(description="in capitals")]
    orders: int
    spend: Decimal128
    refunds: Decimal128


class OrderSummary(Provenance):
    """An order in a few words; all of it stands in the collection `orders`."""

    order: Annotated[str, Field(description="its `_id` in the collection `orders`")]
    number: Any = None
    placed_at: Moment = None
    status: Any = None
    total: Annotated[Decimal128 | None, Field(description="null where the source gives no number")] = None
    refunded: Annotated[Decimal128 | None, Field(description="given back so far; null where nothing was")] = None
    currency: Any = None
    channel: Any = None
    delivery: Annotated[Text, Field(description="status of the latest delivery event")] = None


class Orders(Part):
    """All orders in sums, and the latest twenty."""

    count: int
    first_at: Moment = None
    last_at: Moment = None
    totals: list[Totals]
    latest: list[OrderSummary]


class InteractionSummary(Provenance):
    """A call or complaint; all of it stands in the collection `interactions`."""

    interaction: Annotated[str, Field(description="its `_id` in the collection `interactions`")]
    kind: Any = None
    at: Moment = None
    closed_at: Moment = None
    reason: Any = None
    status: Any = None
    order_number: Any = None


class Interactions(Part):
    """How many there were, and the latest twenty."""

    count: int
    last_at: Moment = None
    latest: list[InteractionSummary]


class OpenIssue(Provenance):
    """Something under way: a complaint that is not closed, a parcel that has not arrived."""

    kind: Annotated[str, Field(description="the kind of interaction, or `delivery`")]
    since: Moment = None
    status: Any = None
    order_number: Any = None
    parcel: Any = None


class OpenIssues(Part):
    """How many things are under way, and the latest twenty."""

    count: int
    latest: list[OpenIssue]


class Household(Part):
    """The other customers at the addresses of this one; at most a dozen live in what counts as a household."""

    homes: Annotated[list[str], Field(description="ids of the households in `identity.households`")]
    members: Annotated[list[str], Field(description="customer ids, this one left out")]


class Rights(Part):
    """What the customer asked for by law, in force now."""

    restricted: Annotated[bool, Field(description="only stored: not scored, not marketed to (UK GDPR, Art. 18)")]
    restricted_since: Moment = None
    objections: Annotated[list[str], Field(description="purposes that the customer objected to; `*`: every one")]
    rectified: Annotated[list[str], Field(description="fields that the customer had put right")]


class Quality(Part):
    """How good the picture is, from 0 to 1 each; `score` is their mean in per cent."""

    score: int
    completeness: Annotated[
        float, Field(description="share of name, birth date, e-mail, phone and address that are known")
    ]
    freshness: Annotated[
        float, Field(description="share of those known that were seen within two years of the customer's latest event")
    ]
    agreement: Annotated[float, Field(description="share of those known, and of consents, without a contradiction")]
    conflicts: Annotated[list[str], Field(description="fields that sources contradict each other in")]


class Source(Part):
    """A row or message that went into this document: a party record, or an address of one."""

    record: str
    version: Any


class Sources(Part):
    """The rows and messages that say who and where the customer is; at most 100 are named."""

    count: int
    systems: list[str]
    records: list[Source]


class Customer(Part):
    """One true document per customer."""

    id: Annotated[str, Field(alias="_id", description="the customer_id, for life")]
    schema_version: Annotated[int, Field(description="version of this page that the document was composed by")]
    name: Annotated[GoldenName | None, Field(description="the name to address the customer by")] = None
    date_of_birth: Annotated[GoldenText | None, Field(description="ISO date")] = None
    email: Annotated[GoldenText | None, Field(description="where to write")] = None
    phone: Annotated[GoldenText | None, Field(description="where to ring; E.164 where it can be")] = None
    address: Annotated[GoldenAddress | None, Field(description="where the customer lives, or has parcels sent to")] = (
        None
    )
    names: Annotated[
        list[KnownName], Field(description="all names, the preferred first; at most fifty, as of the next four")
    ]
    dates_of_birth: Annotated[
        list[KnownText], Field(description="all birth dates that sources say (ISO), the preferred first")
    ]
    emails: Annotated[list[KnownText], Field(description="all e-mail addresses, the preferred first")]
    phones: Annotated[list[KnownText], Field(description="all phone numbers, the preferred first")]
    addresses: Annotated[list[KnownAddress], Field(description="all addresses, the preferred first")]
    accounts: Annotated[list[Account], Field(description="records in legacy systems, by their ids; at most 200")]
    consents: Annotated[list[Consent], Field(description="preferences and consents, by purpose and channel")]
    flags: Annotated[list[Flag], Field(description="what to be mindful of; at most a hundred, the latest first")] = []
    orders: Orders
    interactions: Interactions
    open_issues: OpenIssues
    household: Annotated[Household | None, Field(description="null where nobody else is known at the address")] = None
    quality: Quality
    sources: Sources
    left_out: Annotated[
        dict[str, int], Field(description="by list, how many values there are in all where not all stand here")
    ] = {}
    keys: Annotated[list[str], Field(description="look-up keys: what the customer is found by (`customers/keys.py`)")]
    enrichments: Annotated[
        dict[str, Any],
        Field(description="by name, what other assets add; each is owned by one, and kept when the rest changes"),
    ] = {}
    rights: Annotated[
        Rights | None,
        Field(description="what the customer had put right, restricted or objected to; left out where nothing"),
    ] = None
    version: Annotated[int, Field(description="goes up with every real change; `customer_history` says what changed")]
    composed_at: Annotated[dt.datetime, Field(description="when the document last changed")]
    large: Annotated[int | None, Field(description="bytes, where the document has more than half a mebibyte")] = None
