"""A seeded retailer whose databases each test may spoil: landed once clean, then looked at by all checks."""

import datetime as dt
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sv_assets.catalogue import Catalogue, Source
from sv_assets.catalogue.source import needs_reconciliation
from sv_assets.landing.land import LandingReport, land_table
from sv_assets.landing.reconcile import reconcile_table
from sv_assets.local import RunningServer, seed
from sv_assets.local.generator.legacy_schema import TABLES
from sv_assets.mongo import Store
from sv_assets.quality.landing import audit, check_landing
from sv_assets.quality.result import Result
from sv_assets.quality.results import record
from sv_assets.quality.subject import Subject
from sv_assets_tests.retailer import catalogue

UNTIL = dt.date(2026, 11, 20)
CLOSING = dt.datetime(2026, 11, 19, 23, tzinfo=dt.timezone.utc)
PEOPLE = 100


@pytest.fixture(scope="session")
def seeded(sqs_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a clean retailer: two calls whose start is no date are mended."""
    folder = tmp_path_factory.mktemp("seeded")
    seed(folder, {**_urls(folder), "SQS_ENDPOINT_URL": sqs_server.url, **_AWS}, people=PEOPLE, until=UNTIL)
    with closing(sqlite3.connect(folder / "contactcentre.sqlite")) as database, database:
        database.execute("UPDATE Call SET StartedAt = ModifiedAt WHERE StartedAt LIKE '%-02-31%'")
    for path in folder.glob("*.sqlite"):
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


_AWS = {"AWS_DEFAULT_REGION": "eu-west-2", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def _urls(folder: Path) -> dict[str, str]:
    return {f"{system.upper()}_SQLSERVER_URL": f"sqlite:///{folder}/{system}.sqlite" for system in TABLES}


@dataclass
class Estate:
    """Legacy databases of a test's own, a store, and a moment to judge by."""

    store: Store
    folder: Path
    now: dt.datetime = CLOSING
    catalogue: Catalogue = field(default_factory=catalogue)
    runs: int = 0
    results: dict[tuple[str, str], Result] = field(default_factory=dict)

    def run(self, system: str, statement: str, *parameters: Any) -> int:
        """One statement, committed; returns how many rows it changed."""
        with closing(sqlite3.connect(self.folder / f"{system}.sqlite")) as database, database:
            return database.execute(statement, parameters).rowcount

    def rows(self, system: str, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / f"{system}.sqlite")) as database:
            return database.execute(query).fetchall()

    def tables(self, *names: str) -> list[Source]:
        """The tables of these systems, or these tables; all without names."""
        found = [s for s in self.catalogue.sources if not s.is_queue]
        return [s for s in found if not names or s.system in names or s.key in names]

    def land(self, *names: str) -> list[LandingReport]:
        """Land what is new in the systems of these tables (default: all), and what was deleted."""
        self.runs += 1
        reports = []
        for source in self.tables(*{name.split(".")[0] for name in names}):
            reports.append(land_table(self.store, self.catalogue, source, f"run{self.runs}"))
            if needs_reconciliation(source):
                reconcile_table(self.store, source, f"run{self.runs}")
        return reports

    def check(self, *names: str) -> list[Result]:
        """All checks of these tables."""
        results = []
        for source in self.tables(*names):
            subject = Subject(self.store, self.catalogue, source, self.now)
            results += [*check_landing(subject), *audit(subject)]
        record(self.store, results, f"run{self.runs}")
        self.results = {(r.asset, r.check): r for r in results}
        return results

    def failing(self, *names: str) -> set[tuple[str, str]]:
        """(table, check) of the checks of these tables that do not pass, after landing what is new."""
        self.land(*names)
        return {(r.asset.split("/")[-1], r.check) for r in self.check(*names) if not r.passed}

    def sentence(self, asset: str, check: str) -> str:
        return self.results[f"landing/{asset}", check].sentence


@pytest.fixture
def estate(store: Store, seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Estate:
    for system in TABLES:
        shutil.copy(seeded / f"{system}.sqlite", tmp_path)
    for name, value in _urls(tmp_path).items():
        monkeypatch.setenv(name, value)
    return Estate(store, tmp_path)
