"""Jane and Peter, as the tests of the customer collection have them."""

from sv_assets_tests.customers.conftest import shop

__all__ = ["shop"]
