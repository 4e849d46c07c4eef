"""Composition: what is known of one customer becomes one document. A pure function: same input, same bytes.

Values that sources disagree in are ranked by the criteria that the retailer declares (`settings`); consents never are: a
refusal by any record wins for its purpose and channel. The document is described by `model.Customer`; its fields are sealed (`sealed`) and its bookkeeping
(`version`, `composed_at`, `enrichments`) is added where it is written.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sv_assets.catalogue.load import Catalogue
from sv_assets.customers import keys, rights, values
from sv_assets.customers.activity import Activity
from sv_assets.customers.model import SCHEMA_VERSION
from sv_assets.customers.quality import quality
from sv_assets.customers.settings import CustomerSettings, load_settings
from sv_assets.customers.values import MOST_SOURCES, MOST_VALUES, Field, Said, moment, origin_of, saying_of, survivor
from sv_assets.mongo import Document, content_hash

MOST_ACCOUNTS = 200
MOST_RECORDS = 100
MOST_CONSENTS = 100
MOST_FLAGS = 100
_LISTS = {
    "name": "names",
    "date_of_birth": "dates_of_birth",
    "email": "emails",
    "phone": "phones",
    "address": "addresses",
}
"""By field, the list of all its values."""


@dataclass(frozen=True)
class Rules:
    """By what customers are composed. `account_sources`: those whose rows are accounts of a customer, not orders or calls;
    `closing_sources`: those of interactions that say when one was closed."""

    settings: CustomerSettings
    account_sources: frozenset[str]
    closing_sources: frozenset[str] = frozenset()
    sealing: str = ""
    """What is sealed, and under which master key look-up keys are hashed (`sealing.version`)."""

    @cached_property
    def version(self) -> str:
        """Changes with whatever makes another document of the same data."""
        made_by = {
            "rules": self.settings.rules,
            "accounts": sorted(self.account_sources),
            "closing": sorted(self.closing_sources),
            "sealing": self.sealing,
        }
        return content_hash(made_by)[:12]


def rules_of(catalogue: Catalogue, settings: CustomerSettings | None = None) -> Rules:
    """The retailer's rules."""
    accounts = {
        source.key
        for source in catalogue.feeding("party")
        if not source.feeds_into("order") and not source.feeds_into("interaction")
    }
    closing = {
        source.key
        for source in catalogue.feeding("interaction")
        if source.entry.feeds.interaction and source.entry.feeds.interaction.closed_at
    }
    return Rules(settings or load_settings(), frozenset(accounts), frozenset(closing))


@dataclass
class Known:
    """Everything known of one customer. Facts are added one by one; `households` as in `identity.households`."""

    customer_id: str
    rules: Rules
    records: list[Document] = field(default_factory=list)
    consents: list[Document] = field(default_factory=list)
    flags: list[Document] = field(default_factory=list, kw_only=True)
    households: list[Document] = field(default_factory=list)
    corrections: list[Document] = field(default_factory=list)
    statements: list[Document] = field(default_factory=list)
    activity: Activity = field(init=False)

    def __post_init__(self) -> None:
        self.activity = Activity(self.rules.settings, self.rules.closing_sources)


def compose(known: Known) -> Document:
    """The customer document, without its bookkeeping."""
    settings, survivorship = known.rules.settings, known.rules.settings.survivorship
    records = sorted(known.records, key=lambda record: str(record["_id"]))
    said: Said = [
        (record, saying_of(record, record["source"], moment(record.get("observed_at")), settings)) for record in records
    ]
    corrected = rights.sayings(known.corrections)
    said += corrected
    fields = {
        "name": survivor(values.names(said), survivorship.name),
        "date_of_birth": survivor(values.dates_of_birth(said), survivorship.date_of_birth),
        "email": survivor(values.emails(said), survivorship.email),
        "phone": survivor(values.phones(said), survivorship.phone),
        "address": survivor(values.addresses(said, settings), survivorship.address),
    }
    consents = _consents(known.consents, known.statements)
    said_by_them = rights.summary(known.corrections, known.statements)
    accounts = [
        {"system": r["system"], "table": r["table"], "key": r["key"], "record": r["_id"]}
        for r in records
        if r["source"] in known.rules.account_sources
    ]
    return {
        "_id": known.customer_id,
        "schema_version": SCHEMA_VERSION,
        **{name: known_field.golden for name, known_field in fields.items()},
        **{_LISTS[name]: known_field.values for name, known_field in fields.items()},
        "accounts": accounts[:MOST_ACCOUNTS],
        "consents": consents[:MOST_CONSENTS],
        "flags": _flags(known.flags)[:MOST_FLAGS],
        "orders": known.activity.orders(),
        "interactions": known.activity.interactions(),
        "open_issues": known.activity.open_issues(),
        "household": _household(known),
        "quality": quality(fields, consents, known.activity.last_event),
        "sources": _sources(records),
        "left_out": _left_out(fields, accounts, consents, known.flags),
        "keys": keys.of_customer([*records, *(one for one, _ in corrected)], known.rules.account_sources),
        **({"rights": said_by_them} if said_by_them else {}),
    }


def _sources(records: list[Document]) -> Document:
    """The party records, and the rows of addresses that belong to them."""
    rows = {record["_id"]: record["version"] for record in records}
    rows.update({address["record"]: address["version"] for record in records for address in record["addresses"]})
    return {
        "count": len(rows),
        "systems": sorted({record["system"] for record in records}),
        "records": [{"record": row, "version": rows[row]} for row in sorted(rows)[:MOST_RECORDS]],
    }


def _left_out(
    fields: dict[str, Field], accounts: list[Document], consents: list[Document], flags: list[Document]
) -> Document:
    """By list, how many there are in all, where not all of them stand in the document."""
    found = {
        _LISTS[name]: len(known.candidates) for name, known in fields.items() if len(known.candidates) > MOST_VALUES
    }
    if len(accounts) > MOST_ACCOUNTS:
        found["accounts"] = len(accounts)
    if len(consents) > MOST_CONSENTS:
        found["consents"] = len(consents)
    if len(flags) > MOST_FLAGS:
        found["flags"] = len(flags)
    return found


def _flags(raised: Iterable[Document]) -> list[Document]:
    """The latest first; of one moment by their ids."""
    ordered = sorted(raised, key=lambda f: (-(moment(f["since"]) or values.NEVER).timestamp(), f["flag"], f["_id"]))
    return [
        {"flag": f["flag"], "since": moment(f["since"]), "until": moment(f["until"]), **origin_of(f)} for f in ordered
    ]


def _consents(given: Iterable[Document], statements: list[Document]) -> list[Document]:
    by_use: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for consent in given:
        by_use[(rights.word(consent["purpose"]), rights.word(consent["channel"]))].append(consent)
    for use in rights.channels_said(statements):
        by_use.setdefault(use, [])
    result = []
    for purpose, channel in sorted(by_use):
        wider = {(purpose, rights.EVERY), (rights.EVERY, channel), (rights.EVERY, rights.EVERY)} - {(purpose, channel)}
        refusals = [answer for use in wider for answer in by_use.get(use, ()) if not answer["granted"]]
        told_by_sources = [*by_use[purpose, channel], *refusals]
        answers = sorted(rights.applied(told_by_sources, statements, purpose, channel), key=_decisive_first)
        # Of very many the last stays, so that it shows whether anybody said otherwise.
        some = answers if len(answers) <= MOST_SOURCES else [*answers[: MOST_SOURCES - 1], answers[-1]]
        told = [{"granted": a["granted"], "observed_at": moment(a["observed_at"]), **origin_of(a)} for a in some]
        result.append({"purpose": purpose, "channel": channel, **told[0], "rule": answers[0]["rule"], "answers": told})
    return result


def _decisive_first(answer: Document) -> tuple[Any, ...]:
    """A refusal before a permission; of equals what the person said before what sources were told, the latest, the first by id."""
    said_by_them = answer["rule"] != rights.MOST_RESTRICTIVE
    at = moment(answer["observed_at"]) or values.NEVER
    return answer["granted"], answer["rule"] != rights.OBJECTION, not said_by_them, -at.timestamp(), answer["_id"]


def _household(known: Known) -> Document | None:
    members = {member for home in known.households for member in home["customers"]} - {known.customer_id}
    if not members:
        return None
    return {"homes": sorted(home["_id"] for home in known.households), "members": sorted(members)}
