"""What a queue message carries: out of its envelopes, held against its schema, and made a record."""

from sv_assets.sources.messages.convert import path_parts
from sv_assets.sources.messages.message import Message, Opened, PayloadStore, Pointer
from sv_assets.sources.messages.raw import message_of

__all__ = [
    "Message",
    "Opened",
    "PayloadStore",
    "Pointer",
    "message_of",
    "path_parts",
]
