"""A master key that a KMS keeps: made once, opened by whoever may, told to nobody."""

import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sv_assets import sealing
from sv_assets.errors import ConfigurationError
from sv_assets.local import RunningServer
from sv_assets.mongo import Store
from sv_assets.sealing import keys, kms, master

FLAG = {"_id": "r", "customer_id": "C1", "flag": "bereaved", "since": None, "until": None}


def certificate(folder: Path) -> tuple[Path, Path]:
    """One that this machine vouches for itself with, and its key."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]),
    )
    now = dt.datetime.now(dt.timezone.utc)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )  # fmt: skip
    made = builder.sign(key, hashes.SHA256())
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def forward(connection: ssl.SSLSocket, port: int) -> None:
    """One connection to the KMS, which speaks plain HTTP."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            one.close()

    plain = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=pump, args=(plain, connection), daemon=True).start()
    pump(connection, plain)


@pytest.fixture
def kms_in_tls(sqs_server: RunningServer, tmp_path: Path) -> Iterator[str]:
    """`SV_ENCRYPTION_KMS` for the embedded AWS, behind TLS as pymongo wants it."""
    here = {
        "endpoint_url": sqs_server.url,
        "region_name": "eu-west-2",
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
    }
    arn = boto3.client("kms", **here).create_key()["KeyMetadata"]["Arn"]
    public, private = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(sqs_server.url.rstrip("/").rpartition(":")[2])

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
                tls = context.wrap_socket(connection, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            threading.Thread(target=forward, args=(tls, port), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield json.dumps(
        {
            "provider": "aws",
            "master_key": {"region": "eu-west-2", "key": arn, "endpoint": f"127.0.0.1:{listener.getsockname()[1]}"},
            "credentials": {"accessKeyId": "a", "secretAccessKey": "b"},
            "tls": {"ca_file": str(public)},
        }
    )
    listener.close()


def test_the_master_key_lies_encrypted_by_the_kms_and_processes_that_make_it_at_once_make_one(
    store: Store, kms_in_tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(master.VARIABLE)
    monkeypatch.setenv(master.KMS_VARIABLE, kms_in_tls)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: kms.masters_of(store, kms_in_tls), range(2))
    assert one == other
    assert (one.current, store.control[kms.COLLECTION].count_documents({})) == ("m1", 1)
    assert store.control[kms.VAULT].count_documents({}) == 1
    assert one.secrets["m1"] not in bytes(store.control[kms.COLLECTION].find_one({})["sealed"])  # type: ignore[index]

    (sealed,) = sealing.seal(store, "single_view.flags", [FLAG], ["C1"])
    assert kms.make_next(store, kms_in_tls) == "m2"
    assert master.masters(store, anew=True).ids == ["m2", "m1"]
    assert sum(keys.keyring(store).rewrapped()) == 1
    keys.keyring(store).forget()
    assert sealing.opened(store, sealed) == FLAG
    assert keys.status(store).by_master == {"m2": 1}


def test_a_kms_that_is_not_declared_as_it_should_be_says_where(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, says in (
        ("{", "no JSON"),
        ('{"provider": "own"}', "provider"),
        ('{"provider": "aws", "secret": "xyz"}', "secret"),
    ):
        with pytest.raises(ConfigurationError, match=says) as caught:
            kms.parse(text)
        assert "xyz" not in str(caught.value)
    monkeypatch.setenv(master.KMS_VARIABLE, '{"provider": "aws"}')
    with pytest.raises(ConfigurationError, match="both set"):
        master.masters(store)
