"""`sv customer` and `sv find` on the terminal: whatever stands in the data, and whatever is typed."""

from collections.abc import Callable

import pytest

from sv_assets_tests.command_line import run_sv
from sv_assets_tests.retailer import Retailer, day

OFFICER = ("--as", "privacy_officer", "--purpose", "audit", "--reason", "T-1")


@pytest.fixture
def sv(shop: Retailer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("SV_MONGO_URL", shop.store.url)
    monkeypatch.setenv("SV_MONGO_PREFIX", shop.store.prefix)

    def run(*arguments: str) -> tuple[int, str, str]:
        ended = run_sv(*arguments, *OFFICER)
        return ended.returncode, ended.stdout, ended.stderr

    return run


def test_markup_in_keys_and_currencies_is_shown_as_it_is(
    shop: Retailer, sv: Callable[..., tuple[int, str, str]]
) -> None:
    account = {"id": "[/x][red]", "first_name": "Ann", "last_name": "[/b]", "email": "ann@x.com"}
    shop.land("web.web_account_events", {"account": account, "version": 1, "preferences": {"email": True}})
    guest = {"GuestFirstName": "Ann", "GuestLastName": "[/b]", "GuestEmail": "ann@x.com"}
    shop.order(1, **guest, CurrencyCode="[/]", GrandTotal=5, OrderDate=day(1))
    shop.run()
    ann = shop.customer_ids()["web.web_account_events:[/x][red]"]
    code, shown, _ = sv("customer", "show", ann)
    assert code == 0
    assert "[/x][red]" in shown and "5.00 [/] less" in shown
    assert sv("find", "--email", "ann@x.com")[0] == 0
    code, card, _ = sv("card", ann)
    assert code == 0 and "5.00 [/]" in card
    shop.order(1, **guest, CurrencyCode="GBP", GrandTotal=5, OrderDate=day(1))
    shop.run()
    assert sv("customer", "history", ann)[0] == 0


TYPED = {
    ("customer", "show", "C0", "--as-of", "9999-12-31"): 1,
    ("customer", "show", "C0", "--as-of", "0001-01-01"): 1,
    ("customer", "show", "C0", "--as-of", "2026-02-30"): 2,
    ("customer", "show", "\udcff"): 2,
    ("customer", "history", "\udcff"): 2,
    ("find", "--customer", "\udcff"): 2,
    ("find", "--order", "*"): 2,
    ("find", "--email", ""): 2,
    ("find", "--name", ".*", "--town", "$where"): 2,
    ("find", "--account", "{'$gt': ''}"): 1,
    ("find", "--phone", "9" * 100_000): 1,
    ("find", "--postcode", "SW1A 1AA", "--house", "x" * 100_000): 1,
}
"""By what is typed, the exit code."""


def test_whatever_is_typed_is_answered_in_a_sentence(sv: Callable[..., tuple[int, str, str]]) -> None:
    ended = {typed: sv(*typed) for typed in TYPED}
    assert {typed: code for typed, (code, _, _) in ended.items()} == TYPED
    assert all(shown or complaint for _, shown, complaint in ended.values())
