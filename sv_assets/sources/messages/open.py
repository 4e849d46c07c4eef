"""A message is opened: out of its envelopes, held against its schema, and made a record, or rejected with the reason."""

from typing import Any

from sv_assets.catalogue.queue import QueueEntry
from sv_assets.errors import DataError
from sv_assets.sources.messages.convert import for_bson, is_unicode, record_of, value_at
from sv_assets.sources.messages.envelope import Unwrapping
from sv_assets.sources.messages.message import Message, Opened, PayloadStore
from sv_assets.sources.messages.raw import raw_of
from sv_assets.sources.messages.schema import check
from sv_assets.sources.records import Rejected


def open_message(queue: QueueEntry, message: Message, payloads: PayloadStore | None) -> Opened:
    """What a message carries. `payloads` is None where the queue declares none.

    Whatever a producer sent, it is a record or rejected; a reason names paths of the catalogue and never a value. Raises
    TransientError and ConfigurationError where `payloads` does, and ConfigurationError for a schema with a broken
    reference.
    """
    unwrapping = Unwrapping(queue, message, payloads)
    event: str | None = None
    try:
        document = unwrapping.document()
        stored = for_bson(document)
        event = _event(queue, document, unwrapping)
        check(queue, event, document)
        record = record_of(queue, document, stored)
    except DataError as reason:
        whole = unwrapping.message
        return Opened(whole, Rejected(f"message {message.message_id}", str(reason), raw_of(whole)), event)
    record.message = raw_of(unwrapping.message)
    return Opened(unwrapping.message, record, event, unwrapping.pointer)


def _event(queue: QueueEntry, document: dict[str, Any], unwrapping: Unwrapping) -> str | None:
    """The event type: what the catalogue says where to find, else what EventBridge says."""
    declared = queue.event_type
    value: Any = None
    if declared is not None:
        value = value_at(document, declared) if declared.startswith("$.") else _attribute(unwrapping, declared)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    event = value if isinstance(value, str) and value else unwrapping.event
    if event is not None and not is_unicode(event):
        raise DataError("the event type is not Unicode (half of a surrogate pair)")
    return event


def _attribute(unwrapping: Unwrapping, name: str) -> Any:
    """A message attribute: of SQS, or of the SNS notification around the body."""
    value = unwrapping.message.attributes.get(name)
    carried = unwrapping.attributes.get(name)
    return carried.get("Value") if value is None and isinstance(carried, dict) else value
