"""The changes that a tick may make, as the departments' own people make them.

Each function makes one change and returns how many rows and messages it took: 0 if it found nothing to change, or would
have needed more than the tick has left.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sv_assets.local.generator.calendar import datetime_of_thirds, utc_stamp
from sv_assets.local.generator.contactcentre import add_call, add_complaint
from sv_assets.local.generator.contacts import email_of, mobile_of, phone_as_written
from sv_assets.local.generator.crm import PREFERENCES, address_row, customer_row
from sv_assets.local.generator.people import a_surname, an_address
from sv_assets.local.generator.rows import Batch, Message, uuid_of
from sv_assets.local.generator.sales import account_row, add_order_rows, delivery_message
from sv_assets.local.generator.tick_work import Tick
from sv_assets.local.generator.web import ACCOUNTS, SOURCE, web_event
from sv_assets.local.generator.words import CARRIERS, REFUND_REASONS, TOWNS

_UNDER_WAY = "Status IN ('placed', 'dispatched', 'delivered')"
ORDER_COST = 7
"""The most rows that one new order takes: a header, four lines, two payments."""


def change_customer(tick: Tick) -> int:
    """A new e-mail, mobile or surname in crm; the other systems hear of it later, or never."""
    row = tick.pick("crm", "Customer", "CustomerId")
    if row is None:
        return 0
    first, last = (row["FirstName"] or "x").strip(), (row["Surname"] or "x").strip()
    r = tick.draw()
    if r < 0.5:
        change: dict[str, object] = {"Email": email_of(600_000_000 + tick.ids.next("contact"), first, last, tick.draw)}
    elif r < 0.8:
        change = {"Mobile": phone_as_written(mobile_of(3_000_000 + tick.ids.next("contact")), tick.draw)}
    else:
        change = {"Surname": a_surname(tick.draw)}
    change |= {"ModifiedAt": tick.at, "RowVer": tick.ids.rowversions["crm"].next()}
    return tick.update("crm", "Customer", {"CustomerId": row["CustomerId"]}, change)


def move_house(tick: Tick) -> int:
    if tick.left < 2:
        return 0
    row = tick.pick("crm", "CustomerAddress", "AddressId", "AddressType = 'home'")
    if row is None:
        return 0
    today = tick.at[:10]
    ended = {"AddressType": "previous", "ValidTo": today, "ModifiedAt": tick.at}
    made = tick.update("crm", "CustomerAddress", {"AddressId": row["AddressId"]}, ended)
    address = an_address(TOWNS[int(tick.draw() * len(TOWNS))], tick.draw)
    batch = Batch()
    new = address_row(tick.ids.next("address"), row["CustomerId"], "home", address, today, None, tick.at)
    batch.rows["crm", "CustomerAddress"].append(new)
    return made + tick.insert(batch)


def change_preference(tick: Tick) -> int:
    """Opted in or out again; one time in four the row is deleted."""
    row = tick.pick("crm", "ContactPreference", "CustomerId")
    if row is None:
        return 0
    key = {name: row[name] for name in ("CustomerId", "Purpose", "Channel")}
    if tick.draw() < 0.25:
        return tick.delete("crm", "ContactPreference", key)
    changes = {"OptedIn": 1 - row["OptedIn"], "RecordedAt": datetime_of_thirds(tick.at)}
    return tick.update("crm", "ContactPreference", key, changes)


def add_preference(tick: Tick) -> int:
    row = tick.pick("crm", "Customer", "CustomerId", touch=False)
    if row is None or ("crm", "ContactPreference", row["CustomerId"]) in tick.touched:
        return 0
    query = "SELECT Purpose, Channel FROM ContactPreference WHERE CustomerId = ?"
    said = {tuple(known) for known in tick.databases["crm"].execute(query, (row["CustomerId"],))}
    unsaid = [(purpose, channel) for purpose, channel, _ in PREFERENCES if (purpose, channel) not in said]
    if not unsaid:
        return 0
    batch = Batch()
    new = (row["CustomerId"], *unsaid[0], int(tick.draw() < 0.5), datetime_of_thirds(tick.at))
    batch.rows["crm", "ContactPreference"].append(new)
    return tick.insert(batch)


def remove_duplicate(tick: Tick) -> int:
    """The crm department deletes the second entry of a customer, with all that hangs on it."""
    found = tick.memory.execute("SELECT id FROM spare_customer LIMIT 1").fetchone()
    if found is None or ("crm", "Customer", found[0]) in tick.touched:
        return 0
    crm, customer = tick.databases["crm"], {"CustomerId": found[0]}
    addresses = crm.execute("SELECT AddressId FROM CustomerAddress WHERE CustomerId = ?", found[:1]).fetchall()
    said = crm.execute("SELECT Purpose, Channel FROM ContactPreference WHERE CustomerId = ?", found[:1]).fetchall()
    hanging = {("crm", "CustomerAddress", row["AddressId"]) for row in addresses} | {
        ("crm", "ContactPreference", found[0])
    }
    if tick.left < 1 + len(addresses) + len(said) or hanging & tick.touched:
        return 0
    made = tick.delete("crm", "Customer", customer)
    made += sum(tick.delete("crm", "CustomerAddress", {"AddressId": row["AddressId"]}) for row in addresses)
    made += sum(tick.delete("crm", "ContactPreference", {**customer, **dict(row)}) for row in said)
    tick.memory.execute("DELETE FROM spare_customer WHERE id = ?", found[:1])
    tick.truth_removed.add(("crm.customer", str(found[0])))
    tick.touched |= hanging | {("crm", "Customer", found[0])}
    return made


def remove_address(tick: Tick) -> int:
    row = tick.pick("crm", "CustomerAddress", "AddressId", "AddressType <> 'home'")
    if row is None:
        return 0
    return tick.delete("crm", "CustomerAddress", {"AddressId": row["AddressId"]})


def add_person(tick: Tick) -> int:
    """Somebody new signs up in crm, and perhaps in the shop."""
    if tick.left < 3:
        return 0
    person, batch, ids = tick.newcomer(), Batch(), tick.ids
    customer = ids.next("customer")
    row = customer_row(person, customer, tick.day, tick.at, tick.at, tick.draw, ids)
    batch.rows["crm", "Customer"].append(row)
    batch.truth.append(("crm.customer", str(customer), person.number))
    address = address_row(ids.next("address"), customer, "home", person.address, tick.at[:10], None, tick.at)
    batch.rows["crm", "CustomerAddress"].append(address)
    if tick.draw() < 0.6:
        account = account_row(person, ids.next("account"), customer, tick.day, tick.at, tick.at, tick.draw)
        batch.rows["sales", "Account"].append(account)
        batch.truth.append(("sales.account", str(account[0]), person.number))
    return tick.insert(batch)


def change_account(tick: Tick) -> int:
    row = tick.pick("sales", "Account", "AccountId")
    if row is None:
        return 0
    first, last = (row["FirstName"] or "x").strip(), (row["LastName"] or "x").strip()
    email = email_of(600_000_000 + tick.ids.next("contact"), first, last, tick.draw)
    return tick.update(
        "sales", "Account", {"AccountId": row["AccountId"]}, {"EmailAddress": email, "ModifiedAt": tick.at}
    )


def add_order(tick: Tick) -> int:
    """An account's order, or (one in five) a guest's."""
    if tick.left < ORDER_COST:
        return 0
    batch, account, person = Batch(), None, tick.somebody()
    if tick.draw() < 0.8:
        row = tick.pick("sales", "Account", "AccountId", touch=False)
        if row is not None:
            account = row["AccountId"]
            owner = tick.memory.execute("SELECT person FROM sales_account WHERE id = ?", (account,)).fetchone()[0]
            person = tick.person(owner)
    add_order_rows(batch, person, account, tick.day, "placed", tick.at, tick.at, tick.draw, tick.ids)
    return tick.insert(batch)


def advance_order(tick: Tick) -> int:
    """The next status of an order under way; now and then it is cancelled, and paid back if there is room for that."""
    steps = {"placed": "dispatched", "dispatched": "delivered", "delivered": "completed"}
    row = tick.pick("sales", "OrderHeader", "OrderId", _UNDER_WAY)
    if row is None:
        return 0
    key, order = {"OrderId": row["OrderId"]}, row["OrderId"]
    if row["Status"] == "placed" and tick.left >= 2 and tick.draw() < 0.2:
        made = tick.update("sales", "OrderHeader", key, {"Status": "cancelled", "ModifiedAt": tick.at})
        batch = Batch()
        refund = (
            tick.ids.next("refund"),
            order,
            row["GrandTotal"],
            REFUND_REASONS[5],
            datetime_of_thirds(tick.at),
            tick.at,
            "refund",
        )
        batch.rows["sales", "Refund"].append(refund)
        return made + tick.insert(batch)
    return tick.update("sales", "OrderHeader", key, {"Status": steps[row["Status"]], "ModifiedAt": tick.at})


def remove_order_line(tick: Tick) -> int:
    """A line is struck from an order; total and payment follow, so that they still add up."""
    if tick.left < 3:
        return 0
    sales = tick.databases["sales"]
    line = tick.pick("sales", "OrderLine", "OrderId", "LineNumber = 2")
    if line is None:
        return 0
    order = (line["OrderId"],)
    payments = sales.execute("SELECT PaymentId, Amount FROM Payment WHERE OrderId = ?", order).fetchall()
    refunds = sales.execute("SELECT count(*) FROM Refund WHERE OrderId = ?", order).fetchone()[0]
    if len(payments) != 1 or refunds or ("sales", "OrderHeader", order[0]) in tick.touched:
        return 0
    total = round(payments[0]["Amount"] - line["LineTotal"], 2)
    made = tick.delete("sales", "OrderLine", {"OrderId": order[0], "LineNumber": line["LineNumber"]})
    made += tick.update("sales", "OrderHeader", {"OrderId": order[0]}, {"GrandTotal": total, "ModifiedAt": tick.at})
    payment = {"PaymentId": payments[0]["PaymentId"]}
    made += tick.update("sales", "Payment", payment, {"Amount": total, "ModifiedAt": tick.at})
    tick.touched.add(("sales", "OrderHeader", order[0]))
    return made


def take_call(tick: Tick) -> int:
    """From a customer whom the agent found, or from somebody."""
    batch, customer, person = Batch(), None, tick.somebody()
    if tick.draw() < 0.6:
        row = tick.pick("crm", "Customer", "CustomerId", touch=False)
        customer = None if row is None else row["CustomerId"]
        tick.memory.execute("DELETE FROM spare_customer WHERE id = ?", (customer,))  # somebody refers to it now
    # An agent who found the customer does not ask for the name, so that the row names nobody else.
    add_call(batch, person, customer, [], tick.day, tick.at, tick.at, tick.draw, tick.ids)
    if customer is not None:
        rows = batch.rows["contactcentre", "Call"]
        rows[0] = (*rows[0][:2], None, None, *rows[0][4:])
    return tick.insert(batch)


def complain(tick: Tick) -> int:
    batch = Batch()
    add_complaint(batch, tick.somebody(), [], tick.day, tick.at, None, tick.draw, tick.ids)
    return tick.insert(batch)


def close_complaint(tick: Tick) -> int:
    row = tick.pick("contactcentre", "Complaint", "ComplaintId", "Status = 'open'")
    if row is None:
        return 0
    version = tick.ids.rowversions["contactcentre"].next()
    closed = {"Status": "closed", "ClosedAt": datetime_of_thirds(tick.at), "RowVer": version}
    return tick.update("contactcentre", "Complaint", {"ComplaintId": row["ComplaintId"]}, closed)


def register(tick: Tick) -> int:
    """Somebody new opens a web account."""
    person, batch = tick.newcomer(), Batch()
    account = f"W{tick.ids.next('web_account'):07d}"
    preferences = {channel: tick.draw() < 0.5 for channel in ("email", "sms", "post", "phone")}
    event = web_event(account, person, None, preferences, tick.day, utc_stamp(tick.moment), tick.draw)
    batch.truth.append((SOURCE, account, person.number))
    return _send(tick, batch, person.number, [event])


def change_web_account(tick: Tick) -> int:
    """A new version; now and then two, of which the older comes late."""
    known = _web_account(tick)
    if known is None:
        return 0
    person, before = known
    new = _next_version(tick, before)
    if tick.left < 2 or tick.draw() > 0.2:
        return _send(tick, Batch(), person, [new])
    tick.moment += timedelta(milliseconds=1)
    return _send(tick, Batch(), person, [_next_version(tick, new), new])


def repeat_web_event(tick: Tick) -> int:
    """The web shop sends its last message about an account again."""
    known = _web_account(tick)
    return 0 if known is None else _send(tick, Batch(), known[0], [known[1]])


def deliver(tick: Tick) -> int:
    """A parcel of an order under way leaves, and perhaps arrives."""
    row = tick.pick("sales", "OrderHeader", "OrderId", _UNDER_WAY, touch=False)
    if row is None:
        return 0
    parcel, carrier, batch = tick.ids.next("parcel"), CARRIERS[int(tick.draw() * len(CARRIERS))], Batch()
    steps = ("dispatched", "out_for_delivery", "delivered")[: min(tick.left, 1 + int(tick.draw() * 3))]
    for sequence, status in enumerate(steps, start=1):
        at = utc_stamp(tick.moment)
        batch.messages.append(delivery_message(row["OrderNumber"], parcel, sequence, status, carrier, at, tick.draw))
    return tick.insert(batch)


def _web_account(tick: Tick) -> tuple[int, dict[str, Any]] | None:
    last = tick.ids.web_account
    start = f"W{101 + int(tick.draw() * (last - 100)):07d}"
    for bound in (start, ""):
        query = "SELECT id, person, body FROM web_account WHERE id >= ? ORDER BY id LIMIT 50"
        for account, person, body in tick.memory.execute(query, (bound,)):
            if ("web", ACCOUNTS, account) not in tick.touched:
                return person, json.loads(body)
    return None


def _next_version(tick: Tick, before: dict[str, Any]) -> dict[str, Any]:
    event = {
        **before,
        "event_id": uuid_of(tick.draw),
        "version": before["version"] + 1,
        "occurred_at": utc_stamp(tick.moment),
    }
    if tick.draw() < 0.5:
        channel = ("email", "sms", "post", "phone")[int(tick.draw() * 4)]
        preferences = {**before["preferences"], channel: not before["preferences"][channel]}
        return {**event, "type": "preferences_changed", "preferences": preferences}
    home = an_address(TOWNS[int(tick.draw() * len(TOWNS))], tick.draw)
    where = {"line1": home.line1, "town": home.town, "postcode": home.postcode, "country": home.country}
    return {**event, "type": "profile_changed", "account": {**before["account"], "address": where}}


def _send(tick: Tick, batch: Batch, person: int, events: list[dict[str, Any]]) -> int:
    """Sends the events in this order, and remembers the newest as the account's state."""
    newest = max(events, key=lambda event: int(event["version"]))
    account = newest["account"]["id"]
    batch.web_accounts.append((account, person, json.dumps(newest)))
    batch.messages.extend(Message(ACCOUNTS, json.dumps(event)) for event in events)
    tick.touched.add(("web", ACCOUNTS, account))
    return tick.insert(batch)


CHANGES: tuple[tuple[Callable[[Tick], int], int], ...] = (
    (change_customer, 14),
    (move_house, 5),
    (change_preference, 8),
    (add_preference, 4),
    (remove_duplicate, 1),
    (remove_address, 1),
    (add_person, 4),
    (change_account, 6),
    (add_order, 5),
    (advance_order, 8),
    (remove_order_line, 1),
    (take_call, 6),
    (complain, 2),
    (close_complaint, 2),
    (register, 3),
    (change_web_account, 8),
    (repeat_web_event, 2),
    (deliver, 4),
)
"""Each change with how often it is tried, relative to the others."""
