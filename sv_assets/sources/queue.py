"""Receiving from SQS, and deleting what is safe.

A message is deleted only when the caller says that it has landed; what a killed run leaves behind comes back by itself
when its visibility time is over.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from sv_assets import settings
from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError, SvError, TransientError
from sv_assets.mongo import in_batches
from sv_assets.sources.records import Receipt

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

SQS_BATCH = 10
"""SQS receives and deletes at most ten messages in one request."""
_PASSING_FAULTS = ("RequestThrottled", "ThrottlingException", "ServiceUnavailable", "InternalError", "InternalFailure")


@dataclass(frozen=True)
class Message:
    """A received message."""

    receipt: Receipt
    body: str


@dataclass(frozen=True)
class Depth:
    """How full a queue is, as SQS approximates it."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        return self.visible + self.in_flight + self.delayed


class Queue:
    """One SQS queue, found by its name."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._name = source.name
        self._visibility = source.queue.visibility_seconds
        self._receivers = source.queue.receivers
        system = source.sqs_system
        endpoint = settings.resolve_optional(system.endpoint)
        with self._explained():
            self._client: SQSClient = boto3.client(
                "sqs",
                endpoint_url=endpoint,
                region_name=system.region or settings.variable("AWS_DEFAULT_REGION") or settings.variable("AWS_REGION"),
                aws_access_key_id=settings.variable("AWS_ACCESS_KEY_ID") if endpoint else None,
                aws_secret_access_key=settings.variable("AWS_SECRET_ACCESS_KEY") if endpoint else None,
                config=Config(
                    connect_timeout=10,
                    read_timeout=40,
                    retries={"mode": "standard", "max_attempts": 3},
                    max_pool_connections=self._receivers + 4,
                ),
            )
            self._url = self._client.get_queue_url(QueueName=self._name)["QueueUrl"]

    def depth(self) -> Depth:
        """How many messages wait."""
        with self._explained():
            attributes = self._client.get_queue_attributes(
                QueueUrl=self._url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateNumberOfMessagesDelayed",
                ],
            )["Attributes"]
        return Depth(
            int(attributes.get("ApproximateNumberOfMessages", 0)),
            int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
            int(attributes.get("ApproximateNumberOfMessagesDelayed", 0)),
        )

    def receive(self, at_most: int) -> list[Message]:
        """Up to `at_most` messages, or fewer where the queue has no more to give now; empty means drained.

        Several receivers ask at once. Each stops at its first empty answer, which long polling makes trustworthy.
        """
        rounds = max(1, -(-at_most // (SQS_BATCH * self._receivers)))
        with ThreadPoolExecutor(self._receivers, thread_name_prefix=f"sqs-{self._name}") as pool, self._explained():
            return [
                m
                for messages in pool.map(lambda _: self._receive_until_empty(rounds), range(self._receivers))
                for m in messages
            ]

    def delete(self, receipts: list[Receipt]) -> int:
        """Delete what has landed. Returns how many SQS would not delete: those come again, and change nothing."""

        def delete_batch(batch: list[Receipt]) -> int:
            answer = self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(n), "ReceiptHandle": receipt.handle} for n, receipt in enumerate(batch)],
            )
            return len(answer.get("Failed", []))

        with ThreadPoolExecutor(self._receivers, thread_name_prefix=f"sqs-{self._name}") as pool, self._explained():
            return sum(pool.map(delete_batch, in_batches(receipts, SQS_BATCH)))

    def release(self, receipts: list[Receipt]) -> None:
        """Give messages back at once (visibility 0), for when they could not be landed."""
        with self._explained():
            for batch in in_batches(receipts, SQS_BATCH):
                self._client.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(n), "ReceiptHandle": receipt.handle, "VisibilityTimeout": 0}
                        for n, receipt in enumerate(batch)
                    ],
                )

    def _receive_until_empty(self, rounds: int) -> list[Message]:
        received: list[Message] = []
        for _ in range(rounds):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=SQS_BATCH,
                VisibilityTimeout=self._visibility,
                WaitTimeSeconds=1,
            ).get("Messages", [])
            if not answer:
                break
            received.extend(_message(m) for m in answer)
        return received

    @contextmanager
    def _explained(self) -> Iterator[None]:
        where = f"system {self._source.system}"
        try:
            yield
        except SvError:
            raise
        except EndpointConnectionError as error:
            raise TransientError(
                f"{where}: SQS does not answer. Check the endpoint of its defs.yaml, or start the embedded estate with `sv estate up`."
            ) from error
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
                raise ConfigurationError(
                    f"{where}: there is no queue {self._name} in this account and region. "
                    "Correct its name, or the region, in its defs.yaml; `sv doctor` tries it."
                ) from None
            if (
                code.endswith(_PASSING_FAULTS)
                or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500
            ):
                raise TransientError(
                    f"{where}: SQS is busy or ill ({code}) for queue {self._name}. Try again later."
                ) from error
            raise ConfigurationError(
                f"{where}: SQS refuses queue {self._name} ({code}). Check the credentials and what they may do: `sv doctor` tries it."
            ) from error
        except (BotoCoreError, ValueError) as error:  # boto3 raises ValueError for an endpoint that is no URL
            kind = type(error).__name__
            if "Timeout" in kind or "Connection" in kind:
                raise TransientError(f"{where}: the connection to SQS broke ({kind}). Try again later.") from error
            raise ConfigurationError(
                f"{where}: SQS cannot be used ({kind}). Set AWS credentials, region and endpoint, or start the embedded estate with `sv estate up`."
            ) from error


def _message(raw: "MessageTypeDef") -> Message:
    return Message(Receipt(raw["MessageId"], raw["ReceiptHandle"]), raw.get("Body", ""))
