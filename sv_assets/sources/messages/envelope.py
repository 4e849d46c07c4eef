"""Out of its envelopes: what SNS, EventBridge and gzip wrapped around a body, and the pointer to one that lies in S3.

`detect` takes off a layer only when it is one beyond doubt, and never looks at names that a producer chose:

- SNS: an object whose `Type` is `Notification`, whose `TopicArn` is the ARN of a topic, and whose `MessageId`,
  `Timestamp` and `Message` are text. Its content is `Message`. (Raw delivery has no envelope.)
- EventBridge: an object with an object `detail`, an `account` of twelve digits, and text in `detail-type`, `source`,
  `id`, `time` and `region`. Its content is `detail`.
- gzip: text that begins with `H4sI`, which is how base64 writes the first three bytes of a gzip stream, and how no JSON
  begins; or, in S3, those bytes themselves.

The same rules say whether a declared layer is there. SNS and EventBridge must be, where they are declared; gzip need
not, because producers use it for large bodies alone. A pointer to S3 (Amazon's Extended Client) is followed wherever it
stands, once.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sv_assets.catalogue.queue import Envelope, QueueEntry
from sv_assets.errors import DataError
from sv_assets.sources.messages.convert import is_unicode, parsed
from sv_assets.sources.messages.message import Message, PayloadStore, Pointer

MAX_LAYERS = 6
MAX_BYTES = 12 * 1024**2
"""How many bytes gzip may unpack to where the queue declares no `payloads.max_bytes`."""
MAX_MEMBERS = 1000
"""How many members a gzip stream may have: each costs a copy of what follows it."""
_DAMAGED = "the body begins as gzip does, but is cut off or damaged"
_POINTER_CLASSES = ("PayloadS3Pointer", "MessageS3Pointer")
_EVENT_FIELDS = ("detail-type", "source", "id", "time", "account", "region")
_URL_SAFE = str.maketrans("-_", "+/")

Content = str | bytes | dict[str, Any]
"""What lies in a layer: text or bytes not looked at yet, or a JSON object."""


class Unwrapping:
    """A message on its way out of its envelopes, and what they said of it.

    `message` has its payload and `pointer` is set once the body has been found in S3. `event` is the innermost
    `detail-type` of EventBridge, `attributes` are the message attributes that the innermost SNS notification carries.
    """

    def __init__(self, queue: QueueEntry, message: Message, payloads: PayloadStore | None) -> None:
        self.message = message
        self.pointer: Pointer | None = None
        self.event: str | None = None
        self.attributes: Mapping[str, Any] = {}
        self._envelope = queue.envelope
        self._max_bytes = queue.payloads.max_bytes if queue.payloads else MAX_BYTES
        self._payloads = payloads

    def document(self) -> dict[str, Any]:
        """The JSON object inside. Raises DataError where there is none, and what the store of payloads raises."""
        return self._detected() if self._envelope == "detect" else self._declared(self._envelope)

    def _detected(self) -> dict[str, Any]:
        content: Content = self.message.body
        for _ in range(2 * MAX_LAYERS + 2):  # a layer takes two steps: to read its text, and to take it off
            if not isinstance(content, dict):
                content = self._gunzipped(content) if is_gzip(content) else self._read(content)
            elif is_notification(content):
                content = self._out_of_sns(content)
            elif is_event(content):
                content = self._out_of_eventbridge(content)
            else:
                return content
        raise DataError(f"the body lies in more than {MAX_LAYERS} envelopes")

    def _declared(self, layers: Sequence[Envelope]) -> dict[str, Any]:
        content: Content = self.message.body
        for layer in layers:
            if layer == "gzip":
                content = self._without_gzip(content)
            elif layer == "sns":
                content = self._out_of_sns(self._object(content))
            elif layer == "eventbridge":
                content = self._out_of_eventbridge(self._object(content))
        return self._object(content)

    def _object(self, content: Content) -> dict[str, Any]:
        while not isinstance(content, dict):
            content = self._read(content)
        return content

    def _read(self, content: str | bytes) -> Content:
        """The object that a text is, or what lies in S3 where it is a pointer."""
        if isinstance(content, bytes):
            raise DataError("the body in S3 is not UTF-8 text")
        value = parsed(content)
        if isinstance(value, dict):
            return value
        pointer = pointer_of(value)
        if pointer is None:
            raise DataError("the body is JSON, but not an object")
        return self._payload(pointer)

    def _payload(self, pointer: Pointer) -> str | bytes:
        if self.pointer is not None:
            raise DataError("the body in S3 points to S3 again")
        self.pointer = pointer
        if self.message.payload is not None:
            return self.message.payload
        if self._payloads is None:
            raise DataError(
                "the body lies in S3: declare `payloads` with its bucket for this queue, and retry the message"
            )
        data = self._payloads.read(pointer)
        payload = _text(data)
        self.message = replace(self.message, payload=data if payload is None else payload)
        return data if payload is None else payload

    def _without_gzip(self, content: Content) -> Content:
        if not isinstance(content, dict) and not is_gzip(content):
            content = self._read(content)
        return self._gunzipped(content) if not isinstance(content, dict) and is_gzip(content) else content

    def _gunzipped(self, content: str | bytes) -> str:
        text = _text(gunzip(content, self._max_bytes))
        if text is None:
            raise DataError("the body is gzip, but what it unpacks to is not UTF-8 text")
        return text

    def _out_of_sns(self, content: dict[str, Any]) -> str:
        if not is_notification(content):
            raise DataError(
                "the queue declares the envelope sns, and this is no SNS notification: is its delivery raw?"
            )
        attributes = content.get("MessageAttributes")
        self.attributes = attributes if isinstance(attributes, dict) else {}
        return str(content["Message"])

    def _out_of_eventbridge(self, content: dict[str, Any]) -> dict[str, Any]:
        if not is_event(content):
            raise DataError("the queue declares the envelope eventbridge, and this is no whole EventBridge event")
        self.event = content["detail-type"]
        detail: dict[str, Any] = content["detail"]
        return detail


def is_notification(content: dict[str, Any]) -> bool:
    """Whether this is what SNS writes around a message (Amazon SNS, "HTTP/HTTPS notification JSON format")."""
    if content.get("Type") != "Notification":
        return False
    topic = content.get("TopicArn")
    return (
        isinstance(topic, str)
        and topic.startswith("arn:")
        and topic.split(":", 3)[2:3] == ["sns"]
        and all(isinstance(content.get(name), str) for name in ("MessageId", "Timestamp", "Message"))
    )


def is_event(content: dict[str, Any]) -> bool:
    """Whether this is an event of EventBridge (Amazon EventBridge, "Event structure")."""
    if "detail-type" not in content or not isinstance(content.get("detail"), dict):
        return False
    if not all(isinstance(content.get(name), str) for name in _EVENT_FIELDS):
        return False
    account: str = content["account"]
    return len(account) == 12 and account.isascii() and account.isdigit()


def is_gzip(content: str | bytes) -> bool:
    """Whether a gzip stream begins here, in base64 if it is text."""
    if isinstance(content, bytes):
        return content.startswith(b"\x1f\x8b\x08")
    return content.startswith("H4sI") or (content[:1].isspace() and content.lstrip().startswith("H4sI"))


def gunzip(content: str | bytes, max_bytes: int) -> bytes:
    """What a gzip stream unpacks to. In base64, line breaks, the URL-safe alphabet and missing padding are fine.

    Up to `MAX_MEMBERS` members in a row are one stream (RFC 1952). Raises DataError where it is cut off, damaged or
    followed by anything else, and for more than `max_bytes`, of which no more is unpacked.
    """
    try:
        packed = content if isinstance(content, bytes) else _base64(content)
        data = bytearray()
        for _ in range(MAX_MEMBERS):
            member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: with the header of gzip
            data += member.decompress(packed, max_bytes + 1 - len(data))
            if len(data) > max_bytes:
                raise DataError(f"the body is gzip and unpacks to more than {max_bytes:,} bytes")
            packed = member.unused_data
            if not packed or not member.eof:
                break
    except (ValueError, zlib.error):
        raise DataError(_DAMAGED) from None
    if packed or not member.eof:
        raise DataError(_DAMAGED)
    return bytes(data)


def pointer_of(value: Any) -> Pointer | None:
    """The pointer that the Extended Client of Amazon SQS or SNS sent in place of a body, if `value` is one.

    `[class name, {"s3BucketName": …, "s3Key": …}]`; the package before the name of the class differs by version, and
    where a producer has repackaged the library. Raises DataError where the class is right and the rest is not.
    """
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        return None
    if value[0].rpartition(".")[2] not in _POINTER_CLASSES:
        return None
    place = value[1] if isinstance(value[1], dict) else {}
    bucket, key = place.get("s3BucketName"), place.get("s3Key")
    if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key and is_unicode(bucket + key)):
        raise DataError("the pointer to a body in S3 does not name its s3BucketName and s3Key")
    return Pointer(bucket, key)


def _base64(text: str) -> bytes:
    bare = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
