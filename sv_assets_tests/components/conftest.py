"""The code location as Dagster loads it, and a tiny estate for its runs."""

import base64
import datetime as dt
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from sv_assets.local import RunningServer, seed
from sv_assets.local.generator.legacy_schema import TABLES
from sv_assets.mongo import Store, open_store
from sv_assets.settings import PROJECT_ROOT

QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def text_of(value: Any) -> str:
    """Everything in an event, the pictures opened."""
    text = serialize_value(value)
    pictures = re.findall(r"base64,([A-Za-z0-9+/=]+)", text)
    return text + "".join(base64.b64decode(picture).decode() for picture in pictures)


@pytest.fixture(scope="session")
def definitions() -> dg.Definitions:
    """Everything that the code location defines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SV_CATALOGUE_DIR", raising=False)
        patch.chdir(PROJECT_ROOT)
        from sv_assets.definitions import defs

        return defs()


@dataclass(frozen=True)
class TinyEstate:
    """A seeded estate, and the store that runs write to. The environment names both."""

    local_dir: Path
    urls: dict[str, str]
    store: Store


@pytest.fixture(scope="module")
def tiny_estate(
    mongo_url: str, sqs_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TinyEstate]:
    """Thirty people, for all tests of a module."""
    local = tmp_path_factory.mktemp("estate")
    prefix = f"t{uuid.uuid4().hex[:8]}_"
    urls = {f"{system.upper()}_SQLSERVER_URL": f"sqlite:///{local}/{system}.sqlite" for system in TABLES}
    urls |= {"SQS_ENDPOINT_URL": sqs_server.url, "AWS_DEFAULT_REGION": "eu-west-2"}
    urls |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    store = open_store(mongo_url, prefix)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**urls, "SV_MONGO_URL": mongo_url, "SV_MONGO_PREFIX": prefix}.items():
            patch.setenv(name, value)
        seed(local, urls, people=30, until=dt.date(2026, 11, 20))
        yield TinyEstate(local, urls, store)
    for database in store.databases():
        store.client.drop_database(database.name)
    store.close()
