"""What the tests of privacy have in common."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sv_assets.mongo import Document, Store, open_store
from sv_assets_tests.privacy.jane import Estate


@dataclass(frozen=True)
class Filled:
    """Everybody, landed and composed once: what every collection held then, and what had been landed."""

    collections: dict[tuple[str, str], list[Document]]
    landed: list[Any]
    messages: list[Any]
    number: int


@pytest.fixture(scope="session")
def filled(mongo_url: str) -> Iterator[Filled]:
    store = open_store(mongo_url, f"t{uuid.uuid4().hex[:8]}_")
    estate = Estate(store).fill()
    held = {
        (database.name.removeprefix(store.prefix), name): list(database[name].find({}))
        for database in store.databases()
        for name in database.list_collection_names()
    }
    yield Filled(held, estate.landed, estate.messages, estate.number)
    for database in store.databases():
        store.client.drop_database(database.name)
    store.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An estate folder of the test's own."""
    monkeypatch.setenv("SV_LOCAL_DIR", str(tmp_path / "estate"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (tmp_path / "estate").mkdir()
    return tmp_path / "estate"


@pytest.fixture
def estate(store: Store, folder: Path, filled: Filled) -> Estate:
    """Everybody, in a store of the test's own."""
    estate = Estate(store)
    for (database, name), documents in filled.collections.items():
        if documents:
            getattr(store, database)[name].insert_many(documents)
    estate.landed, estate.messages, estate.number = list(filled.landed), list(filled.messages), filled.number
    return estate
