"""Sealed values and wrapped keys as MongoDB's Client-Side Field Level Encryption lays them out.

Source: MongoDB's client-side-encryption specification (BSON binary subtype 6; key vault). Any driver with libmongocrypt opens these
values with these keys, byte for byte the same as its own: the tests hold one against the other. libmongocrypt itself is not asked,
for its wheel calls back into Python for every primitive: measured in one run, some 440 µs to make a key and seal a first value
with it where this takes 80, and 260 to open one where this takes 50.

| bytes of a sealed value | what it is                                               |
|-------------------------|----------------------------------------------------------|
| first                   | 1: deterministic, 2: random                              |
| next 16                 | the id of the key                                        |
| next                    | the BSON type of the value                               |
| rest                    | the value as BSON, sealed (`aead`); these 18 vouched for |
"""

import datetime as dt
import os
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import bson
from bson import Binary, ObjectId

from sv_assets.mongo import CODEC, Document, now_in_milliseconds
from sv_assets.sealing import aead
from sv_assets.sealing.aead import CannotOpen
from sv_assets.sealing.values import DETERMINISTIC, HEAD, SUBTYPE

MOST_KEYS = 1_000
"""So many unwrapped keys are held at once; to unwrap one takes some 25 µs."""
KEPT_SECONDS = 60
"""So long a key stays in the memory of a process, and so long after shredding another process may still open with it."""
PACKED = 0x91
"""Binary subtype of what deterministic encryption does not take (objects, lists, true and false, decimals): encoded to bytes."""
_AS_THEY_ARE = (str, int, dt.datetime, UUID, ObjectId)
_TYPE, _VALUE, _END = 4, 6, b"\0"
"""Where the type and the value stand in a BSON document of one field without a name, and what ends it."""


class Cipher:
    """Seals and opens with data keys that lie wrapped by these master keys (by id; 96 bytes each)."""

    def __init__(self, masters: Mapping[str, bytes]) -> None:
        self._masters = {provider_of(identifier): master for identifier, master in masters.items()}
        self._unwrapped: dict[bytes, bytes] = {}
        self.forget()

    def made_key(self, identifier: UUID, master: str) -> Document:
        """A new data key, wrapped: a document as key vaults hold it."""
        now = now_in_milliseconds()
        material = os.urandom(aead.KEY_BYTES)
        key = {
            "_id": identifier,
            "creationDate": now,
            "updateDate": now,
            "status": 0,
            **self._wrapped(material, master),
        }
        self._hold(key["keyMaterial"], material)  # a key is made for a value that is sealed at once
        return key

    def rewrapped(self, key: Document, master: str) -> Document:
        """The fields that change where this key is wrapped by that master key. Raises CannotOpen."""
        return self._wrapped(self._material(key), master)

    def sealed(self, key: Document, value: Any) -> Binary:
        """The value under this data key: binary of subtype 6; the same each time. Raises CannotOpen where the key does not open."""
        if isinstance(value, bool) or not isinstance(value, _AS_THEY_ARE):
            value = Binary(bson.encode({"": value}, codec_options=CODEC), PACKED)
        plain = bson.encode({"": value}, codec_options=CODEC)
        head = bytes((DETERMINISTIC, *key["_id"].bytes, plain[_TYPE]))
        return Binary(head + aead.sealed(self._material(key), head, plain[_VALUE:-1]), SUBTYPE)

    def opened(self, key: Document, sealed: Binary) -> Any:
        """What was sealed. Raises CannotOpen."""
        head, shut = bytes(sealed[:HEAD]), bytes(sealed[HEAD:])
        plain = aead.opened(self._material(key), head, shut)
        length = _VALUE + len(plain) + len(_END)
        document = length.to_bytes(4, "little") + head[-1:] + _END + plain + _END
        value = bson.decode(document, codec_options=CODEC)[""]
        if type(value) is Binary and value.subtype == PACKED:
            return bson.decode(value, codec_options=CODEC)[""]
        return value

    def forget(self) -> None:
        """Let go of all keys."""
        self._unwrapped.clear()
        self._until = time.monotonic() + KEPT_SECONDS

    def _wrapped(self, material: bytes, master: str) -> Document:
        provider = provider_of(master)
        wrapped = aead.sealed(self._masters[provider], b"", material, iv=os.urandom(aead.IV_BYTES))
        return {"keyMaterial": wrapped, "masterKey": {"provider": provider}}

    def _material(self, key: Document) -> bytes:
        if time.monotonic() >= self._until:
            self.forget()
        wrapped = key["keyMaterial"]
        material = self._unwrapped.get(wrapped)
        if material is None:
            master = self._masters.get(key["masterKey"]["provider"])
            if master is None:
                raise CannotOpen("its master key is not here")
            material = aead.opened(master, b"", wrapped)
            self._hold(wrapped, material)
        return material

    def _hold(self, wrapped: bytes, material: bytes) -> None:
        if len(self._unwrapped) >= MOST_KEYS:
            self.forget()
        self._unwrapped[wrapped] = material


def provider_of(master: str) -> str:
    """The name that libmongocrypt knows a master key by."""
    return f"local:{master}"
