"""What the generator remembers between runs: `seed.json`, and `generator.sqlite` for the bulk."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path

from sv_assets.errors import ConfigurationError
from sv_assets.local.generator.legacy_schema import TABLES
from sv_assets.local.generator.rows import Batch

FILE = "seed.json"
MEMORY = "generator.sqlite"
_CONNECTIONS = {
    "crm": "CRM_SQLSERVER_URL",
    "sales": "SALES_SQLSERVER_URL",
    "contactcentre": "CONTACTCENTRE_SQLSERVER_URL",
}


@dataclass(frozen=True)
class SeedState:
    """`complete` is false while a seed or a tick is at work: an estate found so was left by a killed one."""

    people: int
    seed: int
    until: str
    complete: bool
    ticks: int = 0
    next_person: int = 0
    clock: str = ""
    rowversions: dict[str, int] = field(default_factory=dict)
    next_ids: dict[str, int] = field(default_factory=dict)
    last_tick: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def until_date(self) -> date:
        return date.fromisoformat(self.until)

    @property
    def clock_instant(self) -> datetime:
        return datetime.fromisoformat(self.clock)


def load_state(local_dir: Path) -> SeedState | None:
    """None when nothing was ever seeded here, or the file is no state of ours."""
    try:
        return SeedState(**json.loads((local_dir / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def save_state(local_dir: Path, state: SeedState) -> None:
    new = local_dir / f"{FILE}.new"
    new.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    new.replace(local_dir / FILE)


def database_paths(urls: Mapping[str, str]) -> dict[str, Path]:
    """The SQLite file by system. Raises ConfigurationError for anything but an absolute `sqlite:////path`."""
    paths: dict[str, Path] = {}
    for system in TABLES:
        url = urls.get(_CONNECTIONS[system], "")
        if not url.startswith("sqlite:////"):
            raise ConfigurationError(
                f"{_CONNECTIONS[system]} is not an absolute SQLite URL (sqlite:////path): the generator writes "
                "only its own files. Use the URLs in estate.env."
            )
        paths[system] = Path(url.removeprefix("sqlite:///"))
    return paths


def create_memory(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE web_account (id TEXT NOT NULL PRIMARY KEY, person INTEGER NOT NULL, body TEXT NOT NULL)"
    )
    connection.execute("CREATE TABLE sales_account (id INTEGER NOT NULL PRIMARY KEY, person INTEGER NOT NULL)")
    connection.execute("CREATE TABLE spare_customer (id INTEGER NOT NULL PRIMARY KEY)")


def remember(connection: sqlite3.Connection, batch: Batch) -> None:
    """Each web account's last message, each sales account's person, and the crm duplicates that nobody refers to."""
    connection.executemany("INSERT OR REPLACE INTO web_account VALUES (?, ?, ?)", batch.web_accounts)
    accounts = ((int(key), person) for source, key, person in batch.truth if source == "sales.account")
    connection.executemany("INSERT INTO sales_account VALUES (?, ?)", accounts)
    connection.executemany("INSERT INTO spare_customer VALUES (?)", ((number,) for number in batch.spare_customers))
