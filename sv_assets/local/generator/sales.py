"""The sales system: accounts, orders (one in five a guest's), lines, payments, refunds, recent orders' parcels."""

import json
import math
from functools import lru_cache
from hashlib import sha256
from typing import Any

from sv_assets.local.generator.calendar import Calendar, Draw, datetime_of_thirds
from sv_assets.local.generator.contacts import email_as_written, name_as_written, phone_as_written
from sv_assets.local.generator.habits import delivered_to, device_of
from sv_assets.local.generator.people import Person
from sv_assets.local.generator.rows import Batch, Ids, Message, Row, payment_uuid, uuid_of
from sv_assets.local.generator.words import CARRIERS, NICKNAMES, PRODUCTS, REFUND_REASONS

DELIVERIES = "delivery-events.fifo"
_PARCEL_DAYS = 14
_ORDERS_PER_ACCOUNT = 6.7
_GUEST_ORDERS = {True: 0.67, False: 1.5}
_LINES = (3, 2, 4, 3, 2, 5, 2, 3)
_CHANNELS = ("web", "web", "app", "store", "phone")
_NO_GUEST: tuple[str | None, str | None, str | None, str | None] = (None, None, None, None)


def add_sales(
    batch: Batch, people: list[Person], known: dict[int, list[int]], calendar: Calendar, draw: Draw, ids: Ids
) -> dict[int, list[str]]:
    """`known` are crm's CustomerIds by person. Returns the order numbers by person."""
    orders: dict[int, list[str]] = {}
    for person in people:
        numbers: list[str] = []
        if person.in_sales:
            account, opened = _add_account(batch, person, known.get(person.number, []), calendar, draw, ids)
            start = max(0, opened)
            eager = -math.log(1.0 - draw())  # some people order far more than others
            for _ in range(poisson(_ORDERS_PER_ACCOUNT * eager, draw)):
                day = start + int(draw() ** 0.9 * (calendar.last + 1 - start))
                numbers.append(_add_order(batch, person, account, day, calendar, draw, ids))
        for _ in range(poisson(_GUEST_ORDERS[person.in_sales], draw)):
            day = int(draw() ** 0.9 * (calendar.last + 1))
            numbers.append(_add_order(batch, person, None, day, calendar, draw, ids))
        if numbers:
            orders[person.number] = numbers
    return orders


def _add_account(
    batch: Batch, person: Person, customers: list[int], calendar: Calendar, draw: Draw, ids: Ids
) -> tuple[int, int]:
    opened = int(draw() * 2_100) - 1_500
    modified = opened + int(draw() ** 2 * (calendar.last + 1 - opened))
    opened_at = calendar.stamp(opened, draw)
    modified_at = calendar.stamp(modified, draw) if modified > opened else opened_at
    customer = customers[int(draw() * len(customers))] if customers and draw() < 0.5 else None
    row = account_row(person, ids.next("account"), customer, opened, opened_at, modified_at, draw)
    batch.rows["sales", "Account"].append(row)
    batch.truth.append(("sales.account", str(row[0]), person.number))
    return row[0], opened


def account_row(
    person: Person, number: int, customer: int | None, day: int, opened_at: str, modified_at: str, draw: Draw
) -> Row:
    """The person as they were when they opened the account."""
    first = NICKNAMES.get(person.first, person.first) if draw() < 0.12 else person.first
    return (
        number,
        f"A{number:08d}",
        customer,
        name_as_written(first, draw),
        name_as_written(person.last_on(day), draw),
        email_as_written(person.email, person.old_email, draw),
        phone_as_written(person.landline if draw() < 0.25 and person.landline else person.mobile, draw),
        opened_at,
        modified_at,
    )


def _add_order(
    batch: Batch, person: Person, account: int | None, day: int, calendar: Calendar, draw: Draw, ids: Ids
) -> str:
    ordered_at = calendar.stamp(day, draw)
    settled = min(calendar.last, day + 1 + int(draw() * 9))
    modified_at = calendar.stamp(settled, draw) if settled > day else ordered_at
    age = calendar.last - day
    r = draw()
    if r < 0.022:
        status = "cancelled"
    elif age > 12:
        status = "returned" if r < 0.055 else "completed"
    else:
        status = "placed" if age < 2 else "dispatched" if age < 5 else "delivered"
    number = add_order_rows(batch, person, account, day, status, ordered_at, modified_at, draw, ids)
    if status in ("cancelled", "returned") and draw() < 0.95:
        total = batch.rows["sales", "OrderHeader"][-1][13]
        amount = total if status == "cancelled" or draw() < 0.5 else round(total * (0.2 + 0.7 * draw()), 2)
        reason = "Order cancelled" if status == "cancelled" else REFUND_REASONS[int(draw() * 5)]
        refund = (ids.next("refund"), ids.order, amount, reason, datetime_of_thirds(modified_at), modified_at, "refund")
        batch.rows["sales", "Refund"].append(refund)
    if age < _PARCEL_DAYS and status != "cancelled":
        for _ in range(1 if draw() < 0.85 else 2):
            _add_parcel(batch, number, day, calendar, draw, ids)
    return number


def add_order_rows(
    batch: Batch,
    person: Person,
    account: int | None,
    day: int,
    status: str,
    ordered_at: str,
    modified_at: str,
    draw: Draw,
    ids: Ids,
) -> str:
    """A header, its lines and its payments, which add up to the same total; returns the order number."""
    ids.order += 1
    order = ids.order
    number = f"SO{order:08d}"
    pence = 0
    lines, version = batch.rows["sales", "OrderLine"], ids.rowversions["sales"].next
    for line in range(1, _LINES[int(draw() * 8)]):
        sku, description, price = PRODUCTS[int(draw() * len(PRODUCTS))]
        quantity = 1 if draw() < 0.75 else 2 + int(draw() * 3)
        total = quantity * price
        pence += total
        lines.append((order, line, sku, description, quantity, price / 100, total / 100, version()))
    pence += 0 if pence > 5_000 else 399 if draw() < 0.8 else 699
    first, last, email, phone = _NO_GUEST
    if account is None:
        first, last, email, phone = guest_columns(person, day, draw)
        batch.truth.append(("sales.orderheader", str(order), person.number))
    home = person.address_on(day)
    to = home if account is None else delivered_to(person, home, order)
    where, billed = ((place.line1, place.town, place.postcode) for place in (to, home))
    channel = _CHANNELS[int(draw() * 5)]
    batch.rows["sales", "OrderHeader"].append(
        (
            order,
            number,
            account,
            first,
            last,
            email,
            phone,
            *where,
            ordered_at,
            status,
            "GBP",
            pence / 100,
            channel,
            modified_at,
            device_of(person, order, channel),
            *billed,
        )
    )
    _add_payments(batch, person, order, pence, ordered_at, draw, ids)
    return number


def guest_columns(person: Person, day: int, draw: Draw) -> tuple[str | None, str | None, str | None, str | None]:
    """First name, last name, e-mail and phone as a guest typed them."""
    return (
        name_as_written(NICKNAMES.get(person.first, person.first) if draw() < 0.12 else person.first, draw),
        name_as_written(person.last_on(day), draw),
        email_as_written(person.email, person.old_email, draw),
        phone_as_written(person.mobile if draw() < 0.8 else person.landline, draw),
    )


def _add_payments(batch: Batch, person: Person, order: int, pence: int, at: str, draw: Draw, ids: Ids) -> None:
    r = draw()
    card = fingerprint(person.card_owner if draw() < 0.9 else person.card_owner + 300_000_000)
    paid_at = datetime_of_thirds(at)
    method = "card" if r < 0.72 or r >= 0.94 else "paypal" if r < 0.9 else "cash"
    parts = [(method, pence, "captured")]
    if r < 0.03:
        parts.insert(0, ("card", pence, "failed"))
    elif r > 0.98 and pence > 1_000:
        parts = [("gift_card", 1_000, "captured"), (method, pence - 1_000, "captured")]
    for method, amount, status in parts:
        ids.payment += 1
        token = card if method == "card" else None
        row = (payment_uuid(ids.payment), order, method, token, amount / 100, status, paid_at, at)
        batch.rows["sales", "Payment"].append(row)


@lru_cache(maxsize=64)
def fingerprint(card: int) -> str:
    """The token that the payment service gives for a card."""
    return sha256(b"card%d" % card).hexdigest()


def _add_parcel(batch: Batch, order_number: str, day: int, calendar: Calendar, draw: Draw, ids: Ids) -> None:
    parcel = ids.next("parcel")
    statuses = ["dispatched", "out_for_delivery", "delivered"]
    if draw() < 0.1:
        statuses[2:] = ["failed_attempt", "out_for_delivery", "delivered"]
    if draw() < 0.03:
        statuses.append("returned")
    carrier = CARRIERS[int(draw() * len(CARRIERS))]
    for sequence, status in enumerate(statuses, start=1):
        if day + sequence > calendar.last:
            break
        at = calendar.instant(day + sequence, draw)
        batch.messages.append(delivery_message(order_number, parcel, sequence, status, carrier, at, draw))


def delivery_message(
    order_number: str, parcel: int, sequence: int, status: str, carrier: str, at: str, draw: Draw
) -> Message:
    """One step of one parcel, grouped by order."""
    event: dict[str, Any] = {
        "event_id": uuid_of(draw),
        "order_number": order_number,
        "parcel": f"P{parcel}",
        "sequence": sequence,
        "status": status,
        "carrier": carrier,
        "delivery_reference": f"{carrier[:2].upper()}{parcel * 97 % 10_000_019:08d}",
        "occurred_at": at,
    }
    return Message(DELIVERIES, json.dumps(event), order_number, event["event_id"])


def poisson(mean: float, draw: Draw) -> int:
    """Knuth's way: fine for the small means here (long tails are cut at 120)."""
    limit, product, n = math.exp(-mean), draw(), 0
    while product > limit and n < 120:
        product *= draw()
        n += 1
    return n
