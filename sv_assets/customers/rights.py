"""What a customer themselves had put right or said, as composition takes it: corrections, and statements on consent,
restriction and objection. Both stand under the `customer_id` that they were made for, and go with its anchor record through
merges and splits; what was taken back (`undone`) does not count.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pymongo import IndexModel

from sv_assets import sealing
from sv_assets.customers.values import NEVER, Saying, moment
from sv_assets.identity.customer_ids import ids_of
from sv_assets.mongo import Document, Store, find_many

CORRECTIONS, STATEMENTS = "corrections", "statements"
INDEXES = [IndexModel([("customer_id", 1)])]
SYSTEM = "privacy"
EVERY = "*"
"""A statement about every purpose, or every channel."""
MOST_RESTRICTIVE, PERSON_SAID, OBJECTION = "most_restrictive", "person_said", "objection"
"""The rules by which an answer on consent counts."""


def word(value: Any) -> str:
    """A purpose or channel as it is compared: sources write one in several ways."""
    return " ".join(str(value).split()).casefold()


def are_any(store: Store) -> bool:
    """True if anybody ever said anything; while nobody has, composing asks no further."""
    return any(store.single_view[name].find_one({}, {"_id": 1}) is not None for name in (CORRECTIONS, STATEMENTS))


def of_customers(store: Store, customer_ids: Iterable[str]) -> dict[str, tuple[list[Document], list[Document]]]:
    """By customer, the corrections and the statements in force, also those made under an id that was merged."""
    now = ids_of(store, customer_ids)
    found: dict[str, tuple[list[Document], list[Document]]] = defaultdict(lambda: ([], []))
    for place, name in enumerate((CORRECTIONS, STATEMENTS)):
        for document in sealing.opened(store, list(find_many(store.single_view[name], "customer_id", now))):
            if not document.get("undone") and not isinstance(
                document.get("says"), str
            ):  # a correction that cannot be opened
                found[now[document["customer_id"]]][place].append(document)
    return found


def provenance(document: Document, table: str) -> Document:
    return {"system": SYSTEM, "table": table, "key": document["_id"], "version": 1}


def sayings(corrections: Iterable[Document]) -> list[tuple[Document, Saying]]:
    """Corrections as records that say something, each of one field."""
    said = []
    for one in sorted(corrections, key=lambda c: (c["at"], c["_id"])):
        at: dt.datetime = one["at"]
        origin = {**provenance(one, CORRECTIONS), "observed_at": at}
        saying = Saying(origin, at, float("inf"), (-at.timestamp(), float("-inf"), one["_id"]), at.timestamp())
        said.append(
            ({**one["says"], "_id": f"{SYSTEM}.{CORRECTIONS}:{one['_id']}", **provenance(one, CORRECTIONS)}, saying)
        )
    return said


def summary(corrections: list[Document], statements: list[Document]) -> Document | None:
    """What everybody who works with a customer must know: None where there is nothing."""
    restricted = [s["at"] for s in statements if s["kind"] == "restriction"]
    objections = sorted({word(s["purpose"]) for s in statements if s["kind"] == "objection"})
    if not restricted and not objections and not corrections:
        return None
    return {
        "restricted": bool(restricted),
        "restricted_since": min(restricted, default=None),
        "objections": objections,
        "rectified": sorted({c["field"] for c in corrections}),
    }


def may_be_used_for(customer: Document, purpose: str) -> bool:
    """False where the customer restricted the use of their data, or objected to this purpose: for whoever scores or contacts."""
    said = customer.get("rights") or {}
    return not said.get("restricted") and not {word(purpose), EVERY} & {word(o) for o in said.get("objections", ())}


def kept_out(store: Store, customer_ids: Iterable[str], purpose: str) -> set[str]:
    """Of these customers those whose data may not be used for a purpose."""
    if not are_any(store):
        return set()
    found = find_many(store.single_view["customers"], "_id", customer_ids, {"rights": 1})
    return {customer["_id"] for customer in found if not may_be_used_for(customer, purpose)}


def applied(answers: list[Document], statements: Iterable[Document], purpose: str, channel: str) -> list[Document]:
    """The answers that count for a purpose and channel, each with the `rule` that it counts by.

    What the person said last supersedes what sources were told before it; what a source was told after it counts again. An
    objection refuses until it is taken back.
    """
    mine = [s for s in statements if word(s.get("purpose")) in (purpose, EVERY)]
    said = [s for s in mine if s["kind"] == "consent" and word(s["channel"]) in (channel, EVERY)]
    objections = [_answer({**s, "granted": False}, OBJECTION) for s in mine if s["kind"] == "objection"]
    told = [{**answer, "rule": MOST_RESTRICTIVE} for answer in answers]
    if objections:
        return [*objections, *told, *(_answer(s, PERSON_SAID) for s in said)]
    if not said:
        return told
    last = max(said, key=lambda s: (s["at"], s["_id"]))
    later = [answer for answer in told if (moment(answer["observed_at"]) or NEVER) > last["at"]]
    return [*later, _answer(last, PERSON_SAID)]


def _answer(statement: Document, rule: str) -> Document:
    """A statement, as an answer."""
    return {
        **provenance(statement, STATEMENTS),
        "granted": statement["granted"],
        "observed_at": statement["at"],
        "_id": statement["_id"],
        "rule": rule,
    }


def channels_said(statements: Iterable[Document]) -> set[tuple[str, str]]:
    """The (purpose, channel) that statements name one by one."""
    named = {(word(s["purpose"]), word(s["channel"])) for s in statements if s["kind"] == "consent"}
    return {use for use in named if EVERY not in use}
