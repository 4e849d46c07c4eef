"""Interactions (calls, complaints), consents and flags, each from one row or message."""

from typing import Any

from bson import Decimal128
from pymongo import IndexModel

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.customers.facts import FactStation, facts_of_rows, origin
from sv_assets.customers.rights import EVERY
from sv_assets.identity.party import party_of
from sv_assets.landing.documents import field_value
from sv_assets.mongo import Document
from sv_assets.sources.keys import key_text


def interaction_of(catalogue: Catalogue, source: Source, row: Document) -> list[Document]:
    """The interaction that a row is."""
    feed = source.entry.feeds.interaction
    assert feed is not None
    return [
        {
            "_id": source.record_id(key_text(row["_id"])),
            **origin(source, row),
            "kind": field_value(source, row, feed.kind),
            "at": field_value(source, row, feed.at),
            "closed_at": field_value(source, row, feed.closed_at),
            "reason": field_value(source, row, feed.reason),
            "status": field_value(source, row, feed.status),
            "duration_seconds": field_value(source, row, feed.duration_seconds),
            "order_number": field_value(source, row, feed.order.number) if feed.order else None,
            "party": party_of(catalogue, source, feed.party, row),
        }
    ]


def consents_of(catalogue: Catalogue, source: Source, row: Document) -> list[Document]:
    """The consents that a row or message gives or refuses; one that does not say is left out.

    Where it answers one question twice, the refusal counts. A refusal that names no purpose or channel is of every one (`*`);
    a permission that names none is of nothing.
    """
    consents: dict[str, Document] = {}
    for feed in source.entry.feeds.consent:
        purpose, channel = field_value(source, row, feed.purpose), field_value(source, row, feed.channel)
        granted = yes_or_no(field_value(source, row, feed.granted))
        if granted is None or (granted and (purpose is None or channel is None)):
            continue  # it does not say, or says it in words that are neither yes nor no
        purpose, channel = (EVERY if said is None else said for said in (purpose, channel))
        identifier = f"{source.record_id(key_text(row['_id']))}#{purpose}/{channel}"
        if identifier in consents and granted:
            continue
        consents[identifier] = {
            "_id": identifier,
            **origin(source, row),
            "purpose": purpose,
            "channel": channel,
            "granted": granted,
            "observed_at": field_value(source, row, feed.observed_at),
            "party": party_of(catalogue, source, feed.party, row),
        }
    return list(consents.values())


def flags_of(catalogue: Catalogue, source: Source, row: Document) -> list[Document]:
    """The flag that a row raises, in lower case with underscores; none where it says that it is not raised."""
    feed = source.entry.feeds.flag
    assert feed is not None
    flag = field_value(source, row, feed.flag)
    raised = True if feed.raised is None else yes_or_no(field_value(source, row, feed.raised))
    if flag is None or raised is False:
        return []  # where it says something that is neither yes nor no, the flag stands: better one too many
    since, until = field_value(source, row, feed.since), field_value(source, row, feed.until)
    return [
        {
            "_id": f"{source.record_id(key_text(row['_id']))}#flag",
            **origin(source, row),
            "flag": flag_word(flag),
            "since": since,
            "until": until,
            "party": party_of(catalogue, source, feed.party, row),
        }
    ]


def flag_word(said: Any) -> str:
    """A flag as it is kept, however a system writes it: `vulnerable_customer`."""
    return "_".join(str(said).casefold().replace("-", " ").split())


def yes_or_no(value: Any) -> bool | None:
    """What a legacy value means as an answer; None where it is none."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, str):
        said = " ".join(value.replace("-", " ").split()).casefold()
        return True if said in _YES else False if said in _NO else None
    return bool(value) if value in (0, 1) else None


_YES = frozenset(
    {"y", "yes", "true", "t", "1", "in", "opted in", "opt in", "granted", "given", "accepted", "subscribed"}
)
_NO = frozenset({"n", "no", "false", "f", "0", "out", "opted out", "opt out", "refused", "withdrawn", "declined", "denied", "revoked", "unsubscribed"})  # fmt: skip
RECORD_INDEX = IndexModel([("record", 1)])
INTERACTIONS = FactStation(
    "interactions",
    ("interaction",),
    facts_of_rows("interactions", interaction_of),
    (RECORD_INDEX,),
    readers=("customers", "calls"),
)
CONSENTS = FactStation("consents", ("consent",), facts_of_rows("consents", consents_of), (RECORD_INDEX,))
FLAGS = FactStation("flags", ("flag",), facts_of_rows("flags", flags_of), (RECORD_INDEX,))
