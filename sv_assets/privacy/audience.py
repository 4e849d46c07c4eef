"""`marketing.audience`: who may be contacted today, over which channels, and on whose word. Nobody else is in it."""

import csv
import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pymongo import UpdateOne

from sv_assets import sealing
from sv_assets.access import Actor, Attempt, permission
from sv_assets.customers import rights
from sv_assets.customers.contacts import yes_or_no
from sv_assets.customers.rights import word
from sv_assets.customers.values import moment as seen_at
from sv_assets.errors import ConfigurationError
from sv_assets.identity.compared import is_mobile
from sv_assets.identity.normalise import phone
from sv_assets.identity.party import StationReport
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, bulk_write, content_hash, find_many, in_batches
from sv_assets.privacy.declaration import Audience, load_declaration
from sv_assets.privacy.files import private_file
from sv_assets.privacy.rights import may_be_used_for

COLLECTION = "audience"
BATCH = 1000
_FIELDS = {"name": 1, "email": 1, "phones": 1, "phone": 1, "address": 1, "consents": 1, "rights": 1}


def refresh_audience(store: Store, declared: Audience | None = None) -> StationReport:
    """Make the audience what it may be today. First of all those leave it who may not be contacted any more."""
    declared = declared or load_declaration().audience
    report = StationReport()
    audience, customers = store.marketing[COLLECTION], store.single_view["customers"]
    with lease(store, "audience"):
        for members in in_batches(audience.find({}, {"_sv": 1}).batch_size(BATCH), BATCH):
            there = list(find_many(customers, "_id", [m["_id"] for m in members], _FIELDS))
            now = {d["_id"]: d for d in sealing.opened(store, there)}
            _write(store, members, [member_of(now[m["_id"]], declared) for m in members if m["_id"] in now], report)
        for batch in in_batches(customers.find({"consents.granted": True}, _FIELDS).batch_size(BATCH), BATCH):
            there = list(find_many(audience, "_id", [c["_id"] for c in batch], {"_sv": 1}))
            _write(store, there, [member_of(c, declared) for c in sealing.opened(store, batch)], report)
            report.read += len(batch)
    return report


def member_of(customer: Document, declared: Audience) -> Document | None:
    """The customer as a member of the audience; None who may be contacted over no channel."""
    if not may_be_used_for(customer, declared.purpose):
        return None
    channels: Document = {}
    for consent in customer["consents"]:
        kind = declared.channels.get(word(consent["channel"]))
        if kind is None or word(consent["purpose"]) != word(declared.purpose) or consent["granted"] is not True:
            continue
        to = _reached(customer, kind)
        if to is not None:
            said = {
                name: consent[name] for name in ("system", "table", "version", "observed_at", "rule") if name in consent
            }
            channels[word(consent["channel"])] = {"to": to, "consent": said}
    # The most restrictive of several spellings of one channel counts.
    for consent in customer["consents"]:
        if consent["granted"] is not True and word(consent["purpose"]) == word(declared.purpose):
            channels.pop(word(consent["channel"]), None)
    if not channels:
        return None
    content: Document = {
        "_id": customer["_id"],
        "purpose": declared.purpose,
        "name": (customer["name"] or {}).get("value"),
        "channels": channels,
    }
    return {**content, "_sv": {"hash": content_hash(content)}}


def _reached(customer: Document, kind: str) -> Any:
    if kind == "mobile":
        numbers = (known["value"] for known in customer["phones"] if known["status"] in ("preferred", "current"))
        return next((n for n in numbers if (e164 := phone(n)) and is_mobile(e164)), None)
    golden = customer.get(kind)
    return golden["value"] if golden else None


def _write(store: Store, there: Iterable[Document], wanted: Iterable[Document | None], report: StationReport) -> None:
    audience = store.marketing[COLLECTION]
    before = {member["_id"]: member["_sv"]["hash"] for member in there}
    members = {member["_id"]: member for member in wanted if member is not None}
    gone = [identifier for identifier in before if identifier not in members]
    if gone:
        report.deleted += audience.delete_many({"_id": {"$in": gone}}).deleted_count
    now = dt.datetime.now(dt.timezone.utc)
    updates = [
        UpdateOne({"_id": i}, {"$set": {**{k: v for k, v in m.items() if k != "_id"}, "since": now}}, upsert=True)
        for i, m in members.items()
        if before.get(i) != m["_sv"]["hash"]
    ]
    inserted, updated = bulk_write(audience, updates)
    report.inserted += inserted
    report.updated += updated


# --- the proof ----------------------------------------------------------------------------------------------------------------


def without_consent(store: Store, declared: Audience | None = None) -> tuple[int, int]:
    """(channels looked at, those that nobody may use): by the consents and statements themselves, not by what made the audience."""
    declared = declared or load_declaration().audience
    looked = wrong = 0
    for members in in_batches(store.marketing[COLLECTION].find({}, {"channels": 1}).batch_size(BATCH), BATCH):
        ids = [member["_id"] for member in members]
        consents: dict[str, list[Document]] = {identifier: [] for identifier in ids}
        for consent in find_many(store.single_view["consents"], "customer_id", ids):
            consents[consent["customer_id"]].append(consent)
        said = rights.of_customers(store, ids)
        alive = {d["_id"] for d in find_many(store.single_view["customers"], "_id", ids, {"_id": 1})}
        for member in members:
            for channel in member["channels"]:
                looked += 1
                statements = said[member["_id"]][1] if member["_id"] in said else []
                if member["_id"] not in alive or not _is_permitted(
                    consents[member["_id"]], statements, declared.purpose, channel
                ):
                    wrong += 1
    return looked, wrong


def _is_permitted(consents: list[Document], statements: list[Document], purpose: str, channel: str) -> bool:
    """Somebody said yes, and nobody has said no since the person last spoke for themselves."""
    if any(
        s["kind"] == "restriction" or (s["kind"] == "objection" and word(s["purpose"]) in (word(purpose), rights.EVERY))
        for s in statements
    ):
        return False
    own = sorted(
        (
            s
            for s in statements
            if s["kind"] == "consent"
            and word(s["purpose"]) in (word(purpose), rights.EVERY)
            and word(s["channel"]) in (word(channel), rights.EVERY)
        ),
        key=lambda s: (s["at"], s["_id"]),
    )
    answers = [
        (c["observed_at"], c["granted"])
        for c in consents
        if word(c["purpose"]) in (word(purpose), rights.EVERY) and word(c["channel"]) in (word(channel), rights.EVERY)
    ]
    if own:
        since = own[-1]["at"]
        answers = [(at, granted) for at, granted in answers if (seen := seen_at(at)) and seen > since]
        answers.append((since, own[-1]["granted"]))
    return bool(answers) and all(yes_or_no(granted) is True for _, granted in answers)


def export(store: Store, channel: str, path: Path, *, actor: Actor) -> int:
    """Write who may be contacted over a channel as CSV: customer_id, name, and where to, as the actor may see them. Returns how
    many. The file is for its owner alone. Raises as `access.permission` does: everybody in it stands in the log of accesses."""
    declared = load_declaration().audience
    if channel not in declared.channels:
        raise ConfigurationError(f"There is no channel {channel}. Allowed: {', '.join(declared.channels)}.")
    allowed = permission(store, actor, f"marketing.{COLLECTION}", Attempt((channel,)))
    count = 0
    with private_file(path, newline="") as handle:
        out = csv.writer(handle)
        out.writerow(["customer_id", "title", "first_name", "last_name", "to"])
        for members in in_batches(_members(store, channel), BATCH):
            allowed.log(store, [member["_id"] for member in members], Attempt((channel,)))
            out.writerows(_row(member, channel) for member in allowed.seen_each(members))
            count += len(members)
    return count


def _row(member: Document, channel: str) -> list[str]:
    name = member.get("name") or {}
    to = member.get("channels", {}).get(channel, {}).get("to")
    if isinstance(to, dict):
        parts = ("line_1", "line_2", "town", "county", "postcode", "country")
        to = ", ".join(str(to[part]) for part in parts if to.get(part))
    said = (name.get("title"), name.get("first") or name.get("full"), name.get("last"), to)
    return [str(member.get("_id", "")), *(_plain(str(text or "")) for text in said)]


def _members(store: Store, channel: str) -> Iterator[Document]:
    for member in store.marketing[COLLECTION].find({}).batch_size(BATCH):
        if channel in member["channels"]:
            yield member


def _plain(text: str) -> str:
    """No spreadsheet takes it for a formula; a phone number keeps its plus."""
    return f"'{text}" if text[:1] in "=@-" else text
