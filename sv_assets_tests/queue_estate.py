"""A queue of a test's own with its dead letters, its declaration, and `sv` on it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from sv_assets.catalogue import Catalogue, Source, load_catalogue
from sv_assets.landing.land import LandingReport
from sv_assets.landing.land_queue import land_queue
from sv_assets.local import RunningServer
from sv_assets.mongo import Store
from sv_assets.sources.sqs.queue import Depth, Queue
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.conftest import Catalogued

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
SV = "from sv_assets.cli import main; main()"


@dataclass
class QueueEstate:
    """The queue `name` of the system `web`, which SQS gives up on after three receives. Keys are `$.id`, versions `$.v`."""

    catalogued: Catalogued
    client: Any
    name: str
    url: str
    dead_url: str
    declared: dict[str, Any] = field(default_factory=dict)

    @property
    def is_fifo(self) -> bool:
        return self.name.endswith(".fifo")

    @property
    def dead_name(self) -> str:
        return f"dead-{self.name}"

    def declare(self, **more: Any) -> Catalogue:
        """Write its declaration, with more words than before."""
        self.declared |= more
        path = self.catalogued.declare("", system="web")
        queue = {
            "name": self.name,
            "key": "$.id",
            "version": "$.v",
            "visibility_seconds": 30,
            "wait_seconds": 1,
        } | self.declared
        attributes = {
            "system": "web", "endpoint": "{{ env.SQS_ENDPOINT_URL }}", "owners": ["team:web"], "region": "eu-west-2",
            "queues": [{name: value for name, value in queue.items() if value is not None}],
        }  # fmt: skip
        path.write_text(json.dumps({"type": "sv_assets.components.SqsQueues", "attributes": attributes}))
        return load_catalogue(self.catalogued.directory)

    @property
    def source(self) -> Source:
        return next(source for source in self.declare().sources if source.system == "web")

    def send(self, *bodies: Any, to: str = "", group: str = "g", **attributes: Any) -> list[str]:
        """Send messages to the queue; returns their ids."""
        ids: list[str] = []
        for n, body in enumerate(bodies):
            text = body if isinstance(body, str) else json.dumps(body)
            fifo = (
                {"MessageGroupId": group, "MessageDeduplicationId": f"{n}{os.urandom(8).hex()}"} if self.is_fifo else {}
            )
            sent = self.client.send_message(
                QueueUrl=to or self.url, MessageBody=text, MessageAttributes=attributes, **fifo
            )
            ids.append(sent["MessageId"])
        return ids

    def give_up_on(self, *bodies: Any, group: str = "g", **attributes: Any) -> list[str]:
        """Put messages where SQS puts what was received too often; returns their ids."""
        return self.send(*bodies, to=self.dead_url, group=group, **attributes)

    def land(self, store: Store) -> LandingReport:
        return land_queue(store, self.declare(), self.source, "run")

    @property
    def depth(self) -> Depth:
        return Queue(self.source).depth()

    @property
    def dead(self) -> Depth:
        return Queue(self.source, self.dead_name).depth()

    def taken(self, url: str = "") -> list[dict[str, Any]]:
        """All messages of the queue, in the order in which SQS gives them out; they are deleted."""
        found: list[dict[str, Any]] = []
        while batch := self.client.receive_message(
            QueueUrl=url or self.url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            found += batch
            for message in batch:
                self.client.delete_message(QueueUrl=url or self.url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def bodies(self, url: str = "") -> list[Any]:
        return [json.loads(message["Body"]) for message in self.taken(url)]

    def sv(self, *arguments: str, program: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """`sv` in this process, or another program in one of its own."""
        if program is None:
            return run_sv(*arguments, environment={**os.environ, **environment})
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def json(self, *arguments: str, code: int = 0, **environment: str) -> Any:
        result = self.sv(*arguments, "--json", **environment)
        assert result.returncode == code, result.stderr
        return json.loads(result.stdout)


Made = Callable[[str], QueueEstate]


@contextmanager
def made_queues(catalogued: Catalogued, sqs_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """What makes queues, with the ending `.fifo` or without."""
    for name, value in {**KEYS, "SQS_ENDPOINT_URL": sqs_server.url}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client(
        "sqs",
        endpoint_url=sqs_server.url,
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    urls: list[str] = []

    def make(ending: str) -> QueueEstate:
        name = f"q{os.urandom(6).hex()}{ending}"
        fifo = {"FifoQueue": "true"} if ending else {}
        dead = client.create_queue(QueueName=f"dead-{name}", Attributes=fifo)["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
        url = client.create_queue(QueueName=name, Attributes={**fifo, "RedrivePolicy": policy})["QueueUrl"]
        urls.extend([url, dead])
        estate = QueueEstate(catalogued, client, name, url, dead)
        estate.declare()
        return estate

    yield make
    for url in urls:
        client.delete_queue(QueueUrl=url)
