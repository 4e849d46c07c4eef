"""What the tests of privacy have in common."""

from pathlib import Path

import pytest

from sv_assets.mongo import Store
from sv_assets_tests.privacy.jane import Estate


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An estate folder of the test's own."""
    monkeypatch.setenv("SV_LOCAL_DIR", str(tmp_path / "estate"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (tmp_path / "estate").mkdir()
    return tmp_path / "estate"


@pytest.fixture
def estate(store: Store, folder: Path) -> Estate:
    """Everybody, landed and composed once."""
    return Estate(store).fill()
