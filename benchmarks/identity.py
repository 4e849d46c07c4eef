"""How fast and how well identity finds the persons of the seed generator among many records, from scratch.

The records are what the legacy systems of the generator would hold, with its dirt: customers (some twice) with their
addresses, loyalty cards, shop accounts, guests' orders, web accounts, calls and complaints. They are written in the format of
`sv identity evaluate`, which then runs in a process of its own.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from sv_assets.local.generator.calendar import Calendar, Draw
from sv_assets.local.generator.contactcentre import add_call, add_complaint
from sv_assets.local.generator.crm import add_crm
from sv_assets.local.generator.people import CHUNK, Person, draws, people, person_name
from sv_assets.local.generator.rows import Batch, Ids
from sv_assets.local.generator.sales import account_row, guest_columns, poisson
from sv_assets.local.generator.web import web_account

SEED = 7
UNTIL = date(2026, 11, 1)
COLUMNS = (
    "record_id", "source", "title", "first_name", "last_name", "date_of_birth", "email", "phone",
    "address_line_1", "address_line_2", "town", "county", "postcode", "country",
)  # fmt: skip
_GUEST_ORDERS = {True: 0.67, False: 1.5}
_UNKNOWN_CALLS, _COMPLAINTS = 0.25, 0.07
Told = tuple[dict[str, Any], int]
"""What a record says, by column, and the number of the person."""


def measure_identity(records: int) -> dict[str, Any]:
    """Make `records` records, and evaluate them. Returns what `sv identity evaluate` prints, with `records_per_s`."""
    with tempfile.TemporaryDirectory(prefix="sv-bench-") as folder:
        paths = Path(folder) / "records.csv", Path(folder) / "truth.csv"
        write_records(records, *paths)
        return run_evaluate(records, *paths)


def run_evaluate(records: int, path: Path, truth: Path) -> dict[str, Any]:
    """`sv identity evaluate` in a process of its own."""
    command = [str(Path(sys.executable).with_name("sv")), "identity", "evaluate", "--json"]
    files = ["--records", str(path), "--truth", str(truth)]
    done = subprocess.run([*command, *files], env=dict(os.environ), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"evaluate ended with {done.returncode}:\n{done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return {"records": records, "records_per_s": round(records / measured["seconds"]["total"]), **measured}


def write_records(count: int, path: Path, truth: Path, seed: int = SEED) -> None:
    """Write `count` records and who they are. The same seed and count make the same files."""
    with path.open("w", encoding="utf-8", newline="") as file, truth.open("w", encoding="utf-8", newline="") as other:
        records = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        entities = csv.writer(other, lineterminator="\n")
        records.writeheader()
        entities.writerow(["record_id", "entity_id"])
        for _, (record, person) in zip(range(count), _records(seed), strict=False):
            records.writerow(record)
            entities.writerow([record["record_id"], person_name(person)])


def _records(seed: int) -> Iterator[Told]:
    """The records of ever more people, system by system for each chunk of people."""
    calendar, ids = Calendar(UNTIL), Ids()
    chunk = 0
    while True:
        members = people(seed, chunk, chunk * CHUNK + 1, CHUNK, calendar)
        draw = draws(seed, 3, chunk)
        yield from _crm(members, calendar, draw, ids)
        yield from _sales(members, calendar, draw, ids)
        yield from _web(members, calendar, draw, ids)
        yield from _contact_centre(members, calendar, draw, ids)
        chunk += 1


def _crm(members: list[Person], calendar: Calendar, draw: Draw, ids: Ids) -> Iterator[Told]:
    batch = Batch()
    add_crm(batch, members, calendar, draw, ids)
    person_of = {(source, key): person for source, key, person in batch.truth}
    homes: dict[int, list[Any]] = {}
    for row in batch.rows["crm", "CustomerAddress"]:
        homes.setdefault(row[1], []).append(row[3:9])
    for row in batch.rows["crm", "Customer"]:
        number, title, first, last, email, phone, mobile, born = row[:8]
        joined = (";".join(part or "" for part in parts) for parts in zip(*homes.get(number, ()), strict=True))
        yield _record("crm.customer", number, title, first, last, born, email, ";".join(filter(None, (mobile, phone))), *joined), \
            person_of["crm.customer", str(number)]  # fmt: skip
    for card, first, last, email, mobile, postcode, *_ in batch.rows["crm", "LoyaltyCard"]:
        told = _record("crm.loyaltycard", card, None, first, last, None, email, mobile)
        yield {**told, "postcode": postcode}, person_of["crm.loyaltycard", card]


def _sales(members: list[Person], calendar: Calendar, draw: Draw, ids: Ids) -> Iterator[Told]:
    for person in members:
        if person.in_sales:
            day = int(draw() * 2_100) - 1_500
            row = account_row(person, ids.next("account"), None, day, "", "", draw)
            yield _record("sales.account", row[0], None, row[3], row[4], None, row[5], row[6]), person.number
        for _ in range(poisson(_GUEST_ORDERS[person.in_sales], draw)):
            day = int(draw() ** 0.9 * (calendar.last + 1))
            first, last, email, phone = guest_columns(person, day, draw)
            home = person.address_on(day)
            told = _record("sales.orderheader", ids.next("order"), None, first, last, None, email, phone)
            yield {**told, "address_line_1": home.line1, "town": home.town, "postcode": home.postcode}, person.number


def _web(members: list[Person], calendar: Calendar, draw: Draw, ids: Ids) -> Iterator[Told]:
    for person in members:
        if not person.in_web:
            continue
        account = web_account(f"W{ids.next('web_account'):07d}", person, None, int(draw() ** 0.8 * calendar.last), draw)
        where = account["address"] or {}
        told = _record("web.web_account_events", account["id"], None, account["first_name"], account["last_name"],
                       account["date_of_birth"], account["email"], account["phone"])  # fmt: skip
        yield (
            {
                **told,
                "address_line_1": where.get("line1"),
                "town": where.get("town"),
                "postcode": where.get("postcode"),
                "country": where.get("country"),
            },
            person.number,
        )


def _contact_centre(members: list[Person], calendar: Calendar, draw: Draw, ids: Ids) -> Iterator[Told]:
    batch = Batch()
    for person in members:
        day = int(draw() * (calendar.last + 1))
        at = calendar.stamp(day, draw)
        for _ in range(poisson(_UNKNOWN_CALLS, draw)):
            add_call(batch, person, None, [], day, at, at, draw, ids)
        if draw() < _COMPLAINTS:
            add_complaint(batch, person, [], day, at, None, draw, ids)
    persons = iter([person for source, _, person in batch.truth if source == "contactcentre.call"])
    for number, _, name, caller, *_ in batch.rows["contactcentre", "Call"]:
        yield _record("contactcentre.call", number, None, name, None, None, None, caller), next(persons)
    persons = iter([person for source, _, person in batch.truth if source == "contactcentre.complaint"])
    for number, first, last, email, phone, *_ in batch.rows["contactcentre", "Complaint"]:
        yield _record("contactcentre.complaint", number, None, first, last, None, email, phone), next(persons)


def _record(source: str, key: Any, *told: Any) -> dict[str, Any]:
    return dict(zip(COLUMNS, (f"{source}:{key}", source, *told), strict=False))
