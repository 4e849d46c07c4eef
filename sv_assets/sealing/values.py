"""A BSON value and its sealed form: binary of subtype 6, `1, id of the key, BSON type, cipher text`.

Texts, whole numbers, moments and UUIDs are sealed as MongoDB's deterministic encryption takes them. What it does not take
(objects, lists, true and false, decimals) is encoded to bytes first, which a binary subtype of our own tells.
"""

import datetime as dt
import os
from typing import Any
from uuid import UUID

import bson
from bson import Binary, ObjectId

from sv_assets.mongo import CODEC
from sv_assets.sealing.aead import NotAuthentic, decrypted, encrypted

SUBTYPE = 6
DETERMINISTIC = 1
PACKED = 0x91
"""Binary subtype of a value that was encoded to bytes: a document with the value under an empty name."""
_AS_THEY_ARE = (str, int, dt.datetime, UUID, ObjectId)
_ABOUT = 18
"""So many bytes tell of a sealed value with which key it was sealed and what it is."""


def is_sealed(value: Any) -> bool:
    return type(value) is Binary and value.subtype == SUBTYPE


def key_of(sealed: bytes) -> UUID:
    """The id of the key that a value was sealed with."""
    return UUID(bytes=bytes(sealed[1:17]))


def sealed_value(key_id: UUID, key: bytes | None, value: Any) -> Binary:
    """A value sealed. Without a key, because it was shredded, into bytes that nobody opens."""
    if type(value) is str:  # nearly all of them: encoded here in a fifth of the time
        text = value.encode()
        kind, plain = 2, (len(text) + 1).to_bytes(4, "little") + text + b"\0"
        return _sealed(key_id, key, kind, plain)
    if isinstance(value, bool) or not isinstance(value, _AS_THEY_ARE):
        value = Binary(bson.encode({"": value}, codec_options=CODEC), PACKED)
    element = bson.encode({"v": value}, codec_options=CODEC)
    return _sealed(key_id, key, element[4], element[7:-1])


def _sealed(key_id: UUID, key: bytes | None, kind: int, plain: bytes) -> Binary:
    about = b"%c%b%c" % (DETERMINISTIC, key_id.bytes, kind)
    if key is None:
        return Binary(about + os.urandom(80), SUBTYPE)
    return Binary(about + encrypted(key, about, plain, deterministic=True), SUBTYPE)


def opened_value(sealed: bytes, key: bytes) -> Any:
    """What was sealed. Raises NotAuthentic where it was sealed with another key, or changed."""
    about = bytes(sealed[:_ABOUT])
    if len(about) < _ABOUT or about[0] not in (DETERMINISTIC, 2):
        raise NotAuthentic("no value sealed by a driver of MongoDB")
    plain = decrypted(key, about, bytes(sealed[_ABOUT:]))
    length = (len(plain) + 8).to_bytes(4, "little")
    value = bson.decode(length + about[17:] + b"v\0" + plain + b"\0", codec_options=CODEC)["v"]
    if type(value) is Binary and value.subtype == PACKED:
        return bson.decode(value, codec_options=CODEC)[""]
    return value
