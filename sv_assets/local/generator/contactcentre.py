"""The contact centre: calls (the agent found the customer or did not) and complaints."""

from datetime import date

from sv_assets.local.generator.calendar import Calendar, Draw, datetime_of_thirds
from sv_assets.local.generator.contacts import email_as_written, name_as_written, phone_as_written
from sv_assets.local.generator.people import Person
from sv_assets.local.generator.rows import Batch, Ids, Row
from sv_assets.local.generator.sales import poisson
from sv_assets.local.generator.words import (
    CALL_NOTES,
    CALL_REASONS,
    COMPLAINT_CATEGORIES,
    NICKNAMES,
    PLACEHOLDER_PHONES,
)

AGENTS = tuple(f"agent{n:02d}" for n in range(1, 25))


def add_contactcentre(
    batch: Batch,
    people: list[Person],
    known: dict[int, list[int]],
    orders: dict[int, list[str]],
    calendar: Calendar,
    draw: Draw,
    ids: Ids,
) -> None:
    """`known` are crm's CustomerIds, `orders` the order numbers, both by person."""
    for person in people:
        numbers = orders.get(person.number, [])
        customers = known.get(person.number, [])
        for _ in range(poisson(0.6, draw)):
            day = int(draw() * (calendar.last + 1))
            at = calendar.stamp(day, draw)
            later = calendar.stamp(day + 1, draw) if day < calendar.last and draw() < 0.2 else at
            customer = customers[int(draw() * len(customers))] if customers and draw() < 0.72 else None
            add_call(batch, person, customer, numbers, day, at, later, draw, ids)
        if draw() < 0.08:
            day = int(draw() * (calendar.last + 1))
            add_complaint(
                batch, person, numbers, day, calendar.stamp(day, draw), _closing(day, calendar, draw), draw, ids
            )


def add_call(
    batch: Batch,
    person: Person,
    customer: int | None,
    orders: list[str],
    day: int,
    at: str,
    modified_at: str,
    draw: Draw,
    ids: Ids,
) -> None:
    number = ids.next("call")
    name, caller = _caller(person, day, draw), phone_as_written(person.landline or person.mobile, draw)
    if draw() < 0.6:
        caller = phone_as_written(person.mobile, draw)
    if draw() < 0.1 and caller and caller not in PLACEHOLDER_PHONES:
        name = None
    row: Row = (
        number,
        customer,
        name,
        caller,
        orders[int(draw() * len(orders))] if orders and draw() < 0.35 else None,
        datetime_of_thirds(at),
        int(draw() * 300 + draw() ** 4 * 2_400),
        CALL_REASONS[int(draw() * len(CALL_REASONS))],
        AGENTS[int(draw() * len(AGENTS))],
        CALL_NOTES[int(draw() * len(CALL_NOTES))],
        modified_at,
    )
    batch.rows["contactcentre", "Call"].append(row)
    if customer is None:
        batch.truth.append(("contactcentre.call", str(number), person.number))


def _caller(person: Person, day: int, draw: Draw) -> str | None:
    last = person.last_on(day)
    r = draw()
    if r < 0.4:
        return f"{person.title or ''} {person.first[0]} {last}".strip()
    if r < 0.55:
        return f"{NICKNAMES.get(person.first, person.first)} {last}"
    return name_as_written(f"{person.first} {last}", draw)


def add_complaint(
    batch: Batch, person: Person, orders: list[str], day: int, at: str, closed_at: str | None, draw: Draw, ids: Ids
) -> None:
    number = ids.next("complaint")
    category = COMPLAINT_CATEGORIES[int(draw() * len(COMPLAINT_CATEGORIES))]
    batch.rows["contactcentre", "Complaint"].append(
        (
            number,
            name_as_written(person.first, draw),
            name_as_written(person.last_on(day), draw),
            email_as_written(person.email, person.old_email, draw),
            phone_as_written(person.mobile if draw() < 0.7 else person.landline, draw),
            orders[int(draw() * len(orders))] if orders and draw() < 0.7 else None,
            category,
            1 + int(draw() * 5),
            "closed" if closed_at else "open",
            datetime_of_thirds(at),
            datetime_of_thirds(closed_at) if closed_at else None,
            f"Customer is unhappy: {category.replace('_', ' ')}. " * (1 + int(draw() * 3)),
            ids.rowversions["contactcentre"].next(),
        )
    )
    batch.truth.append(("contactcentre.complaint", str(number), person.number))


def _closing(day: int, calendar: Calendar, draw: Draw) -> str | None:
    closed = day + 1 + int(draw() * 20)
    return calendar.stamp(closed, draw) if closed <= calendar.last and draw() < 0.9 else None


def spoil_two_calls(batch: Batch, until: date) -> None:
    """Two calls get a start on 31 February, so that quarantine has something; both name their customer."""
    rows = batch.rows["contactcentre", "Call"]
    for place in [n for n, row in enumerate(rows) if row[1] is not None][:2]:
        rows[place] = (*rows[place][:5], f"{until.year - 1}-02-31 10:00:00.000", *rows[place][6:])
