"""The crm system: customers (some twice), their addresses and preferences, and loyalty cards."""

from sv_assets.local.generator.calendar import Calendar, Draw, datetime_of_thirds
from sv_assets.local.generator.contacts import email_as_written, name_as_written, phone_as_written
from sv_assets.local.generator.people import Address, Person, an_address
from sv_assets.local.generator.rows import Batch, Ids, Row
from sv_assets.local.generator.words import NICKNAMES, TOWNS

PREFERENCES = (
    ("marketing", "email", 0.75),
    ("marketing", "sms", 0.6),
    ("marketing", "phone", 0.4),
    ("marketing", "post", 0.45),
    ("service", "email", 0.3),
)
"""Purpose, channel, and how many customers have said something about it."""


def add_crm(batch: Batch, people: list[Person], calendar: Calendar, draw: Draw, ids: Ids) -> dict[int, list[int]]:
    """Returns the CustomerIds by person that other systems may refer to."""
    known: dict[int, list[int]] = {}
    for person in people:
        if person.in_crm:
            customer = _add_customer(batch, person, calendar, draw, ids)
            known[person.number] = [customer]
            if draw() < 0.031:
                duplicate = _add_customer(batch, person, calendar, draw, ids)
                if draw() < 0.3:
                    known[person.number].append(duplicate)
                else:
                    batch.spare_customers.append(duplicate)
        if person.in_loyalty:
            _add_loyalty_card(batch, person, calendar, draw)
    return known


def _add_customer(batch: Batch, person: Person, calendar: Calendar, draw: Draw, ids: Ids) -> int:
    number = ids.next("customer")
    created = int(draw() ** 0.7 * 4_100) - 3_400
    modified = created + int(draw() ** 0.5 * (calendar.last + 1 - created))
    created_at = calendar.stamp(created, draw)
    modified_at = calendar.stamp(modified, draw) if modified > created else created_at
    batch.rows["crm", "Customer"].append(customer_row(person, number, modified, created_at, modified_at, draw, ids))
    batch.truth.append(("crm.customer", str(number), person.number))
    _add_addresses(batch, person, number, max(created, -3_650), modified, modified_at, calendar, draw, ids)
    preferences = batch.rows["crm", "ContactPreference"]
    for purpose, channel, share in PREFERENCES:
        if draw() < share:
            said = datetime_of_thirds(calendar.stamp(created + int(draw() * (calendar.last + 1 - created)), draw))
            preferences.append((number, purpose, channel, 1 if draw() < 0.55 else 0, said))
    return number


def customer_row(person: Person, number: int, day: int, created_at: str, modified_at: str, draw: Draw, ids: Ids) -> Row:
    """The person as crm saw them on a day."""
    r = draw()
    first = NICKNAMES.get(person.first, person.first) if r < 0.06 else person.first
    return (
        number,
        person.title if r < 0.9 else None if r < 0.95 else "",
        name_as_written(first, draw) if r < 0.985 else first[0],
        name_as_written(person.last_on(day), draw),
        email_as_written(person.email, person.old_email, draw),
        phone_as_written(person.landline, draw),
        phone_as_written(person.old_mobile if person.old_mobile and day < 400 else person.mobile, draw),
        person.born if draw() < 0.88 else None if draw() < 0.9 else "1900-01-01",
        int(draw() ** 3 * 5_000) if draw() < 0.7 else None,
        (250, 500, 1000, 2500.5)[int(draw() * 4)] if draw() < 0.3 else None,
        1 if draw() < 0.94 else 0,
        created_at,
        modified_at,
        ids.rowversions["crm"].next(),
    )


def _add_addresses(
    batch: Batch, person: Person, customer: int, since: int, day: int, at: str, calendar: Calendar, draw: Draw, ids: Ids
) -> None:
    rows = batch.rows["crm", "CustomerAddress"]
    start = calendar.date(since)
    moved = person.moved if person.old_address is not None and person.moved is not None else None
    if moved is not None and since < moved <= day:
        assert person.old_address is not None
        ended = calendar.date(moved)
        rows.append(address_row(ids.next("address"), customer, "previous", person.old_address, start, ended, at))
        start = ended
    if draw() < 0.93:
        rows.append(address_row(ids.next("address"), customer, "home", person.address_on(day), start, None, at))
    if draw() < 0.1:
        elsewhere = an_address(TOWNS[int(draw() * len(TOWNS))], draw)
        rows.append(address_row(ids.next("address"), customer, "delivery", elsewhere, start, None, at))


def address_row(number: int, customer: int, kind: str, address: Address, since: str, ended: str | None, at: str) -> Row:
    return (number, customer, kind, *address, since, ended, at)


def _add_loyalty_card(batch: Batch, person: Person, calendar: Calendar, draw: Draw) -> None:
    card = f"6335{(person.number * 48_271 + 11) % 10**12:012d}"
    issued = int(draw() * 3_000) - 2_300
    batch.rows["crm", "LoyaltyCard"].append(
        (
            card,
            name_as_written(person.first, draw),
            name_as_written(person.last_on(issued), draw),
            email_as_written(person.email, person.old_email, draw),
            phone_as_written(person.mobile, draw),
            person.address_on(issued).postcode,
            calendar.date(issued),
            calendar.stamp(issued + int(draw() * (calendar.last + 1 - issued)), draw),
        )
    )
    batch.truth.append(("crm.loyaltycard", card, person.number))
