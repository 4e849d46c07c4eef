"""libmongocrypt: what seals and opens values, and makes and wraps the keys for it. All cryptography is its own.

Explicit encryption with `AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic`, each value under a data key of its customer. pymongo's
`ClientEncryption` does the same, but asks for keys one at a time, by a query that is a scan for some servers; here keys are
given to it that were read many at once. Measured with the wheel for Linux: some 170 µs to seal and 130 to open, 290 more where
the key has to be unwrapped first. That wheel calls back into Python for every primitive; a libmongocrypt with OpenSSL in it
(`PYMONGOCRYPT_LIB` names the file) is faster.
"""

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

import bson
from bson import Binary, ObjectId
from pymongocrypt.errors import MongoCryptError
from pymongocrypt.explicit_encrypter import ExplicitEncrypter
from pymongocrypt.options import MongoCryptOptions
from pymongocrypt.synchronous.state_machine import MongoCryptCallback

from sv_assets.mongo import CODEC, Document

ALGORITHM = "AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic"
MOST_KEYS = 200
"""libmongocrypt keeps unwrapped keys for a minute in a list that it goes through one by one: a thousand keys cost every value some
150 µs. After so many it starts anew, which costs 70."""
PACKED = 0x91
"""Binary subtype of what deterministic encryption does not take (objects, lists, true and false, decimals): encoded to bytes."""
_AS_THEY_ARE = (str, int, dt.datetime, UUID, ObjectId)


class CannotOpen(ValueError):
    """A value was changed or sealed with another key; or a key with another master key."""


class Cipher:
    """Seals and opens with data keys that lie wrapped by these master keys (by id; 96 bytes each)."""

    def __init__(self, masters: Mapping[str, bytes]) -> None:
        self._providers = {provider_of(identifier): {"key": master} for identifier, master in masters.items()}
        self._vault = _Vault()
        self._seen: set[UUID] = set()
        self._lock = threading.RLock()
        self._begin()

    def made_key(self, master: str) -> Document:
        """A new data key, wrapped: a document as key vaults hold it."""
        with self._lock:
            self._encrypter.create_data_key(provider_of(master))
            return self._vault.made.pop()

    def rewrapped(self, keys: Iterable[Document], master: str) -> dict[UUID, Document]:
        """By the id of the key, the fields that change where these keys are wrapped by that master key. Raises CannotOpen."""
        with self._lock:
            self.forget()
            self._vault.keys = {key["_id"]: key for key in keys}
            asked = {"_id": {"$in": list(self._vault.keys)}}
            answer = _asked(self._encrypter.rewrap_many_data_key, asked, provider_of(master))
        changed = bson.decode(answer, codec_options=CODEC)["v"]
        return {key["_id"]: {name: key[name] for name in ("keyMaterial", "masterKey")} for key in changed}

    def sealed(self, key: Document, value: Any) -> Binary:
        """The value under this data key: binary of subtype 6; the same each time. Raises CannotOpen where the key does not open."""
        if isinstance(value, bool) or not isinstance(value, _AS_THEY_ARE):
            value = Binary(bson.encode({"": value}, codec_options=CODEC), PACKED)
        plain = bson.encode({"v": value}, codec_options=CODEC)
        with self._lock:
            self._give(key)
            answer = _asked(self._encrypter.encrypt, plain, ALGORITHM, key_id=key["_id"].bytes)
        sealed: Binary = bson.decode(answer, codec_options=CODEC)["v"]
        return sealed

    def opened(self, key: Document, sealed: Binary) -> Any:
        """What was sealed. Raises CannotOpen."""
        with self._lock:
            self._give(key)
            answer = _asked(self._encrypter.decrypt, bson.encode({"v": sealed}, codec_options=CODEC))
        value = bson.decode(answer, codec_options=CODEC)["v"]
        if type(value) is Binary and value.subtype == PACKED:
            return bson.decode(value, codec_options=CODEC)[""]
        return value

    def forget(self) -> None:
        """Let go of all keys."""
        with self._lock:
            self._encrypter.close()
            self._begin()

    def _begin(self) -> None:
        self._seen.clear()
        self._vault.keys = {}
        self._encrypter = ExplicitEncrypter(self._vault, MongoCryptOptions(self._providers))

    def _give(self, key: Document) -> None:
        if key["_id"] not in self._seen and len(self._seen) >= MOST_KEYS:
            self.forget()
        self._seen.add(key["_id"])
        self._vault.keys[key["_id"]] = key


class _Vault(MongoCryptCallback):  # type: ignore[misc]
    """The keys that are in use, for libmongocrypt to ask for."""

    def __init__(self) -> None:
        self.keys: dict[UUID, Document] = {}
        self.made: list[Document] = []

    def fetch_keys(self, filter: bytes) -> Iterator[bytes]:
        asked = bson.decode(filter, codec_options=CODEC)
        by_id = asked["$or"][0] if "$or" in asked else asked
        for identifier in by_id["_id"]["$in"]:
            if identifier in self.keys:
                yield bson.encode(self.keys[identifier], codec_options=CODEC)

    def insert_data_key(self, data_key: bytes) -> None:
        self.made.append(bson.decode(data_key, codec_options=CODEC))

    def bson_encode(self, doc: Any) -> bytes:
        return bson.encode(doc, codec_options=CODEC)

    def kms_request(self, kms_context: Any) -> None:
        raise NotImplementedError("master keys are local here; a KMS keeps them (sealing.kms)")

    def collection_info(self, database: Any, filter: Any) -> None:
        raise NotImplementedError("values are given one by one")

    def mark_command(self, database: Any, cmd: Any) -> None:
        raise NotImplementedError("values are given one by one")

    def close(self) -> None:
        pass


def _asked(ask: Callable[..., bytes], *arguments: Any, **options: Any) -> bytes:
    try:
        return ask(*arguments, **options)
    except MongoCryptError as error:
        raise CannotOpen(str(error)) from None


def provider_of(master: str) -> str:
    """The name that libmongocrypt knows a master key by."""
    return f"local:{master}"
