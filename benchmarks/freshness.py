"""How long a change at a source takes until it can be read in its customer's document, with Dagster at its default settings.

An embedded estate of the benchmark's own, in a temporary folder, and a Dagster daemon beside it that knows nothing of the
benchmark: it lands the seeded estate, and then changes are made at the sources at irregular intervals, rows as well as
messages, one at a time. The clock of a change starts when the source has committed it (or SQS has taken it), and stops
when a client that asks every `POLL_SECONDS` finds it in `single_view.customers`.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.parts import ROOT
from sv_assets import local
from sv_assets.errors import SvError
from sv_assets.local.estate import read_urls
from sv_assets.local.generator.calendar import london_stamp, utc_stamp
from sv_assets.local.generator.legacy_schema import insert_statement, load_rowversions, store_rowversions
from sv_assets.local.generator.rows import Message
from sv_assets.local.generator.sales import DELIVERIES
from sv_assets.local.generator.web import ACCOUNTS
from sv_assets.local.queues import send, sqs_client
from sv_assets.mongo import Document, Store, open_store

POLL_SECONDS = 0.25
MEAN_PAUSE = 3.0
"""Seconds between two changes on average; now and then several come at once, and now and then none for long."""
FIRST_LOAD_SECONDS = 600.0
GIVE_UP_SECONDS = 180.0
"""After so long a change that has not arrived counts as lost."""
_WORKSPACE = "load_from:\n  - python_module: {module_name: sv_assets.definitions, location_name: sv_assets}\n"


@dataclass(frozen=True)
class Change:
    """A change that was made. `landing` and `key` say where it lands, `arrived` whether a customer shows it."""

    source: str
    landing_key: Any
    arrived: Callable[[Store], bool]


@dataclass
class Watched:
    """A change on its way: seconds since the epoch at which it was made, had landed, and was seen."""

    change: Change
    made: float
    landed: float | None = None
    seen: float | None = None


def measure_freshness(changes: int, people: int = 300, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Seconds from change to customer: {changes, p50_s, p95_s, max_s, lost, by_source, by_station, runs}.

    Raises SvError where the daemon does not land the seeded estate in time. Whatever ends it, also SIGTERM, ends the servers
    and the daemon that it started.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="sv-freshness-") as folder:
        place = Path(folder)
        estate = local.up(place / "estate")
        try:
            tell(f"seeding {people:,} people")
            local.seed(estate.local_dir, estate.urls, people=people)
            store = open_store(estate.urls["SV_MONGO_URL"])
            with closing(store), _daemon(place, estate.local_dir) as is_alive:
                tell("waiting until the daemon has landed them")
                _until_quiet(store, place, is_alive)
                tell(f"making {changes:,} changes; some {changes * MEAN_PAUSE:.0f} seconds")
                before = _runs(place)
                watched = _make_and_watch(store, Makers(estate.local_dir, estate.urls, store), changes)
                return {**_figures(watched), "runs": _runs(place) - before}
        finally:
            local.down(estate.local_dir)


@contextmanager
def _daemon(place: Path, estate_dir: Path) -> Iterator[Callable[[], bool]]:
    """A Dagster daemon with the project's own `dagster.yaml`, in a session of its own, so that its runs end with it."""
    shutil.copy(ROOT / "dagster.yaml", place)
    (place / "workspace.yaml").write_text(_WORKSPACE)
    (place / ".local" / "dagster").mkdir(parents=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SV_", "DAGSTER", "AWS_", "SQS_", "PYTHON"))}
    environment = {
        **{k: v for k, v in kept.items() if not k.endswith("_SQLSERVER_URL")},
        "DAGSTER_HOME": str(place),
        "SV_LOCAL_DIR": str(estate_dir),
        "PYTHONPATH": str(ROOT),
    }
    environment |= {k: v for k, v in read_urls(estate_dir).items() if k.startswith("AWS_")}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
    with (place / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=place, stdout=log, stderr=log, start_new_session=True)
        try:
            yield lambda: process.poll() is None
        finally:
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, signal.SIGINT)
                process.wait(20)
            with suppress(ProcessLookupError):  # code servers and runs that outlived it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_quiet(store: Store, place: Path, is_alive: Callable[[], bool]) -> None:
    """Until all sources have landed, customers have been composed, and no run has been under way for a while."""
    deadline = time.monotonic() + FIRST_LOAD_SECONDS
    quiet_since = None
    while time.monotonic() < deadline:
        if not is_alive():
            raise SvError(f"The Dagster daemon ended: {(place / 'daemon.log').read_text()[-2000:]}")
        done = store.control["bookmarks"].count_documents({}) > 0 and store.single_view["customers"].find_one(
            {"version": 1}
        )
        if done and not _under_way(place):
            quiet_since = quiet_since or time.monotonic()
            if time.monotonic() - quiet_since > 15:
                return
        else:
            quiet_since = None
        time.sleep(1)
    raise SvError(
        f"The estate did not land within {FIRST_LOAD_SECONDS:.0f} s: {(place / 'daemon.log').read_text()[-2000:]}"
    )


def _query(place: Path, statement: str) -> int:
    path = place / ".local" / "dagster" / "runs.db"
    path = path if path.exists() else place / ".local" / "dagster" / "history" / "runs.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        return int(database.execute(statement).fetchone()[0])


def _runs(place: Path) -> int:
    return _query(place, "SELECT COUNT(*) FROM runs")


def _under_way(place: Path) -> bool:
    return bool(_query(place, "SELECT COUNT(*) FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"))


def _make_and_watch(store: Store, makers: "Makers", changes: int) -> list[Watched]:
    watched: list[Watched] = []
    failed: list[BaseException] = []
    made = threading.Event()
    draw = random.Random(7)

    def make() -> None:
        try:
            for n in range(changes):
                change = makers.make(n)
                watched.append(Watched(change, time.time()))
                time.sleep(
                    draw.choice((0.2, 0.2, draw.expovariate(1 / MEAN_PAUSE), draw.expovariate(1 / (2 * MEAN_PAUSE))))
                )
        except BaseException as error:
            failed.append(error)
        finally:
            made.set()

    maker = threading.Thread(target=make, name="changes", daemon=True)
    maker.start()
    while not made.is_set() or _still_waiting(watched):
        for entry in list(watched):
            if entry.seen is None and entry.change.arrived(store):
                entry.seen = time.time()
                landed = store.landing[entry.change.source].find_one({"_id": entry.change.landing_key})
                entry.landed = landed["_sv"]["extracted_at"].timestamp() if landed else None
        time.sleep(POLL_SECONDS)
    if failed:
        raise failed[0]
    return watched


def _still_waiting(watched: list[Watched]) -> bool:
    return any(entry.seen is None and time.time() - entry.made < GIVE_UP_SECONDS for entry in watched)


def _figures(watched: list[Watched]) -> dict[str, Any]:
    seconds = [entry.seen - entry.made for entry in watched if entry.seen is not None]
    landed = [entry.landed - entry.made for entry in watched if entry.landed is not None]
    composed = [e.seen - e.landed for e in watched if e.seen is not None and e.landed is not None]
    sources = sorted({entry.change.source for entry in watched})
    by_source = {
        source: _told([e.seen - e.made for e in watched if e.seen is not None and e.change.source == source])
        for source in sources
    }
    return {
        "changes": len(watched),
        **_told(seconds),
        "lost": sum(entry.seen is None for entry in watched),
        "by_station": {"landing": _told(landed), "single_view": _told(composed)},
        "by_source": by_source,
    }


def _told(seconds: list[float]) -> dict[str, float | None]:
    ordered = sorted(seconds)

    def percentile(share: float) -> float | None:
        return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 1) if ordered else None

    return {"p50_s": percentile(0.5), "p95_s": percentile(0.95), "max_s": percentile(1.0)}


@dataclass
class Makers:
    """Makes changes as the departments would: each kind in turn, none twice to the same row."""

    local_dir: Path
    urls: dict[str, str]
    store: Store
    tag: str = field(default_factory=lambda: uuid.uuid4().hex[:6])

    def make(self, n: int) -> Change:
        kinds = (
            self._crm_email,
            self._account_email,
            self._order,
            self._registration,
            self._address,
            self._complaint,
            self._delivery,
            self._call,
        )
        return kinds[n % len(kinds)](n)

    def _crm_email(self, n: int) -> Change:
        email = f"fresh{n}.{self.tag}@freshmail.co.uk"
        with self._database("crm") as database:
            key = self._row(database, "SELECT CustomerId FROM Customer ORDER BY CustomerId LIMIT 1 OFFSET ?", n)[0]
            self._write(database, "UPDATE Customer SET Email = ?, ModifiedAt = ?, RowVer = ? WHERE CustomerId = ?",
                        email, _now(), _next_rowversion(database), key)  # fmt: skip
        return Change("crm.customer", key, _has_key(f"email:{email}"))

    def _account_email(self, n: int) -> Change:
        email = f"fresh{n}.{self.tag}@freshmail.co.uk"
        with self._database("sales") as database:
            key = self._row(database, "SELECT AccountId FROM Account ORDER BY AccountId LIMIT 1 OFFSET ?", n)[0]
            self._write(
                database, "UPDATE Account SET EmailAddress = ?, ModifiedAt = ? WHERE AccountId = ?", email, _now(), key
            )
        return Change("sales.account", key, _has_key(f"email:{email}"))

    def _order(self, n: int) -> Change:
        with self._database("sales") as database:
            row = dict(
                self._row(
                    database,
                    "SELECT * FROM OrderHeader WHERE AccountId IS NOT NULL ORDER BY OrderId LIMIT 1 OFFSET ?",
                    n,
                )
            )
            key, number = 8_000_000 + n, f"FR{n}{self.tag}"
            row |= {"OrderId": key, "OrderNumber": number, "OrderDate": _now(), "ModifiedAt": _now()}
            self._write(database, insert_statement(database, "OrderHeader"), *row.values())
        return Change("sales.orderheader", key, _shows("orders.latest.number", number))

    def _registration(self, n: int) -> Change:
        account, email = f"F{self.tag}{n}", f"fresh{n}.{self.tag}@freshmail.co.uk"
        person = {"id": account, "first_name": "Ada", "last_name": f"Fresh{self.tag}", "email": email}
        body = {"event_id": str(uuid.uuid4()), "type": "registered", "version": 1, "occurred_at": _utc(), "account": person,
                "preferences": dict.fromkeys(("email", "sms", "post", "phone"), True)}  # fmt: skip
        self._send(Message(ACCOUNTS, json.dumps(body)))
        return Change("web.web_account_events", account, _has_key(f"email:{email}"))

    def _address(self, n: int) -> Change:
        line = f"{n} Fresh{self.tag} Lane"
        with self._database("crm") as database:
            key = self._row(database, "SELECT AddressId FROM CustomerAddress ORDER BY AddressId LIMIT 1 OFFSET ?", n)[0]
            self._write(
                database, "UPDATE CustomerAddress SET Line1 = ?, ModifiedAt = ? WHERE AddressId = ?", line, _now(), key
            )
        return Change("crm.customeraddress", key, _shows("addresses.value.line_1", line))

    def _complaint(self, n: int) -> Change:
        key, email = 800_000 + n, f"fresh{n}.{self.tag}@freshmail.co.uk"
        with self._database("contactcentre") as database:
            row = dict(self._row(database, "SELECT * FROM Complaint ORDER BY ComplaintId LIMIT 1 OFFSET ?", 0))
            row |= {"ComplaintId": key, "FirstName": "Bea", "Surname": f"Fresh{self.tag}", "Email": email, "Phone": None,
                    "OrderNumber": None, "OpenedAt": _now(), "RowVer": _next_rowversion(database)}  # fmt: skip
            self._write(database, insert_statement(database, "Complaint"), *row.values())
        return Change("contactcentre.complaint", key, _has_key(f"email:{email}"))

    def _delivery(self, n: int) -> Change:
        with self._database("sales") as database:
            statement = "SELECT OrderNumber FROM OrderHeader WHERE AccountId IS NOT NULL AND OrderId < 8000000 ORDER BY OrderId DESC LIMIT 1 OFFSET ?"
            number = self._row(database, statement, n)[0]
        event, status = str(uuid.uuid4()), f"seen {self.tag} {n}"
        body = {"event_id": event, "order_number": number, "parcel": f"P{self.tag}{n}", "sequence": 1, "status": status,
                "carrier": "Fresh", "delivery_reference": f"FR{self.tag}{n}", "occurred_at": _utc()}  # fmt: skip
        self._send(Message(DELIVERIES, json.dumps(body), number, event))
        return Change("delivery.delivery_events", event, _shows("orders.latest.delivery", status))

    def _call(self, n: int) -> Change:
        key = 9_900_000_000 + n
        with self._database("contactcentre") as database:
            statement = "SELECT * FROM Call WHERE CustomerNumber IS NOT NULL ORDER BY CallId LIMIT 1 OFFSET ?"
            row = dict(self._row(database, statement, n % 20))
            row |= {"CallId": key, "StartedAt": _now(), "ModifiedAt": _now()}
            self._write(database, insert_statement(database, "Call"), *row.values())
        return Change("contactcentre.call", key, _shows("interactions.latest.interaction", f"contactcentre.call:{key}"))

    @contextmanager
    def _database(self, system: str) -> Iterator[sqlite3.Connection]:
        with closing(
            sqlite3.connect(self.local_dir / f"{system}.sqlite", isolation_level=None, timeout=30)
        ) as database:
            database.row_factory = sqlite3.Row
            yield database

    def _row(self, database: sqlite3.Connection, statement: str, offset: int) -> sqlite3.Row:
        row: sqlite3.Row | None = database.execute(statement, (offset,)).fetchone()
        if row is None:
            raise SvError("The seeded estate has too few rows for so many changes: seed more people.")
        return row

    def _write(self, database: sqlite3.Connection, statement: str, *values: Any) -> None:
        assert database.execute(statement, values).rowcount == 1

    def _send(self, message: Message) -> None:
        send(sqs_client(self.urls), [message], nonce=uuid.uuid4().hex, senders=1)


def _next_rowversion(database: sqlite3.Connection) -> bytes:
    rowversions = load_rowversions(database)
    value = rowversions.next()
    store_rowversions(database, rowversions)
    return value


def _has_key(key: str) -> Callable[[Store], bool]:
    return _shows("keys", key)


def _shows(path: str, value: str) -> Callable[[Store], bool]:
    wanted: Document = {path: value}
    return lambda store: store.single_view["customers"].find_one(wanted, {"_id": 1}) is not None


def _now() -> str:
    return london_stamp(datetime.now(UTC))


def _utc() -> str:
    return utc_stamp(datetime.now(UTC))
