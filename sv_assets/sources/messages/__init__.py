"""What a queue message carries: out of its envelopes, held against its schema, and made a record."""

from sv_assets.sources.messages.convert import path_parts
from sv_assets.sources.messages.message import Message, Opened, PayloadStore, Pointer
from sv_assets.sources.messages.open import open_message
from sv_assets.sources.messages.payloads import S3Payloads
from sv_assets.sources.messages.raw import message_of

__all__ = [
    "Message",
    "Opened",
    "PayloadStore",
    "Pointer",
    "S3Payloads",
    "message_of",
    "open_message",
    "path_parts",
]
