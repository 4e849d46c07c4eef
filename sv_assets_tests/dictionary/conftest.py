"""A legacy database of a test's own."""

import pytest

from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.sources.shop import Shop


@pytest.fixture
def shop(catalogued: Catalogued) -> Shop:
    return Shop(catalogued)
