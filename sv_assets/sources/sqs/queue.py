"""The requests to one SQS queue. When to send them is decided in `receive`."""

import datetime as dt
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError
from sv_assets.sources.messages import Message
from sv_assets.sources.sqs.faults import EXPIRED_HANDLE, explained
from sv_assets.sources.sqs.session import aws_client

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import MessageSystemAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef

SQS_BATCH = 10
"""SQS receives, deletes and extends at most ten messages in one request."""
LONGEST_HOLD = 43_200.0
"""Seconds after which SQS takes a received message back, however often its visibility is extended: 12 hours."""

_SYSTEM_ATTRIBUTES: "Sequence[MessageSystemAttributeNameType]" = (
    "SentTimestamp", "ApproximateReceiveCount", "MessageGroupId", "DeadLetterQueueSourceArn",
)  # fmt: skip
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_ESCAPED = re.compile("[\udc80-\udcff]")


@dataclass(slots=True, eq=False)
class Received:
    """A message in our hands: `handle` deletes or releases it, `received_at` (monotonic) is when it was asked for."""

    message: Message
    handle: str = field(repr=False)
    times_received: int
    received_at: float
    hidden_until: float
    """Until when (monotonic) SQS keeps it from others."""
    attribute_types: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By message attribute the type that its producer named: `String`, `Number.int` …"""
    given_up_by: str | None = None
    """Of a dead letter, the queue from which SQS moved it."""


@dataclass(frozen=True)
class Depth:
    """How full a queue is, as SQS approximates it."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        return self.visible + self.in_flight + self.delayed


@dataclass(frozen=True)
class Redrive:
    """What SQS does with messages that were received too often: after `limit` receives they go to `dead_letters`."""

    limit: int
    dead_letters: str


class Queue:
    """One SQS queue of a system, found by its name; by default the declared one, else `name` (its dead letters).

    Raises ConfigurationError where it is not there, or not in the declared account and region.
    """

    def __init__(self, source: Source, name: str | None = None, *, connections: int | None = None) -> None:
        self.source = source
        self.name = name or source.name
        self._visibility = source.queue.visibility_seconds
        self._is_fifo = self.name.endswith(".fifo")
        system = source.sqs_system
        owner = {"QueueOwnerAWSAccountId": system.account} if system.account else {}
        with explained(source.system, self.name):
            self._client: SQSClient = aws_client(
                system,
                "sqs",
                connections=connections or source.queue.receivers + 4,
                read_timeout=source.queue.wait_seconds + 20,
            )
            self._client.meta.events.register("before-parse.sqs.ReceiveMessage", _keep_bytes_that_are_no_text)
            self._url = self._client.get_queue_url(QueueName=self.name, **owner)["QueueUrl"]

    @cached_property
    def redrive(self) -> Redrive | None:
        """Its redrive policy; None where SQS keeps trying until a message is too old."""
        policy = self._attributes("RedrivePolicy").get("RedrivePolicy")
        if not policy:
            return None
        declared = json.loads(policy)
        return Redrive(int(declared["maxReceiveCount"]), str(declared["deadLetterTargetArn"]).rpartition(":")[2])

    def is_last_chance(self, received: Received) -> bool:
        """Whether SQS makes a dead letter of this message instead of giving it out another time, or the time after."""
        return self.redrive is not None and received.times_received >= self.redrive.limit - 1

    def check_place(self) -> None:
        """Hold account and region against the declared ones. Raises ConfigurationError."""
        system = self.source.sqs_system
        arn = self._attributes("QueueArn").get("QueueArn", "")
        *_, region, account, _name = ["", *arn.split(":")]
        for word, declared, found in (("account", system.account, account), ("region", system.region, region)):
            if declared and declared != found:
                raise ConfigurationError(
                    f"system {self.source.system}: the queue {self.name} is in {word} {found}, and its defs.yaml says "
                    f"{declared}. Correct the {word} there, or the credentials and endpoint of this environment."
                )

    def depth(self) -> Depth:
        """How many messages wait."""
        found = self._attributes(
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        )
        return Depth(
            int(found.get("ApproximateNumberOfMessages", 0)),
            int(found.get("ApproximateNumberOfMessagesNotVisible", 0)),
            int(found.get("ApproximateNumberOfMessagesDelayed", 0)),
        )

    def receive(self, at_most: int = SQS_BATCH, *, visibility: int | None = None, waits: bool = True) -> list[Received]:
        """Up to ten messages, as one long poll finds them; none where there is nothing to give out now.

        Without `waits` only some of SQS's servers are asked, and an empty answer says little.
        Of a FIFO queue, a request that is sent again because its answer was lost brings the same messages.
        """
        hidden_for = self._visibility if visibility is None else visibility
        once: dict[str, Any] = {"ReceiveRequestAttemptId": uuid.uuid4().hex} if self._is_fifo else {}
        asked_at = time.monotonic()
        with explained(self.source.system, self.name):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(at_most, SQS_BATCH),
                VisibilityTimeout=hidden_for,
                WaitTimeSeconds=self.source.queue.wait_seconds if waits else 0,
                MessageSystemAttributeNames=_SYSTEM_ATTRIBUTES,
                MessageAttributeNames=["All"],
                **once,
            )
        return [_received(raw, asked_at, hidden_for) for raw in answer.get("Messages", [])]

    def delete(self, messages: Sequence[Received]) -> tuple[list[Received], list[Received]]:
        """Delete up to ten messages. Returns those to ask for again, and those whose receipt handle has expired: they
        come again, and change nothing."""
        with explained(self.source.system, self.name):
            answer = self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(n), "ReceiptHandle": m.handle} for n, m in enumerate(messages)],
            )
        return _failed(messages, answer.get("Failed", []))

    def hide(self, messages: Sequence[Received], seconds: int) -> tuple[list[Received], list[Received]]:
        """Keep up to ten messages from others for `seconds` from now; 0 gives them back at once.

        Returns those to ask for again, and those that are no longer ours.
        """
        now = time.monotonic()
        with explained(self.source.system, self.name):
            answer = self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(n), "ReceiptHandle": m.handle, "VisibilityTimeout": seconds}
                    for n, m in enumerate(messages)
                ],
            )
        again, lost = _failed(messages, answer.get("Failed", []))
        for received in messages:
            if received not in again and received not in lost:
                received.hidden_until = now + seconds
        return again, lost

    def send(self, messages: Sequence[Received], once: str) -> list[Received]:
        """Send up to ten messages anew, with their attributes and group. Returns those that SQS did not take.

        `once` and its message id make a message of a FIFO queue the same if it is sent again within five minutes.
        """
        entries: list[Any] = []
        for n, received in enumerate(messages):
            message = received.message
            entry: dict[str, Any] = {"Id": str(n), "MessageBody": message.body}
            if message.attributes:
                entry["MessageAttributes"] = {
                    name: _attribute(value, received.attribute_types.get(name))
                    for name, value in message.attributes.items()
                }
            if message.group is not None:
                entry["MessageGroupId"] = message.group
            if self._is_fifo:
                entry["MessageDeduplicationId"] = f"{once}-{message.message_id}"
            entries.append(entry)
        with explained(self.source.system, self.name):
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        return [messages[int(failed["Id"])] for failed in answer.get("Failed", [])]

    def oldest_age(self) -> float | None:
        """Seconds that the oldest message has waited, as CloudWatch says; None where it does not say.

        SQS itself does not tell, and a message received to find out would count towards its redrive limit. CloudWatch
        (AWS/SQS, ApproximateAgeOfOldestMessage) is some minutes late, and needs cloudwatch:GetMetricStatistics.
        """
        now = dt.datetime.now(dt.timezone.utc)
        try:
            points = aws_client(self.source.sqs_system, "cloudwatch", read_timeout=3, attempts=1).get_metric_statistics(
                Namespace="AWS/SQS",
                MetricName="ApproximateAgeOfOldestMessage",
                Dimensions=[{"Name": "QueueName", "Value": self.name}],
                StartTime=now - dt.timedelta(minutes=15),
                EndTime=now,
                Period=60,
                Statistics=["Maximum"],
            )["Datapoints"]
        except (BotoCoreError, ClientError, ResponseParserError):
            return None
        return max(points, key=lambda point: point["Timestamp"])["Maximum"] if points else None

    def _attributes(self, *names: str) -> dict[str, str]:
        with explained(self.source.system, self.name):
            return dict(
                self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=list(names)).get("Attributes", {})  # type: ignore[arg-type]
            )


def _keep_bytes_that_are_no_text(response_dict: dict[str, Any], **_: Any) -> None:
    """Bytes of an answer that are not UTF-8 become halves of surrogate pairs: the message that holds them is then refused
    by itself, where else the whole answer could not be read."""
    body: bytes = response_dict["body"]
    try:
        body.decode()
    except UnicodeDecodeError:
        text = body.decode(errors="surrogateescape")
        response_dict["body"] = _ESCAPED.sub(lambda half: f"\\u{ord(half.group()):04x}", text).encode()


def _failed(messages: Sequence[Received], entries: Sequence[Any]) -> tuple[list[Received], list[Received]]:
    """(to ask for again, no longer ours) of a request that SQS took in part."""
    again: list[Received] = []
    lost: list[Received] = []
    for entry in entries:
        is_expired = str(entry.get("Code", "")).rpartition(".")[2] in EXPIRED_HANDLE
        (lost if is_expired else again).append(messages[int(entry["Id"])])
    return again, lost


def _attribute(value: str | bytes, kind: str | None) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"DataType": kind or "Binary", "BinaryValue": value}
    return {"DataType": kind or "String", "StringValue": value}


def _received(raw: "MessageTypeDef", asked_at: float, hidden_for: int) -> Received:
    system: dict[str, str] = dict(raw.get("Attributes", {}))  # type: ignore[arg-type]
    attributes = {
        name: value["BinaryValue"] if "BinaryValue" in value else value.get("StringValue", "")
        for name, value in raw.get("MessageAttributes", {}).items()
    }
    message = Message(
        message_id=raw["MessageId"],
        body=raw.get("Body", ""),
        sent_at=_EPOCH + dt.timedelta(milliseconds=int(system.get("SentTimestamp", 0))),
        attributes=attributes,
        group=system.get("MessageGroupId"),
    )
    gave_up = system.get("DeadLetterQueueSourceArn")
    return Received(
        message,
        raw["ReceiptHandle"],
        int(system.get("ApproximateReceiveCount", 1)),
        asked_at,
        asked_at + hidden_for,
        {name: value.get("DataType", "String") for name, value in raw.get("MessageAttributes", {}).items()},
        gave_up.rpartition(":")[2] if gave_up else None,
    )
