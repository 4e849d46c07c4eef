"""What a sealed value looks like: BSON binary of subtype 6, which begins with a byte for the algorithm and the id of its key."""

import os
from typing import Any
from uuid import UUID

from bson import Binary

SUBTYPE = 6
HEAD = 18
"""So many bytes stand before what is sealed: the algorithm, the id of the key, the BSON type."""
FEWEST_BYTES = HEAD + 1
DETERMINISTIC, _TEXT = 1, 2


def is_sealed(value: Any) -> bool:
    return type(value) is Binary and value.subtype == SUBTYPE


def key_of(sealed: bytes) -> UUID:
    """The id of the key that a value was sealed with."""
    return UUID(bytes=bytes(sealed[1:17]))


def shut_for_ever(key_id: UUID) -> Binary:
    """What stands where a value would be sealed with a key that was shredded: bytes that nobody opens."""
    return Binary(bytes([DETERMINISTIC]) + key_id.bytes + bytes([_TEXT]) + os.urandom(80), SUBTYPE)
