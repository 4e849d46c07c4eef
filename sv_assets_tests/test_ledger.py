"""The ledger of erased people: keyed hashes that say nothing, read under every key that ever wrote them."""

import datetime as dt
import hmac
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets import ledger
from sv_assets.errors import ConfigurationError
from sv_assets.ledger import (
    Erased,
    Policy,
    contact_trace,
    contacts_in,
    email_contact,
    name_forms,
    open_ledger,
    phone_contact,
    record_trace,
    take_in,
    write,
)
from sv_assets.mongo import Store
from sv_assets_tests.examples import examples

AT = dt.datetime(2026, 11, 1, tzinfo=dt.timezone.utc)
OLD, NEW = "k1:" + "11" * 32, "k2:" + "22" * 32


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Jane.Smith+shop@Example.org", {"e:jane.smith@example.org"}),
        ("j.a.n.e+x@googlemail.com", {"e:jane@gmail.com"}),
        ("ring 07700 900123 or +44 (0)7700 900 999", {"p:700900123", "p:700900999"}),
        ("<jane@x.org>; seen 2026-03-03 10:00:00", {"e:jane@x.org"}),
        ("order 3001 of 12.50", set()),
        ("", set()),
    ],
)
def test_spellings_of_a_contact_meet(text: str, found: set[str]) -> None:
    assert contacts_in(text) == found


@given(st.text(max_size=300))
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_can_be_looked_at(text: str) -> None:
    assert email_contact(text) == phone_contact(text) == contacts_in(text)
    name_forms(text, text, text)


@pytest.mark.parametrize(
    "text",
    [
        "07700 900123",
        "+44 7700 900123",
        "(01904) 960123",
        "447700900123",
        "12",
        "0044 7700 900123",
        "a@b.org",
        "A.b+c@Gmail.com",
        "a@b",
        "07700 900123 (mum)",
    ],
)
def test_the_fast_ways_say_the_same(text: str) -> None:
    assert email_contact(text) == phone_contact(text) == contacts_in(text)


def test_names_are_told_apart_as_far_as_they_say(store: Store) -> None:
    assert name_forms("Jane", "Smith") == name_forms(None, None, "Mrs Jane Smith") == {"jane|smith", "j|smith"}
    assert name_forms("J", "Smith") == {"j|smith"}
    assert name_forms(None, "", None) == set()


def test_entries_say_nothing_and_are_read_after_the_key_was_rotated(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane, mary, other = (
        record_trace("crm.customer", "1001"),
        contact_trace("e:mary@x.org"),
        record_trace("crm.customer", "1002"),
    )
    assert open_ledger(store) is None
    monkeypatch.setenv("SV_ERASURE_KEY", OLD)
    write(store, "e-1", AT, [Erased(jane, "crm.customer")], Policy({}, 0))
    monkeypatch.setenv("SV_ERASURE_KEY", f"{NEW},{OLD}")
    write(store, "e-2", AT, [Erased(mary)], Policy({}, 0))
    said = repr(list(store.control["erased"].find({})))
    assert "1001" not in said and "mary" not in said
    opened = open_ledger(store)
    assert opened is not None
    assert set(opened.entries([jane, mary, other])) == {jane, mary}
    assert write(store, "e-2", AT, [Erased(mary)], Policy({}, 0)) == 0, "safe to repeat"
    monkeypatch.setenv("SV_ERASURE_KEY", NEW)
    ledger._CACHE.clear()
    with pytest.raises(ConfigurationError, match="lacks the key k1"):
        open_ledger(store)


def test_who_is_erased_once_more_is_known_as_of_the_last_time_under_whichever_key(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail, key = contact_trace("e:jane@x.org"), record_trace("shop.member", "jane@x.org")
    erased = [Erased(mail), Erased(key, "shop.member", natural=True)]
    later, last = (AT + dt.timedelta(days=n) for n in (30, 60))

    def known() -> set[dt.datetime]:
        opened = open_ledger(store)
        assert opened is not None
        return {entry.at for entry in opened.entries([mail, key]).values()}

    monkeypatch.setenv("SV_ERASURE_KEY", OLD)
    write(store, "e-1", AT, erased, Policy({}, 0))
    write(store, "e-2", later, erased, Policy({}, 0))
    assert known() == {later}
    write(store, "e-1", AT, erased, Policy({}, 0))
    assert known() == {later}, "an older copy takes nothing back"
    monkeypatch.setenv("SV_ERASURE_KEY", f"{NEW},{OLD}")
    write(store, "e-3", last, erased, Policy({}, 0))
    assert known() == {last}


def test_without_its_secret_nothing_is_asked_in_vain(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SV_ERASURE_KEY", OLD)
    monkeypatch.setenv("SV_ERASURE_LEDGER", str(tmp_path / "copy.jsonl"))
    write(store, "e-1", AT, [Erased(record_trace("crm.customer", "1001"))], Policy({"order": ["number"]}, 10))
    for name in ("erased", "erasure_ledger"):
        store.control[name].drop()
    assert open_ledger(store) is None
    assert take_in(store, tmp_path / "copy.jsonl") == 1
    restored = open_ledger(store)
    assert restored is not None and restored.policy == Policy({"order": ["number"]}, 10)
    monkeypatch.delenv("SV_ERASURE_KEY")
    monkeypatch.setenv("SV_LOCAL_DIR", str(tmp_path / "nothing"))
    ledger._CACHE.clear()
    with pytest.raises(ConfigurationError, match="SV_ERASURE_KEY is not set"):
        open_ledger(store)


@pytest.mark.parametrize("text", ["k1", "k1:zz", "k1:1234", "k 1:" + "11" * 32, f"{OLD},{OLD}"])
def test_a_secret_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SV_ERASURE_KEY is not"):
        ledger.parse_keys(text)


@given(st.binary(min_size=16, max_size=100), st.lists(st.binary(max_size=50), max_size=5))
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_fast_hash_is_hmac(secret: bytes, messages: list[bytes]) -> None:
    assert list(ledger._heads(secret, messages)) == [hmac.digest(secret, m, "sha256")[:8] for m in messages]
