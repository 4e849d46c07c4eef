"""Keys: the `_id` of a source row, its text, and keys on their way into a bookmark and back."""

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from bson import Decimal128, Int64

_TAGGED: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "datetime": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "time": (dt.time, dt.time.isoformat, dt.time.fromisoformat),
    "uuid": (uuid.UUID, str, uuid.UUID),
}


def document_id(parts: Sequence[Any]) -> Any:
    """The `_id` for key values in key order: the value itself for one, else one canonical string.

    The string is a JSON array, so that different keys never give the same one: quotes tell text from numbers, and
    what JSON has no type for carries the name of its type.
    """
    if len(parts) == 1:
        return key_value(parts[0])
    return json.dumps([_plain(key_value(part)) for part in parts], ensure_ascii=False, separators=(",", ":"))


def compared(part: Any, case_sensitive: bool) -> Any:
    """A key value as SQL Server compares it: text without trailing spaces, and folded unless its collation tells case.

    Trailing: Microsoft, "=" (Transact-SQL): padded to one length before they are compared, in every collation. Folded:
    one letter to one letter, never one to two (ß stays), so that what SQL Server tells apart is not made the same.
    Accents, kana and width are left as they are. Other values are unchanged.
    """
    if not isinstance(part, str):
        return part
    text = part.rstrip(" ")
    if case_sensitive:
        return text
    if text.isascii():
        return text.lower()
    return "".join(map(_folded, text))


def compared_id(parts: Sequence[Any], case_sensitive: Sequence[bool]) -> Any:
    """The `_id` that key values would have as SQL Server compares them: equal for keys that it takes as equal."""
    return document_id([compared(part, tells) for part, tells in zip(parts, case_sensitive, strict=True)])


def key_value(value: Any) -> Any:
    """A decimal as a key: a whole number where it is one (so that `numeric(9,0)` and `int` meet), else its text."""
    if type(value) is not Decimal128:
        return value
    number = value.to_decimal()
    whole = number == number.to_integral_value() and abs(number) < 2**63
    return Int64(int(number)) if whole else str(number)


def key_text(identifier: Any) -> str:
    """An `_id` as text, for record ids, reports and quarantine."""
    if isinstance(identifier, str):
        return identifier
    if type(identifier) is Int64:
        return str(identifier)
    plain = _plain(identifier)
    return (
        str(plain)
        if isinstance(plain, int)
        else str(next(iter(plain.values())))
        if isinstance(plain, dict)
        else str(plain)
    )


def freeze(value: Any) -> Any:
    """A raw key value of a driver, made fit for a bookmark without losing anything."""
    for tag, (kind, to_text, _) in _TAGGED.items():
        if type(value) is kind:
            return {tag: to_text(value)}
    return value


def thaw(value: Any) -> Any:
    """The inverse of `freeze`."""
    if isinstance(value, dict):
        ((tag, text),) = value.items()
        return _TAGGED[tag][2](text)
    return value


def _folded(letter: str) -> str:
    return next((folded for folded in (letter.casefold(), letter.lower()) if len(folded) == 1), letter)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Decimal128):
        return {"decimal": str(value.to_decimal())}
    if isinstance(value, dt.datetime):
        return {"date": value.isoformat()}
    if isinstance(value, uuid.UUID):
        return {"uuid": str(value)}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return {type(value).__name__: repr(value)}
