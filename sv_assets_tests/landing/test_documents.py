"""What is put together by hand is what the encoder would have made."""

import datetime as dt
from typing import Any

import bson
from bson import Decimal128, Int64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.landing.documents import Origin, element, encoded_fields, landing_document
from sv_assets.mongo import CODEC
from sv_assets.sources.records import Record
from sv_assets_tests.sources.shop import Shop

KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.binary(), st.uuids(), st.booleans(),
    st.integers(-(2**63), 2**63 - 1).map(Int64), st.integers(-(2**31), 2**31 - 1), st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9).map(Decimal128),
)  # fmt: skip


@given(st.lists(st.dictionaries(st.text("abc", min_size=1), KEYS), max_size=120))
def test_fields_encoded_together_are_those_encoded_one_by_one(documents: list[dict[str, Any]]) -> None:
    found = encoded_fields([Record(n, str(n), fields, 1) for n, fields in enumerate(documents)])
    assert found == [bson.encode(fields, codec_options=CODEC)[4:-1] for fields in documents]


def test_one_that_cannot_be_encoded_leaves_all_to_be_tried_alone() -> None:
    assert encoded_fields([Record(1, "1", {"A": 1}, 1), Record(2, "2", {"A": "\ud800"}, 1)]) == [None, None]


@given(st.text("abc_", min_size=1), KEYS)
def test_an_element_is_what_the_encoder_makes(name: str, value: Any) -> None:
    assert element(name, value) == bson.encode({name: value}, codec_options=CODEC)[4:-1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(KEYS, st.one_of(st.text("0123456789"), st.integers(0, 2**62), st.binary(min_size=8, max_size=25)))
def test_a_landing_document_is_valid_bson_with_its_key_first(shop: Shop, key: Any, version: Any) -> None:
    source = shop.declare(rest=["feeds: {party: {email: Name}}"])
    origin = Origin(source, "run", dt.datetime(2026, 11, 24, 1, 2, 3, 4567, tzinfo=dt.timezone.utc))
    record = Record(key, "", {"Id": 1, "Name": "näme"}, version, {"exact": {"Id": "1"}}, None, "folded")
    found = bson.decode(landing_document(origin, record).raw.raw, codec_options=CODEC)
    assert list(found) == ["_id", "Id", "Name", "_sv"]
    assert (found["_id"], found["Id"], found["Name"]) == (key, 1, "näme")
    assert {name: value for name, value in found["_sv"].items() if name != "hash"} == {
        "system": "shop", "table": "dbo.Item", "op": "upsert", "run_id": "run", "deleted": False, "pending": ["identity"],
        "extracted_at": dt.datetime(2026, 11, 24, 1, 2, 3, 4000, tzinfo=dt.timezone.utc), "version": version,
        "exact": {"Id": "1"}, "key": "folded",
    }  # fmt: skip
