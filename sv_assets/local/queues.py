"""The queues of the embedded estate: made, emptied and filled as their owning department would."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sv_assets.errors import SvError
from sv_assets.local.generator.rows import Message
from sv_assets.local.generator.sales import DELIVERIES
from sv_assets.local.generator.web import ACCOUNTS

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

QUEUES = (ACCOUNTS, DELIVERIES)
_BATCH = 10
_SENDERS = 4


def sqs_client(urls: Mapping[str, str]) -> "SQSClient":
    """A client for the estate's SQS, from SQS_ENDPOINT_URL and the AWS_* entries beside it."""
    return boto3.client(
        "sqs",
        endpoint_url=urls["SQS_ENDPOINT_URL"],
        region_name=urls.get("AWS_DEFAULT_REGION", "eu-west-2"),
        aws_access_key_id=urls.get("AWS_ACCESS_KEY_ID", "test"),
        aws_secret_access_key=urls.get("AWS_SECRET_ACCESS_KEY", "test"),
        config=Config(max_pool_connections=_SENDERS, retries={"max_attempts": 5, "mode": "standard"}, read_timeout=60),
    )


def dead_letter_name(queue: str) -> str:
    """`name` -> `name-dlq`, `name.fifo` -> `name-dlq.fifo`."""
    return f"{queue.removesuffix('.fifo')}-dlq.fifo" if queue.endswith(".fifo") else f"{queue}-dlq"


def ensure_queues(client: "SQSClient") -> dict[str, str]:
    """The URL by name of every queue and dead-letter queue; those that are missing are created."""
    urls: dict[str, str] = {}
    for queue in QUEUES:
        fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "false"} if queue.endswith(".fifo") else {}
        keep = {**fifo, "MessageRetentionPeriod": "1209600"}
        dead = dead_letter_name(queue)
        urls[dead] = _ensure_queue(client, dead, keep)
        arn = client.get_queue_attributes(QueueUrl=urls[dead], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
        urls[queue] = _ensure_queue(client, queue, {**keep, "VisibilityTimeout": "60", "RedrivePolicy": redrive})
    return urls


def _ensure_queue(client: "SQSClient", name: str, attributes: dict[str, str]) -> str:
    try:
        return client.get_queue_url(QueueName=name)["QueueUrl"]
    except client.exceptions.QueueDoesNotExist:
        return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type]


def empty_queues(client: "SQSClient") -> dict[str, str]:
    """All queues present and empty; returns their URLs by name."""
    urls = ensure_queues(client)
    for url in urls.values():
        client.purge_queue(QueueUrl=url)
    return urls


def send(
    client: "SQSClient",
    messages: Iterable[Message],
    *,
    nonce: str,
    sent: Callable[[int], None] = lambda count: None,
    senders: int = _SENDERS,
) -> dict[str, int]:
    """Sends everything, in flat memory, and returns the counts by queue.

    A group's messages keep their order: a group always has the same sender, which sends one batch after the other.
    The standard queue's order is kept only with `senders=1`. `nonce` makes de-duplication ids new, so that what was
    sent and purged a minute ago can be sent again. Raises SvError when a message is not taken.
    """
    urls = ensure_queues(client)
    counts: dict[str, int] = dict.fromkeys(QUEUES, 0)

    def send_lane(lane: list[Message]) -> None:
        for queue in QUEUES:
            for batch in _batches([message for message in lane if message.queue == queue]):
                _send_batch(client, urls[queue], batch, nonce)

    source = iter(messages)
    try:
        with ThreadPoolExecutor(senders) as pool:
            while window := list(islice(source, _BATCH * senders * 25)):
                running = {pool.submit(send_lane, lane) for lane in _lanes(window, senders) if lane}
                _wait_for_all(running)
                for message in window:
                    counts[message.queue] += 1
                sent(len(window))
    except (BotoCoreError, ClientError) as error:
        raise SvError(f"SQS does not take messages ({type(error).__name__}); look at `sv estate status`.") from error
    return counts


def _lanes(messages: list[Message], senders: int) -> list[list[Message]]:
    lanes: list[list[Message]] = [[] for _ in range(senders)]
    for n, message in enumerate(messages):
        lanes[(sum(message.group.encode()) if message.group else n // _BATCH) % senders].append(message)
    return lanes


def _wait_for_all(running: set[Future[None]]) -> None:
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def _batches(messages: list[Message]) -> Iterator[list[Message]]:
    for start in range(0, len(messages), _BATCH):
        yield messages[start : start + _BATCH]


def _send_batch(client: "SQSClient", url: str, batch: list[Message], nonce: str) -> None:
    entries: list[SendMessageBatchRequestEntryTypeDef] = []
    for n, message in enumerate(batch):
        entry: dict[str, Any] = {"Id": str(n), "MessageBody": message.body}
        if message.group is not None:
            entry |= {"MessageGroupId": message.group, "MessageDeduplicationId": f"{nonce}-{message.once}"}
        entries.append(entry)  # type: ignore[arg-type]
    failed = client.send_message_batch(QueueUrl=url, Entries=entries).get("Failed", [])
    if failed:
        raise SvError(
            f"SQS refused {len(failed)} messages of a batch ({failed[0]['Code']}); look at `sv estate status`."
        )
