"""The keys that have landed and are gone from the source: all of them, none other, in files that a test makes small."""

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from bson import Decimal128, Int64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.landing import missing_keys
from sv_assets.landing.missing_keys import MissingKeys

KEYS = st.one_of(
    st.integers(-5, 5).map(Int64),
    st.sampled_from(["1", "-1", "", "a", "A", "a ", '[1,"a"]']),
    st.integers(0, 3).map(lambda n: uuid.UUID(int=n)),
    st.integers(0, 3).map(lambda n: Decimal128(f"{n}.00")),
    st.integers(0, 3).map(lambda n: dt.datetime(2024, 1, 1 + n, tzinfo=dt.timezone.utc)),
    st.binary(max_size=1),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(landed=st.lists(KEYS, unique_by=repr), source=st.lists(KEYS, unique_by=repr))
def test_missing_keys_are_those_of_landing_that_the_source_has_no_more(
    landed: list[Any], source: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing_keys, "KEYS_A_FILE", 3)
    with MissingKeys(landed, source, len(landed)) as missing:
        found = [repr(key) for key in missing]
        again = [repr(key) for key in missing]
    expected = {repr(key) for key in landed} - {repr(key) for key in source}
    assert sorted(found) == sorted(expected)
    assert again == found, "they are counted first, and marked after"


def test_landed_keys_are_read_to_their_end_before_the_source_is_begun() -> None:
    """So a row that appears in between is in the source's keys, and is not taken for a deleted one."""
    events: list[str] = []

    def keys(name: str) -> Iterator[int]:
        for number in range(2):
            events.append(name)
            yield number

    with MissingKeys(keys("landed"), keys("source"), 2) as missing:
        assert list(missing) == []
    assert events == ["landed", "landed", "source", "source"]
