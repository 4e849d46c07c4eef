"""Messages for the tests, and what must hold of every one that is opened."""

import base64
import datetime as dt
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import bson

from sv_assets.catalogue.queue import QueueEntry
from sv_assets.errors import DataError
from sv_assets.mongo import CODEC
from sv_assets.sources.messages import Message, Opened, PayloadStore, Pointer, message_of
from sv_assets.sources.messages.open import open_message
from sv_assets.sources.records import Record, Rejected

QUEUE = QueueEntry(name="q", key="$.account.id", version="$.v")
SENT_AT = dt.datetime(2026, 11, 1, 10, tzinfo=dt.timezone.utc)
BUCKET = "large-messages"


def body(**rest: Any) -> str:
    return json.dumps({"account": {"id": "a1"}, "v": 1, **rest})


def queue(**declared: Any) -> QueueEntry:
    return QueueEntry(name="q", key="$.account.id", version="$.v", **declared)


@dataclass
class Objects:
    """A payload store of a dictionary: what S3 is to the unwrapping of a message."""

    held: dict[str, bytes] = field(default_factory=dict)
    reads: int = 0

    def read(self, pointer: Pointer) -> bytes:
        self.reads += 1
        if pointer.key not in self.held:
            raise DataError("the body in the bucket is gone")
        return self.held[pointer.key]

    def delete(self, pointer: Pointer) -> None:
        self.held.pop(pointer.key, None)


def opened(
    text: str,
    by: QueueEntry = QUEUE,
    payloads: PayloadStore | None = None,
    attributes: Mapping[str, str | bytes] | None = None,
    payload: str | bytes | None = None,
) -> Opened:
    """The message, opened. A record can always be written; what is rejected is kept whole, and can be opened again."""
    message = Message("m-1", text, SENT_AT, attributes or {}, "g-1", payload)
    result = open_message(by, message, payloads)
    content = result.content
    if isinstance(content, Record):
        bson.encode({"_id": content.key, "v": content.version, **content.fields}, codec_options=CODEC)
    else:
        assert content.key_text == "message m-1"
        assert content.reason
        assert result.pointer is None
        stored = bson.decode(bson.encode(content.raw, codec_options=CODEC), codec_options=CODEC)
        assert message_of(stored) == message_of(content.raw) == result.message
        again = open_message(by, message_of(stored), payloads)
        assert again.content == content
    return result


def record(text: str, by: QueueEntry = QUEUE, payloads: PayloadStore | None = None, **rest: Any) -> Record:
    content = opened(text, by, payloads, **rest).content
    assert isinstance(content, Record), content.reason
    return content


def reason(text: str, by: QueueEntry = QUEUE, payloads: PayloadStore | None = None, **rest: Any) -> str:
    content = opened(text, by, payloads, **rest).content
    assert isinstance(content, Rejected)
    return content.reason


def sns(text: str, **more: Any) -> str:
    topic = "arn:aws:sns:eu-west-2:123456789012:account-changes"
    base = {"Type": "Notification", "MessageId": "n-1", "TopicArn": topic, "Message": text}
    return json.dumps({**base, "Timestamp": "2026-11-01T10:00:00.000Z", "SignatureVersion": "1", **more})


def eventbridge(detail: Any, kind: str = "AccountChanged", **more: Any) -> str:
    base = {"version": "0", "id": "e-1", "detail-type": kind, "source": "web", "account": "123456789012"}
    place = {"time": "2026-11-01T10:00:00Z", "region": "eu-west-2", "resources": []}
    return json.dumps({**base, **place, "detail": detail, **more})


def gzipped(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return base64.b64encode(gzip.compress(data)).decode()


def pointer(key: str, bucket: str = BUCKET, name: str = "software.amazon.payloadoffloading.PayloadS3Pointer") -> str:
    return json.dumps([name, {"s3BucketName": bucket, "s3Key": key}])
