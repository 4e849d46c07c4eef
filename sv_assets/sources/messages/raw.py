"""A message as quarantine keeps it, and back: an entry holds all that it takes to open the message again."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sv_assets.errors import DataError
from sv_assets.sources.messages.convert import is_unicode
from sv_assets.sources.messages.message import Message

UNKNOWN = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
"""`sent_at` of an entry from the days when quarantine kept the id and the body alone."""


def raw_of(message: Message) -> dict[str, Any]:
    """`{message_id, body, sent_at, attributes, group, payload}`, without what the message does not have.

    BSON holds it as it is: text that is not Unicode (half of a surrogate pair) stands there as bytes.
    """
    raw: dict[str, Any] = {
        "message_id": message.message_id,
        "body": _storable(message.body),
        "sent_at": message.sent_at,
    }
    if message.attributes:
        raw["attributes"] = {name: _storable(value) for name, value in message.attributes.items()}
    if message.group is not None:
        raw["group"] = message.group
    if message.payload is not None:
        raw["payload"] = message.payload
    return raw


def _storable(value: str | bytes) -> str | bytes:
    return value if isinstance(value, bytes) or is_unicode(value) else value.encode(errors="surrogatepass")


def message_of(raw: Mapping[str, Any]) -> Message:
    """The message that `raw_of` made `raw` of. Raises DataError for an entry that holds only the outline of one."""
    sent_at, body = raw.get("sent_at", UNKNOWN), raw.get("body")
    if not isinstance(body, (str, bytes)) or not isinstance(sent_at, dt.datetime) or "message_id" not in raw:
        raise DataError("the entry does not hold its message, only its outline: look for it in the archive, or in S3")
    return Message(
        raw["message_id"],
        body if isinstance(body, str) else body.decode(errors="surrogatepass"),
        sent_at,
        raw.get("attributes", {}),
        raw.get("group"),
        raw.get("payload"),
    )
