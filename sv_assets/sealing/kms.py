"""Master keys that a KMS keeps: they lie in `control.encryption_keys`, encrypted with a key that only the KMS can open.

`SV_ENCRYPTION_KMS` is JSON: `{"provider": "aws", "master_key": {"region": …, "key": <ARN>}}`, `master_key` as pymongo's
`ClientEncryption.create_data_key` takes it for `aws`, `azure`, `gcp` and `kmip`. Beside it may stand `credentials` (as in
pymongo's `kms_providers`; without them those of the machine are taken: for `aws` as boto3 finds them) and `tls` (`ca_file`,
`certificate_key_file`). The KMS is asked when a process first needs a key, and not for each customer.
"""

import datetime as dt
import json
import os
from typing import Annotated, Any, Literal

from bson import Binary
from pydantic import Field, ValidationError
from pymongo.encryption import ClientEncryption
from pymongo.errors import EncryptionError, PyMongoError

from sv_assets.catalogue.entry import Entry
from sv_assets.errors import ConfigurationError, TransientError
from sv_assets.mongo import CODEC, Document, Store, insert_missing
from sv_assets.sealing.aead import KEY_BYTES
from sv_assets.sealing.master import KMS_VARIABLE, Masters

COLLECTION, VAULT = "encryption_keys", "encryption_vault"
RANDOM = "AEAD_AES_256_CBC_HMAC_SHA_512-Random"


class Tls(Entry):
    """Certificates for a KMS that public ones do not vouch for."""

    ca_file: str | None = None
    certificate_key_file: str | None = None


class Kms(Entry):
    """Which KMS, and which key of it."""

    provider: Literal["aws", "azure", "gcp", "kmip"]
    master_key: dict[str, Any] = {}
    credentials: Annotated[dict[str, Any] | None, Field(repr=False)] = None
    tls: Tls | None = None


def parse(text: str) -> Kms:
    """Raises ConfigurationError for what is no JSON of that form; its values are not in the message."""
    try:
        return Kms.model_validate(json.loads(text))
    except ValidationError as error:
        places = sorted({".".join(map(str, e["loc"])) or "it" for e in error.errors()})
        raise ConfigurationError(
            f"{KMS_VARIABLE}: {', '.join(places)} is missing, unknown or not as it should be."
        ) from None
    except ValueError:
        raise ConfigurationError(f"{KMS_VARIABLE} is no JSON.") from None


def masters_of(store: Store, text: str) -> Masters:
    """The master keys, the first of them made where there is none. Two processes that make it at once make one.

    Raises ConfigurationError where the KMS refuses, TransientError where it does not answer.
    """
    kms = parse(text)
    with _client(store, kms) as client:
        if store.control[COLLECTION].find_one({}, {"_id": 1}) is None:
            _make(store, kms, client, 1)
        entries = sorted(store.control[COLLECTION].find({}), key=lambda entry: -entry["number"])
        found = {entry["_id"]: bytes(_asked(client.decrypt, entry["sealed"])) for entry in entries}
    return Masters(found, entries[0]["_id"], f"{kms.provider} KMS")


def ids(store: Store) -> set[str]:
    """Which master keys there are, without asking the KMS."""
    return {str(entry["_id"]) for entry in store.control[COLLECTION].find({}, {"_id": 1})}


def make_next(store: Store, text: str) -> str:
    """A new master key, which is the current one from now on; returns its id."""
    kms = parse(text)
    last = max((entry["number"] for entry in store.control[COLLECTION].find({}, {"number": 1})), default=0)
    with _client(store, kms) as client:
        return _make(store, kms, client, last + 1)


def _make(store: Store, kms: Kms, client: "ClientEncryption[Document]", number: int) -> str:
    data_key = _asked(client.create_data_key, kms.provider, kms.master_key or None)
    sealed = _asked(client.encrypt, Binary(os.urandom(KEY_BYTES)), RANDOM, key_id=data_key)
    entry: Document = {
        "_id": f"m{number}",
        "number": number,
        "provider": kms.provider,
        "data_key": data_key,
        "sealed": sealed,
        "made_at": dt.datetime.now(dt.timezone.utc),
    }
    if not insert_missing(store.control[COLLECTION], [entry]):
        store.control[VAULT].delete_one({"_id": data_key})  # another process made the master key first
    return str(entry["_id"])


def _client(store: Store, kms: Kms) -> "ClientEncryption[Document]":
    tls = {"tlsCAFile": kms.tls.ca_file, "tlsCertificateKeyFile": kms.tls.certificate_key_file} if kms.tls else {}
    given = {name: value for name, value in tls.items() if value}
    credentials = kms.credentials if kms.credentials is not None else _of_machine(kms.provider)
    try:
        return ClientEncryption(
            {kms.provider: credentials},
            f"{store.control.name}.{VAULT}",
            store.client,
            CODEC,
            kms_tls_options={kms.provider: given} if given else None,
        )
    except (PyMongoError, ValueError, TypeError, OSError) as error:
        raise ConfigurationError(
            f"{KMS_VARIABLE} is not as {kms.provider} needs it ({type(error).__name__}). docs/privacy.md says how."
        ) from None


def _of_machine(provider: str) -> dict[str, Any]:
    """Credentials where none are given: for AWS as boto3 finds them (environment, profile, role of the machine)."""
    if provider != "aws":
        return {}  # libmongocrypt asks the machine itself
    import boto3

    found = boto3.Session().get_credentials()
    if found is None:
        raise ConfigurationError(
            f"{KMS_VARIABLE}: there are no AWS credentials on this machine, and none under `credentials`."
        )
    frozen = found.get_frozen_credentials()
    given = {"accessKeyId": frozen.access_key, "secretAccessKey": frozen.secret_key}
    return given | ({"sessionToken": frozen.token} if frozen.token else {})


def _asked(ask: Any, *arguments: Any, **options: Any) -> Any:
    try:
        return ask(*arguments, **options)
    except EncryptionError as error:
        cause = error.cause
        if isinstance(cause, (OSError, PyMongoError)) or "timed out" in str(error):
            raise TransientError(
                f"The KMS does not answer ({type(cause).__name__}). Nothing can be sealed or opened until it does."
            ) from None
        raise ConfigurationError(
            f"The KMS refuses ({type(cause).__name__}): look at the key, the region and the permissions (encrypt and decrypt) behind {KMS_VARIABLE}."
        ) from None
