"""The sealing of values, held against the published test case and against libmongocrypt, byte for byte."""

import datetime as dt
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import bson
import pytest
from bson import Binary, Int64, ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongocrypt.explicit_encrypter import ExplicitEncrypter
from pymongocrypt.options import MongoCryptOptions
from pymongocrypt.synchronous.state_machine import MongoCryptCallback

from sv_assets.mongo import CODEC, Document
from sv_assets.sealing import aead
from sv_assets.sealing.aead import CannotOpen
from sv_assets.sealing.cipher import Cipher, provider_of

MASTER = bytes(range(96))
DETERMINISTIC = "AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic"
RANDOM = "AEAD_AES_256_CBC_HMAC_SHA_512-Random"
VALUES = (
    st.text()
    | st.integers(-(2**63), 2**63 - 1)
    | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))
    | st.uuids()
    | st.builds(Int64, st.integers(-5, 5))
    | st.binary(min_size=12, max_size=12).map(ObjectId)
)


class Reference(MongoCryptCallback):
    """libmongocrypt with one master key, and a key vault in memory."""

    def __init__(self) -> None:
        self.vault: dict[UUID, Document] = {}
        self.encrypter = ExplicitEncrypter(self, MongoCryptOptions({provider_of("t"): {"key": MASTER}}))

    def made_key(self) -> Document:
        self.encrypter.create_data_key(provider_of("t"))
        return next(reversed(self.vault.values()))

    def sealed(self, key: Document, value: Any, algorithm: str = DETERMINISTIC) -> Binary:
        self.vault[key["_id"]] = key
        plain = bson.encode({"v": value}, codec_options=CODEC)
        answer = self.encrypter.encrypt(plain, algorithm, key_id=key["_id"].bytes)
        found: Binary = bson.decode(answer, codec_options=CODEC)["v"]
        return found

    def opened(self, key: Document, sealed: Binary) -> Any:
        self.vault[key["_id"]] = key
        return bson.decode(self.encrypter.decrypt(bson.encode({"v": sealed})), codec_options=CODEC)["v"]

    def fetch_keys(self, filter: bytes) -> Iterator[bytes]:
        asked = bson.decode(filter, codec_options=CODEC)
        wanted = (asked["$or"][0] if "$or" in asked else asked)["_id"]["$in"]
        return (bson.encode(self.vault[key], codec_options=CODEC) for key in wanted)

    def insert_data_key(self, data_key: bytes) -> None:
        key = bson.decode(data_key, codec_options=CODEC)
        key["_id"] = UUID(int=len(self.vault))
        self.vault[key["_id"]] = key

    def bson_encode(self, doc: Any) -> bytes:
        return bson.encode(doc, codec_options=CODEC)

    def kms_request(self, kms_context: Any) -> None:
        raise AssertionError("the master key is here")

    def collection_info(self, database: Any, filter: Any) -> None:
        raise AssertionError("values are given one by one")

    def mark_command(self, database: Any, cmd: Any) -> None:
        raise AssertionError("values are given one by one")

    def close(self) -> None:
        pass


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_values_are_sealed_to_the_bytes_of_libmongocrypt_whoever_made_the_key(values: list[Any]) -> None:
    ours, reference = Cipher({"t": MASTER}), Reference()
    for key in (reference.made_key(), ours.made_key(uuid4(), "t")):
        for value in values:
            sealed = ours.sealed(key, value)
            assert sealed == reference.sealed(key, value)
            kept = bson.decode(bson.encode({"v": value}, codec_options=CODEC), codec_options=CODEC)["v"]
            for shut in (sealed, reference.sealed(key, value, RANDOM)):
                assert ours.opened(key, shut) == reference.opened(key, shut) == kept


def test_a_key_that_is_wrapped_anew_opens_in_libmongocrypt_what_it_sealed_before() -> None:
    reference, other = Reference(), bytes(reversed(MASTER))
    before = Cipher({"t": MASTER, "u": other})
    key = before.made_key(uuid4(), "u")
    sealed = before.sealed(key, "Jane")
    again = key | before.rewrapped(key, "t")
    assert reference.opened(again, sealed) == "Jane"
    with pytest.raises(CannotOpen):
        Cipher({"u": MASTER}).opened(key, sealed)
    with pytest.raises(CannotOpen):
        Cipher({"t": MASTER}).sealed(key, "Jane")


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=96, max_size=96), st.binary(max_size=40), st.binary(max_size=100), st.data())
def test_what_was_changed_anywhere_does_not_open(
    key: bytes, associated: bytes, plain: bytes, data: st.DataObject
) -> None:
    sealed = aead.sealed(key, associated, plain)
    assert aead.opened(key, associated, sealed) == plain
    place = data.draw(st.integers(0, len(sealed) - 1))
    flipped = bytes((*sealed[:place], sealed[place] ^ data.draw(st.integers(1, 255)), *sealed[place + 1 :]))
    for other in (flipped, sealed[:place], sealed + b"\0"):
        with pytest.raises(CannotOpen):
            aead.opened(key, associated, other)
    with pytest.raises(CannotOpen):
        aead.opened(key, associated + b"\0", sealed)


def test_the_published_case_comes_out_to_the_byte() -> None:
    """RFC 7518, B.3: A256CBC-HS512."""
    key = bytes(range(64)) + bytes(32)
    plain = (
        b"A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy "
        b"without inconvenience"
    )
    associated = b"The second principle of Auguste Kerckhoffs"
    iv = bytes.fromhex("1af38c2dc2b96ffdd86694092341bc04")
    shut = bytes.fromhex(
        "4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd822c301dd67c373bccb584ad3e9279c2e6d12a1374b77f07"
        "7553df829410446b36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3a3b75e662a2594410ae496b2e2e6609e"
        "31e6e02cc837f053d21f37ff4f51950bbe2638d09dd7a4930930806d0703b1f6"
    )
    tag = bytes.fromhex("4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5")
    assert aead.sealed(key, associated, plain, iv) == iv + shut + tag
    assert aead.opened(key, associated, iv + shut + tag) == plain
