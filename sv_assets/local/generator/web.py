"""The web shop's accounts, as the messages that tell of them: full state, versioned, duplicated, out of order."""

import json
from typing import Any

from sv_assets.local.generator.calendar import Calendar, Draw
from sv_assets.local.generator.contacts import email_as_written, name_as_written, phone_as_written
from sv_assets.local.generator.people import Person
from sv_assets.local.generator.rows import Batch, Ids, Message, uuid_of
from sv_assets.local.generator.words import NICKNAMES

ACCOUNTS = "web-account-events"
SOURCE = "web.web_account_events"


def add_web(
    batch: Batch, people: list[Person], known: dict[int, list[int]], calendar: Calendar, draw: Draw, ids: Ids
) -> None:
    """`known` are crm's CustomerIds by person. The messages come in the order in which they are sent."""
    sent: list[tuple[str, str]] = []
    for person in people:
        if not person.in_web:
            continue
        customers = known.get(person.number, [])
        events = _events(person, customers[0] if customers and draw() < 0.2 else None, calendar, draw, ids)
        bodies = [json.dumps(event) for event in events]
        times = [event["occurred_at"] for event in events]
        if len(events) > 1 and draw() < 0.1:
            times.reverse()
        sent.extend(zip(times, bodies, strict=True))
        sent.extend(
            (time if draw() < 0.5 else "late", body) for time, body in zip(times, bodies, strict=True) if draw() < 0.08
        )
        state = events[-1]
        batch.web_accounts.append((state["account"]["id"], person.number, bodies[-1]))
        batch.truth.append((SOURCE, state["account"]["id"], person.number))
    sent.sort(key=lambda message: message[0])
    batch.messages.extend(Message(ACCOUNTS, body) for _, body in sent)


def _events(person: Person, customer: int | None, calendar: Calendar, draw: Draw, ids: Ids) -> list[dict[str, Any]]:
    day = int(draw() ** 0.8 * calendar.last)
    account = f"W{ids.next('web_account'):07d}"
    preferences = {channel: draw() < 0.5 for channel in ("email", "sms", "post", "phone")}
    event = web_event(account, person, customer, preferences, day, calendar.instant(day, draw), draw)
    events = [event]
    while draw() < 0.44 and day < calendar.last and len(events) < 8:
        day += 1 + int(draw() * (calendar.last - day))
        before = events[-1]
        event = {
            **before,
            "event_id": uuid_of(draw),
            "version": len(events) + 1,
            "occurred_at": calendar.instant(day, draw),
        }
        if draw() < 0.4:
            event["type"] = "preferences_changed"
            event["preferences"] = {**before["preferences"], "email": not before["preferences"]["email"]}
        else:
            event["type"] = "profile_changed"
            event["account"] = web_account(account, person, customer, day, draw)
        events.append(event)
    return events


def web_event(
    account: str, person: Person, customer: int | None, preferences: dict[str, bool], day: int, at: str, draw: Draw
) -> dict[str, Any]:
    """The registration of an account."""
    return {
        "event_id": uuid_of(draw),
        "type": "registered",
        "version": 1,
        "occurred_at": at,
        "account": web_account(account, person, customer, day, draw),
        "preferences": preferences,
    }


def web_account(account: str, person: Person, customer: int | None, day: int, draw: Draw) -> dict[str, Any]:
    """The person as they described themselves on a day."""
    home = person.address_on(day)
    where = {"line1": home.line1, "town": home.town, "postcode": home.postcode, "country": home.country}
    return {
        "id": account,
        "first_name": name_as_written(
            NICKNAMES.get(person.first, person.first) if draw() < 0.15 else person.first, draw
        ),
        "last_name": name_as_written(person.last_on(day), draw),
        "email": email_as_written(person.email, person.old_email, draw),
        "phone": phone_as_written(person.mobile if draw() < 0.9 else person.landline, draw) if draw() < 0.8 else None,
        "date_of_birth": person.born if draw() < 0.55 else None,
        "customer_number": customer,
        "address": where if draw() < 0.7 else None,
    }


def add_unreadable(batch: Batch) -> None:
    """Three bodies that are not JSON, and one account without its id: for quarantine."""
    nameless = {"event_id": "00000000-0000-4000-8000-000000000001", "type": "registered", "version": 1, "account": {}}
    for body in ("not json at all", '{"event_id": "cut off', "<xml>wrong queue</xml>", json.dumps(nameless)):
        batch.messages.insert(len(batch.messages) // 2, Message(ACCOUNTS, body))
