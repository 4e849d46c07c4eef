"""A message, as its producer sent it and as we understand it."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sv_assets.sources.records import Record, Rejected


@dataclass(frozen=True, slots=True)
class Message:
    """A message as its producer sent it: the queue, the archive and the quarantine hold the same.

    `sent_at` is by the clock of SQS, not the producer's. `attributes` are the message attributes, text or bytes.
    `payload` is the body where that lay in S3 and has been read from there: text, or the bytes that are not UTF-8.
    """

    message_id: str
    body: str = field(repr=False)
    sent_at: dt.datetime
    attributes: Mapping[str, str | bytes] = field(default_factory=dict, repr=False)
    group: str | None = None
    payload: str | bytes | None = field(default=None, repr=False)

    @property
    def memory(self) -> int:
        """About how many bytes it takes in our hands, with what is made of it (measured: 6.3 KB for a body of 630)."""
        return 4000 + 4 * (len(self.body) + len(self.payload or ""))


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where in S3 a body lies that was too large for SQS. Its producer chose the key, so that is shown nowhere."""

    bucket: str
    key: str = field(repr=False)


class PayloadStore(Protocol):
    """S3, as far as the bodies of messages lie there."""

    def read(self, pointer: Pointer) -> bytes:
        """The whole object. Raises DataError for one that is too large, gone, or in a bucket that is not allowed,
        TransientError where S3 does not answer, and ConfigurationError where it does not let us read the bucket."""
        ...

    def delete(self, pointer: Pointer) -> None:
        """Remove the object, if the catalogue wants that; raises what `read` raises, except DataError."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A message out of its envelopes: the record it carries, or why there is none.

    `message` holds the payload where it came from S3. `pointer` says what to delete after the message; it is None
    without a record, so that what went to quarantine stays in S3 until it lands.
    """

    message: Message
    content: Record | Rejected = field(repr=False)
    event: str | None = field(default=None, repr=False)
    pointer: Pointer | None = None
