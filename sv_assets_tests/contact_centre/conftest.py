"""What the tests of the contact centre have in common."""

import pytest

from sv_assets.mongo import Store
from sv_assets_tests.retailer import Retailer, day


@pytest.fixture
def shop(store: Store) -> Retailer:
    """Jane and Peter, composed once."""
    shop = Retailer(store)
    shop.customer(1, "Jane", "Smith", Email="jane@x.com", ModifiedAt=day(1))
    shop.customer(2, "Peter", "Jones", Email="home@x.com", ModifiedAt=day(1))
    shop.run()
    return shop
