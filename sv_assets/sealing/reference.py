"""libmongocrypt, by which our sealing is measured: once a process, before its first key is used."""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import bson

from sv_assets.mongo import CODEC, Document
from sv_assets.sealing.aead import KEY_BYTES, decrypted
from sv_assets.sealing.values import opened_value, sealed_value

_ALGORITHM = "AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic"


def libmongocrypt(kms_providers: dict[str, Any], vault: dict[Any, Document]) -> Any:
    """An `ExplicitEncrypter` of pymongocrypt whose key vault is a dictionary."""
    from pymongocrypt.explicit_encrypter import ExplicitEncrypter
    from pymongocrypt.options import MongoCryptOptions
    from pymongocrypt.synchronous.state_machine import MongoCryptCallback

    class InMemory(MongoCryptCallback):  # type: ignore[misc]
        """Asks nobody."""

        def fetch_keys(self, filter: bytes) -> Iterator[bytes]:
            asked = bson.decode(filter, codec_options=CODEC)["$or"][0]["_id"]["$in"]
            for identifier in asked:
                if identifier in vault:
                    yield bson.encode(vault[identifier], codec_options=CODEC)

        def insert_data_key(self, data_key: bytes) -> Any:
            document = bson.decode(data_key, codec_options=CODEC)
            vault[document["_id"]] = document
            return document["_id"]

        def bson_encode(self, doc: Any) -> bytes:
            return bson.encode(doc, codec_options=CODEC)

        def kms_request(self, kms_context: Any) -> None:
            raise NotImplementedError("master keys are local here")

        def collection_info(self, database: Any, filter: Any) -> None:
            raise NotImplementedError("values are given one by one")

        def mark_command(self, database: Any, cmd: Any) -> None:
            raise NotImplementedError("values are given one by one")

        def close(self) -> None:
            pass

    return ExplicitEncrypter(InMemory(), MongoCryptOptions(kms_providers))


@lru_cache
def agrees_with_libmongocrypt() -> bool:
    """Whether we unwrap a key that it made, seal to the same bytes as it does, and open what it sealed."""
    master = os.urandom(KEY_BYTES)
    vault: dict[Any, Document] = {}
    theirs = libmongocrypt({"local:check": {"key": master}}, vault)
    identifier = theirs.create_data_key("local:check")
    key = decrypted(master, b"", bytes(vault[identifier]["keyMaterial"]))
    for value in ("1980-03-07", 7):
        sealed = bson.decode(theirs.encrypt(bson.encode({"v": value}), _ALGORITHM, key_id=identifier.bytes))["v"]
        if sealed_value(identifier, key, value) != sealed or opened_value(sealed, key) != value:
            return False
    return True
