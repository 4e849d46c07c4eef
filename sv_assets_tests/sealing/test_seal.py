"""Values sealed under the key of their customer: as libmongocrypt does it, for that customer only, and gone with the key."""

import base64
import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import bson
import pytest
from bson import Binary, CodecOptions, Decimal128, Int64
from bson.raw_bson import RawBSONDocument
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.encryption import ClientEncryption

from sv_assets import sealing
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import CODEC, Document, Store
from sv_assets.sealing import SHREDDED, aead, keys, master
from sv_assets.sealing.cipher import KEPT_SECONDS, Cipher
from sv_assets.sealing.declaration import Declaration
from sv_assets.sealing.seal import UNREADABLE

MASTER = bytes(range(96))
OTHER = bytes(reversed(range(96)))
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.timezone.utc)


def listed(**by_id: bytes) -> str:
    return ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in by_id.items())


def flag(owner: str, what: str) -> Document:
    return {"_id": f"r-{owner}", "customer_id": owner, "flag": what, "since": NOW, "until": None}


def sealed_flags(store: Store, *flags: Document) -> list[Document]:
    return sealing.seal(store, "single_view.flags", flags, [one["customer_id"] for one in flags])


@settings(max_examples=60, deadline=None)
@given(
    st.text()
    | st.integers(-(2**63), 2**63 - 1)
    | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))
    | st.booleans()
    | st.lists(st.text() | st.none(), max_size=3)
)
def test_a_value_comes_out_as_it_went_in_and_the_same_gives_the_same(value: Any) -> None:
    cipher, again = Cipher({"t": MASTER}), Cipher({"t": MASTER})
    key = cipher.made_key(uuid4(), "t")
    sealed = cipher.sealed(key, value)
    assert again.sealed(key, value) == sealed
    kept = bson.decode(bson.encode({"v": value}, codec_options=CODEC), codec_options=CODEC)["v"]
    opened = again.opened(key, sealed)
    assert (opened, type(opened)) == (kept, type(kept))


@pytest.mark.parametrize("value", [Decimal128("1.50"), 1.5, {"a": [1, None]}, Int64(7), Binary(b"x", 5)], ids=str)
def test_what_mongodb_does_not_take_is_sealed_as_well(value: Any) -> None:
    cipher = Cipher({"t": MASTER})
    key = cipher.made_key(uuid4(), "t")
    opened = cipher.opened(key, cipher.sealed(key, value))
    assert (opened, type(opened)) == (value, type(value))


def test_more_keys_than_are_held_at_once_open_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sv_assets.sealing.cipher.MOST_KEYS", 3)
    cipher = Cipher({"t": MASTER})
    sealed = [(n, key, cipher.sealed(key, n)) for n in range(8) for key in [cipher.made_key(uuid4(), "t")]]
    assert [cipher.opened(key, value) for _, key, value in sealed] == list(range(8))


def test_an_unwrapped_key_is_let_go_of_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    unwrapped = []

    def opened(key: bytes, associated: bytes, sealed: bytes) -> bytes:
        unwrapped.append(key == MASTER)
        return aead_opened(key, associated, sealed)

    moment, aead_opened = [0.0], aead.opened
    monkeypatch.setattr("sv_assets.sealing.cipher.time.monotonic", lambda: moment[0])
    monkeypatch.setattr(aead, "opened", opened)
    cipher = Cipher({"t": MASTER})
    key = cipher.made_key(uuid4(), "t")
    sealed = cipher.sealed(key, "Jane")
    for moment[0], times in (
        (KEPT_SECONDS - 1, 0),
        (KEPT_SECONDS, 1),
        (2 * KEPT_SECONDS - 1, 1),
        (2 * KEPT_SECONDS, 2),
    ):
        assert cipher.opened(key, sealed) == "Jane"
        assert sum(unwrapped) == times


def test_a_driver_of_mongodb_opens_our_values_with_our_key_vault(store: Store) -> None:
    (document,) = sealed_flags(store, flag("C1", "bereaved"))
    key = master.masters(store)
    provider = {f"local:{key.current}": {"key": key.secrets[key.current]}}
    with ClientEncryption(provider, f"{store.control.name}.customer_keys", store.client, CODEC) as driver:
        assert driver.decrypt(document["flag"]) == "bereaved"
        assert driver.decrypt(document["since"]) == NOW
        by_name = driver.encrypt("bereaved", "AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic", key_alt_name="C1")
    assert by_name == document["flag"], "the customer id names the key"


def test_one_customer_says_the_same_with_the_same_bytes_and_two_with_others(store: Store) -> None:
    one, again, other = sealed_flags(store, flag("C1", "bereaved"), flag("C1", "bereaved"), flag("C2", "bereaved"))
    assert one == again
    assert one["flag"] != other["flag"]
    assert one["until"] is None
    assert sealed_flags(store, one) == [one], "what is sealed stays as it is"
    assert sealing.opened(store, [one, other]) == [flag("C1", "bereaved"), flag("C2", "bereaved")]
    assert store.control["customer_keys"].count_documents({}) == 2


def test_runs_that_make_a_key_at_the_same_time_make_one(store: Store) -> None:
    keys.ensure_prepared(store)
    rings = [keys.Keyring(store, master.masters(store)) for _ in range(4)]
    owners = [f"C{n}" for n in range(30)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda ring: ring.of_owners(owners), rings))
    assert all(one == found[0] for one in found)
    assert store.control["customer_keys"].count_documents({}) == 30


def test_what_was_shredded_stays_shut_and_gets_no_key_again_and_others_are_opened(store: Store) -> None:
    mine, hers = sealed_flags(store, flag("C1", "bereaved"), flag("C2", "vulnerable"))
    assert keys.shred(store, ["C1", "C9"], "e-1", NOW) == 1
    assert keys.shred(store, ["C1", "C9"], "e-1", NOW) == 0, "repeated it changes nothing"
    found = sealing.opened(store, [mine, hers])
    assert [one["flag"] for one in found] == [SHREDDED, "vulnerable"]
    for owner in ("C1", "C9"):
        (again,) = sealed_flags(store, flag(owner, "bereaved"))
        assert again["flag"] != mine["flag"]
        assert sealing.opened(store, again)["flag"] == SHREDDED
    assert keys.status(store) == keys.Status({"t1": 1}, 2)
    assert all("keyAltNames" not in d for d in store.control["customer_keys"].find({"shredded_at": NOW}))


def test_a_changed_value_opens_as_a_marker_and_does_not_stop_the_others(store: Store) -> None:
    mine, hers = sealed_flags(store, flag("C1", "bereaved"), flag("C2", "vulnerable"))
    *kept, last = mine["flag"]
    mine["flag"] = Binary(bytes((*kept, last ^ 1)), 6)
    assert [one["flag"] for one in sealing.opened(store, [mine, hers])] == [UNREADABLE, "vulnerable"]


def test_keys_are_put_under_a_new_master_key_and_the_old_one_may_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(master.VARIABLE, listed(k1=MASTER))
    flags = sealed_flags(store, *(flag(f"C{n}", "ill") for n in range(5)))
    keys.shred(store, ["C4"], "e-1", NOW)
    monkeypatch.setenv(master.VARIABLE, listed(k2=OTHER, k1=MASTER))
    assert sum(keys.keyring(store).rewrapped()) == 4
    assert sum(keys.keyring(store).rewrapped()) == 0
    assert keys.status(store) == keys.Status({"k2": 4}, 1)
    monkeypatch.setenv(master.VARIABLE, listed(k2=OTHER))
    assert [one["flag"] for one in sealing.opened(store, flags)] == ["ill"] * 4 + [SHREDDED]
    monkeypatch.setenv(master.VARIABLE, listed(k3=OTHER))
    with pytest.raises(ConfigurationError, match="master key k2, which is not configured"):
        sealing.opened(store, flags)
    monkeypatch.setenv(master.VARIABLE, listed(k2=MASTER))
    with pytest.raises(ConfigurationError, match="does not open"):
        sealing.opened(store, flags)


def test_questions_are_asked_under_every_master_key_while_one_is_rotated(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds, key = frozenset({"name_born"}), "name_born:jane smith 1980-03-07"
    monkeypatch.setenv(master.VARIABLE, listed(k1=MASTER))
    (kept,) = sealing.hashed_keys(store, kinds)([key])
    assert kept.startswith("name_born:k1.") and "jane" not in kept and "1980" not in kept
    assert sealing.hashed_keys(store, kinds)([kept, "email:a@x.com"]) == [kept, "email:a@x.com"]
    before = sealing.version(store)
    monkeypatch.setenv(master.VARIABLE, listed(k2=OTHER, k1=MASTER))
    assert sealing.asked_as(store, key, kinds)[1] == kept
    assert sealing.asked_as(store, "email:a@x.com", kinds) == ["email:a@x.com"]
    assert sealing.version(store) != before, "customers are composed again, under the new secret"


def test_without_a_master_key_nothing_is_sealed_and_the_next_step_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delenv(master.VARIABLE)
    monkeypatch.setenv("SV_LOCAL_DIR", str(tmp_path))
    first = master.masters(store)
    assert master.masters(store) == first, "the embedded estate makes its own, once"
    assert (tmp_path / "encryption.key").stat().st_mode & 0o077 == 0
    (tmp_path / "encryption.key").unlink()
    monkeypatch.setenv("SV_MONGO_URL", "mongodb+srv://cluster.example.net/")
    with pytest.raises(ConfigurationError, match="Set SV_ENCRYPTION_KEY to"):
        sealed_flags(store, flag("C1", "ill"))
    monkeypatch.setenv(master.SWITCH, "off")
    assert sealed_flags(store, flag("C1", "ill")) == [flag("C1", "ill")]
    monkeypatch.setenv(master.SWITCH, "perhaps")
    with pytest.raises(ConfigurationError, match="on or off"):
        sealed_flags(store, flag("C1", "ill"))


@pytest.mark.parametrize("text", ["k1", "k1:zz", "k1:AAAA", f"{listed(k1=MASTER)},{listed(k1=OTHER)}", "a b:x"])
def test_a_wrong_master_key_is_refused_without_telling_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not <id>:<base64 of 96 bytes>") as caught:
        master.parse(text)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("collections", "says"),
    [
        ({"single_view.orders": {"total": "x"}}, "single_view.orders cannot be sealed"),
        ({"single_view.customers": {"consents.granted": "x"}}, "has to stay in the clear"),
        ({"single_view.customers": {"email.value": "x"}}, "seal both"),
        ({"single_view.corrections": {"says": "x", "says.name": "y"}}, "sealed already"),
        ({"single_view.flags": {"flag": ""}}, "at least 1 character"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused(collections: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Declaration(collections=collections)


def test_what_lies_in_the_database_holds_no_value(store: Store) -> None:
    store.single_view["flags"].insert_many(sealed_flags(store, flag("C1", "bereaved")))
    raw = store.single_view["flags"].with_options(codec_options=CodecOptions(document_class=RawBSONDocument))
    assert all(b"bereaved" not in d.raw for d in raw.find({}))
