"""Whose queue it is, who we are to it, and what is never written down."""

import logging
from pathlib import Path
from typing import Any

import pytest

from sv_assets.catalogue import load_catalogue
from sv_assets.errors import ConfigurationError
from sv_assets.landing.land_queue import land_queue
from sv_assets.mongo import Store
from sv_assets.sources.sqs.queue import Queue, Redrive
from sv_assets.sources.sqs.session import aws_client
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.landing.test_land_queue import WebShop, bodies, sqs

__all__ = ["sqs"]
ACCOUNT = "000000000000"
SECRET = "zoe.harrington@example.com"


@pytest.fixture
def web(catalogued: Catalogued, sqs: Any, request: pytest.FixtureRequest) -> WebShop:
    made = WebShop(catalogued, sqs, f"p{abs(hash(request.node.nodeid))}")
    made.create(receives=5)
    return made


def test_the_declared_account_and_region_are_held_against_those_of_the_queue(web: WebShop) -> None:
    web.system = f'account: "{ACCOUNT}",'
    Queue(web.source).check_place()
    web.system = 'account: "111122223333",'
    with pytest.raises(ConfigurationError, match=r"account|no queue") as caught:
        Queue(web.source).check_place()
    assert "system web" in str(caught.value)


def test_a_queue_of_another_region_is_refused(web: WebShop, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(web.source)
    monkeypatch.setattr(queue, "_attributes", lambda *_: {"QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{web.name}"})
    with pytest.raises(ConfigurationError, match=r"is in region us-east-1, and its defs\.yaml says eu-west-2"):
        queue.check_place()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ('account: "123",', "account"),
        ("role: reader,", "role"),
    ],
)
def test_an_account_or_role_that_cannot_be_is_refused_when_the_catalogue_loads(
    web: WebShop, wrong: str, sentence: str
) -> None:
    web.system = wrong
    with pytest.raises(ConfigurationError, match=sentence):
        _ = web.source


def test_the_declared_role_is_assumed_before_anything_else(web: WebShop, store: Store) -> None:
    web.system = f"role: arn:aws:iam::{ACCOUNT}:role/queue-reader, external_id: retailer,"
    source = web.source
    assert "assumed-role/queue-reader/single-customer-view" in aws_client(source.sqs_system, "sts").get_caller_identity()["Arn"]  # fmt: skip
    web.send({"id": "a", "v": 1})
    assert land_queue(store, load_catalogue(web.catalogued.directory), source, "run").outcome.inserted == 1


def test_a_role_without_credentials_to_assume_it_with_is_one_sentence(
    web: WebShop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    web.system = f"role: arn:aws:iam::{ACCOUNT}:role/queue-reader,"
    source = web.source
    monkeypatch.setenv("SQS_ENDPOINT_URL", "https://vpce-1.sqs.eu-west-2.vpce.amazonaws.com")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigurationError, match=r"system web: SQS cannot be used \(NoCredentialsError\)"):
        Queue(source)


def test_a_private_endpoint_of_sqs_is_for_sqs_alone_and_keeps_the_usual_credentials(
    web: WebShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = web.source.sqs_system
    private = "https://vpce-1.sqs.eu-west-2.vpce.amazonaws.com"
    monkeypatch.setenv("SQS_ENDPOINT_URL", private)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")
    client = aws_client(system, "sqs")
    assert client.meta.endpoint_url == private
    assert client._request_signer._credentials.token == "temporary"
    for service in ("s3", "cloudwatch"):
        assert "vpce" not in aws_client(system, service).meta.endpoint_url


def test_an_encrypted_queue_is_read_like_any_other(web: WebShop, store: Store, sqs: Any) -> None:
    sqs.set_queue_attributes(QueueUrl=web.url, Attributes={"KmsMasterKeyId": "alias/aws/sqs"})
    web.send({"id": "a", "v": 1})
    assert web.land(store).outcome.inserted == 1


def test_the_redrive_policy_is_read_from_the_queue(web: WebShop) -> None:
    assert Queue(web.source).redrive == Redrive(5, web.dead_letters)
    assert Queue(web.source, web.dead_letters).redrive is None


def test_nothing_of_a_message_is_logged_or_shown(web: WebShop, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Not even where everything is logged at its finest."""
    caplog.set_level(logging.DEBUG)
    web.send({"id": "a", "v": 1, "email": SECRET}, f'{{"id": "b", "email": "{SECRET}"}}', f"{SECRET} is no JSON")
    report = web.land(store)
    assert (report.outcome.inserted, report.outcome.quarantined) == (1, 2)
    assert bodies(store, web.source)["a"]["email"] == SECRET
    assert caplog.records
    assert SECRET not in caplog.text
    assert SECRET not in repr(report)
    entries = list(store.control["quarantine"].find({}))
    assert len(entries) == 2
    assert not any(SECRET in entry["reason"] + entry["key"] for entry in entries)
    assert all(SECRET in entry["raw"]["body"] for entry in entries)


def test_what_is_received_shows_nothing_of_its_body_or_handle(web: WebShop) -> None:
    web.send({"id": "a", "v": 1, "email": SECRET})
    (received,) = Queue(web.source).receive()
    assert SECRET in received.message.body
    assert SECRET not in repr(received)
    assert received.handle not in repr(received)
