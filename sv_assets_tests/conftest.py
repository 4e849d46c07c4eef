"""Real embedded servers for all tests: one MongoDB and one SQS a session, a database prefix a test."""

import base64
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sv_assets.local import RunningServer, start_mongo, start_sqs
from sv_assets.mongo import Store, open_store
from sv_assets_tests import examples

examples.register()

os.environ["SV_ENCRYPTION_KEY"] = f"t1:{base64.b64encode(bytes(range(96))).decode()}"

LONGEST_FIRST = (
    "cli/test_cli.py",
    "components/test_runs.py",
    "test_benchmarks.py",
    "test_whole_way.py",
    "identity/test_kill.py",
    "identity/test_evaluate.py",
    "quality/test_faults.py",
    "identity/test_decisions.py",
    "customers/test_orders.py",
    "identity/test_incremental.py",
    "identity/test_customer_ids.py",
    "cli/test_identity.py",
)
"""Files that would keep everybody waiting if a worker took them up last."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, as a worker takes up the next whole file when it is done with one."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The embedded MongoDB of the session."""
    server = start_mongo(tmp_path_factory.mktemp("mongo"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The embedded SQS of the session, with what else of AWS our queues touch."""
    services = ("sqs", "s3", "sns", "sts", "events", "kms", "cloudwatch")
    server = start_sqs(tmp_path_factory.mktemp("sqs"), services=services)
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["embedded", "SV_TEST_MONGO_URL"])
def mongo_url(request: pytest.FixtureRequest) -> str:
    """Every test that uses a store runs on the embedded server, and on a live one where `SV_TEST_MONGO_URL` names it."""
    if request.param == "embedded":
        server: RunningServer = request.getfixturevalue("mongo_server")
        return server.url
    url = os.environ.get("SV_TEST_MONGO_URL")
    if not url:
        pytest.skip("SV_TEST_MONGO_URL is not set: no live MongoDB to test against")
    return url


@contextmanager
def empty_store(mongo_url: str) -> Iterator[Store]:
    """A store under a prefix that nobody else has; it goes away with what is in it."""
    opened = open_store(mongo_url, f"t{uuid.uuid4().hex[:8]}_")
    try:
        yield opened
    finally:
        for database in opened.databases():
            opened.client.drop_database(database.name)
        opened.close()


@pytest.fixture
def store(mongo_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty store of the test's own. The environment names it, as it would for a run."""
    with empty_store(mongo_url) as opened:
        monkeypatch.setenv("SV_MONGO_URL", mongo_url)
        monkeypatch.setenv("SV_MONGO_PREFIX", opened.prefix)
        yield opened


@pytest.fixture(scope="module")
def shared_store(mongo_url: str) -> Iterator[Store]:
    """An empty store for what the tests of a module only look at. The environment does not name it."""
    with empty_store(mongo_url) as opened:
        yield opened


@dataclass(frozen=True)
class Catalogued:
    """A folder that stands in for `sv_assets/defs/legacy`, and the SQLite file of its system `shop`."""

    directory: Path
    database: Path

    def declare(self, tables: str, system: str = "shop") -> Path:
        """Write the `defs.yaml` of a system whose `tables:` entries are given, indented by four."""
        folder = self.directory / system
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "defs.yaml"
        path.write_text(
            "type: sv_assets.components.SqlServerSystem\n"
            "attributes:\n"
            f"  system: {system}\n"
            f'  connection: "{{{{ env.{system.upper()}_SQLSERVER_URL }}}}"\n'
            f'  owners: ["team:{system}"]\n'
            "  tables:\n" + tables
        )
        return path


@pytest.fixture
def catalogued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogued:
    """A catalogue of the test's own, with one SQLite database behind the system `shop`."""
    database = tmp_path / "shop.sqlite"
    database.touch()
    monkeypatch.setenv("SHOP_SQLSERVER_URL", f"sqlite:///{database}")
    monkeypatch.setenv("SV_CATALOGUE_DIR", str(tmp_path / "legacy"))
    return Catalogued(tmp_path / "legacy", database)
