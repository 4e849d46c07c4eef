"""`sv introspect` on a SQLite file of a test's own, without a process of its own."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sv_assets.catalogue import Catalogue, load_catalogue
from sv_assets.catalogue.model import TableEntry
from sv_assets.cli import app
from sv_assets.sources.database import LegacyDatabase, open_database
from sv_assets.sources.introspect.target import target_of
from sv_assets_tests.conftest import Catalogued


@dataclass(frozen=True)
class Introspected:
    """The system `shop`, its database, and its `defs.yaml`."""

    catalogued: Catalogued

    def script(self, statements: str, schema: str = "") -> None:
        """Statements on the database, or on the file that stands in for a further schema of it."""
        path = self.catalogued.database
        path = path.with_name(f"shop.{schema}.sqlite") if schema else path
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(statements)

    def run(self, *arguments: str) -> Result:
        """`sv introspect …`: its output, and the error it raised, if any."""
        return CliRunner().invoke(app, ["introspect", *arguments])

    def introspect(self, *options: str) -> dict[str, Any]:
        """`sv introspect shop --json`, which must succeed."""
        result = self.run("shop", "--json", *options)
        if result.exception is not None:
            raise result.exception
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    @property
    def file(self) -> Path:
        return self.catalogued.directory / "shop" / "defs.yaml"

    @property
    def text(self) -> str:
        return self.file.read_text()

    @property
    def catalogue(self) -> Catalogue:
        return load_catalogue(self.catalogued.directory)

    def table(self, name: str) -> TableEntry:
        """A declared table."""
        source = self.catalogue.find("shop", name)
        assert source is not None, f"{name} is not declared"
        return source.table

    def open(self) -> LegacyDatabase:
        return open_database(target_of("shop").system)


@pytest.fixture
def shop(catalogued: Catalogued) -> Introspected:
    return Introspected(catalogued)
