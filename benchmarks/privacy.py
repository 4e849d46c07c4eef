"""What privacy costs: landing, that asks whether somebody was erased; and how long subject access takes among very many."""

import datetime as dt
import os
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.parts import keys_of_its_own
from benchmarks.serving import _build
from sv_assets.access import Actor
from sv_assets.catalogue import load_catalogue
from sv_assets.customers.customers import refresh_customers
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.ledger import Erased, Policy, contact_trace, record_trace, write
from sv_assets.local.servers import end_process, start_mongo
from sv_assets.mongo import Store, open_store
from sv_assets.privacy.bundle import write_bundle
from sv_assets.privacy.evidence import Evidence
from sv_assets.privacy.gather import gather
from sv_assets.privacy.requests import OFFICER, identify
from sv_assets.sources.records import Batch, Record

BATCH = 2000


def measure_privacy(customers: int, rows: int, erased: int) -> dict[str, Any]:
    """On a server of its own: `rows` land without asking, with an empty ledger, and with `erased` people in it; then one of
    `customers` is handed over. The ratios are rows a second beside those of the same minutes without asking."""
    with tempfile.TemporaryDirectory(prefix="sv-bench-") as folder, mock.patch.dict(os.environ, keys_of_its_own()):
        server = start_mongo(Path(folder) / "mongo")
        try:
            store = open_store(server.url, "bench_")
            return {**_access(store, customers, Path(folder)), **_suppression(store, rows, erased)}
        finally:
            end_process(server.pid, server.created)


def _access(store: Store, customers: int, folder: Path) -> dict[str, Any]:
    _build(store, customers)
    refresh_customers(store, load_catalogue())
    document = next(
        d for d in store.single_view["customers"].find({}) if d["email"] and d["phone"] and d["orders"]["count"]
    )
    started = time.monotonic()
    actor = Actor("bench", OFFICER, "subject_access", "bench")
    who = identify(store, Evidence(email=document["email"]["value"], phone=document["phone"]["value"]), actor=actor)
    gathered = gather(store, load_catalogue(), who.customer_id, actor=actor)
    write_bundle(gathered, folder / "bundle")
    return {
        "customers": customers,
        "access_seconds": round(time.monotonic() - started, 2),
        "documents": gathered.documents,
    }


def _suppression(store: Store, rows: int, erased: int, rounds: int = 5) -> dict[str, Any]:
    never, nobody = [], []
    for _ in range(rounds):  # turn by turn, because other work on the machine comes and goes
        never.append(_land(store, rows, ask=False))
        nobody.append(_land(store, rows))
    made = [Erased(record_trace("crm.customer", f"x{n}"), "crm.customer") for n in range(erased)]
    made += [Erased(contact_trace(f"e:gone{n}@example.org")) for n in range(3 * erased)]
    write(store, "benchmark", dt.datetime.now(dt.timezone.utc), made, Policy({}, 0))
    again, many = [], []
    for _ in range(rounds):
        again.append(_land(store, rows, ask=False))
        many.append(_land(store, rows))
    return {
        "rows": rows,
        "erased": erased,
        "rows_per_s": round(statistics.median(never)),
        "ratio_nobody_erased": round(statistics.median(nobody) / statistics.median(never), 3),
        "ratio_many_erased": round(statistics.median(many) / statistics.median(again), 3),
    }


def _land(store: Store, rows: int, *, ask: bool = True) -> float:
    catalogue = load_catalogue()
    source = catalogue.source("crm.customer")
    store.landing[source.key].drop()
    writer = LandingWriter(store, catalogue, source, "benchmark")
    if not ask:
        writer.suppression = _Silent()  # type: ignore[assignment]
    now = dt.datetime.now(dt.timezone.utc)
    batches = [
        Batch([_record(n, now) for n in range(start, min(start + BATCH, rows))], [], {}, now)
        for start in range(0, rows, BATCH)
    ]
    started = time.monotonic()
    for batch in batches:
        writer.send(writer.prepare(batch), Outcome())
    return rows / (time.monotonic() - started)


def _record(number: int, now: dt.datetime) -> Record:
    fields = {
        "CustomerId": number, "Title": "Mrs", "FirstName": "Jane", "Surname": f"Smith{number % 5000}", "Email": f"jane.{number}@example.org",
        "Phone": f"01904 {number % 1_000_000:06}", "Mobile": f"07700 {number % 1_000_000:06}", "DateOfBirth": now, "ModifiedAt": now,
        "Notes": secrets.token_hex(20),
    }  # fmt: skip
    return Record(number, str(number), fields, number.to_bytes(8))


class _Silent:
    """Lets everything pass, and asks nobody."""

    def clean(self, batch: Any) -> Any:
        return batch

    revision = 0

    def changed_since(self, asked: int) -> bool:
        return False
