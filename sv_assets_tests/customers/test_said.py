"""What customers said themselves, and had put right, goes with them through merges and what undoes them."""

import pytest

from sv_assets.access import Actor
from sv_assets.identity.customer_ids import ids_of
from sv_assets.identity.decisions import merge, undo
from sv_assets.mongo import Document
from sv_assets.privacy.rights import consents, objects, rectify, said_by
from sv_assets_tests.retailer import Retailer

STEWARD = Actor("sam", "data_steward", "rectification")
WHO = {"actor": "Ann", "evidence": "letter"}
RECORDS = ("crm.customer:1", "crm.customer:2")


def of_record(shop: Retailer, record: str) -> Document:
    return shop.customers()[shop.customer_ids()[record]]


@pytest.mark.parametrize("speaks", RECORDS)
def test_what_somebody_said_before_a_merge_is_theirs_again_when_it_is_undone(shop: Retailer, speaks: str) -> None:
    (other,) = set(RECORDS) - {speaks}
    before = shop.customer_ids()[speaks]
    rectify(shop.store, before, "name", {"first": "June", "last": "Doe"}, **WHO)
    objects(shop.store, before, "marketing", **WHO)
    consents(shop.store, before, "marketing", "email", False, **WHO)
    for _ in range(2):
        decision = merge(shop.store, *RECORDS, actor="jo", reason="one person")
        shop.run()
        one = shop.the_customer()
        assert (one["name"]["rule"], one["rights"]["objections"]) == ("rectified", ["marketing"])
        assert [c["granted"] for c in one["consents"]] == [False]
        undo(shop.store, decision["_id"], actor="jo", reason="two after all")
        shop.run()
        theirs, others = of_record(shop, speaks), of_record(shop, other)
        assert (theirs["name"]["value"]["last"], theirs["rights"]["objections"]) == ("Doe", ["marketing"])
        assert [c["granted"] for c in theirs["consents"]] == [False]
        assert others["name"]["value"]["last"] != "Doe"
        assert ("rights" in others, others["consents"]) == (False, [])
    assert [len(said_by(shop.store, one["_id"], actor=STEWARD)) for one in (theirs, others)] == [3, 0]
    assert before in ids_of(shop.store, [theirs["_id"]])
    assert before not in ids_of(shop.store, [others["_id"]])
