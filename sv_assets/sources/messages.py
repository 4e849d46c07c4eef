"""A queue message becomes a record: its body, its business key and the version that the catalogue declares."""

import json
from decimal import Decimal, DecimalException
from typing import Any

from bson import Decimal128, Int64

from sv_assets.catalogue.model import QueueEntry
from sv_assets.errors import DataError
from sv_assets.sources.records import Record, Rejected, Version

MAX_DEPTH = 90
"""BSON nests 100 deep; the body stands a few levels down."""


def path_parts(path: str) -> list[str]:
    """`$.account.id` as `[account, id]`."""
    return path.removeprefix("$.").split(".")


def convert_message(queue: QueueEntry, message_id: str, body: str) -> Record | Rejected:
    """The record of a message. `fields` is `{body: …}`; numbers keep every digit."""
    try:
        document = _parsed(body)
        key = _key(document, queue.key)
        version = _version(document, queue.version)
        _check_declared_paths(queue, document)
        document = _for_bson(document, 0)
    except DataError as reason:
        return Rejected(f"message {message_id}", str(reason), {"message_id": message_id, "body": body})
    return Record(key, key, {"body": document}, version)


def _parsed(body: str) -> dict[str, Any]:
    try:
        document = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (json.JSONDecodeError, RecursionError, DecimalException, ValueError):
        raise DataError("the body is not JSON") from None
    if not isinstance(document, dict):
        raise DataError("the body is JSON, but not an object")
    return document


def _refuse_constant(_name: str) -> Any:
    raise DataError("the body holds NaN or Infinity, which JSON has no numbers for")


def _at(document: dict[str, Any], path: str) -> Any:
    value: Any = document
    for part in path_parts(path):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _check_declared_paths(queue: QueueEntry, document: dict[str, Any]) -> None:
    for path in queue.paths:
        if isinstance(_at(document, path), (dict, list)):
            raise DataError(f"{path} is declared as one value and holds a list or an object")


def _key(document: dict[str, Any], path: str) -> str:
    value = _at(document, path)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"the key {path} is missing, or neither text nor a whole number")
    return str(value)


def _version(document: dict[str, Any], path: str) -> Version:
    value = _at(document, path)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"the version {path} is missing, or neither text nor a whole number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise DataError(f"the version {path} does not fit 64 bits")
    return value


def _for_bson(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise DataError(f"the body nests deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        if any("\0" in name for name in value):
            raise DataError("the body has a field name with a null character")
        if not all(_is_unicode(name) for name in value):
            raise DataError("the body has a field name that is not Unicode (half of a surrogate pair)")
        return {name: _for_bson(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_for_bson(item, depth + 1) for item in value]
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Int64(value) if -(2**63) <= value < 2**63 else _number(Decimal(value))
    if isinstance(value, str) and not _is_unicode(value):
        raise DataError("the body holds text that is not Unicode (half of a surrogate pair)")
    return value


def _number(value: Decimal) -> Any:
    """Decimal128 where its 34 digits hold the number exactly, else its text."""
    if len(value.as_tuple().digits) <= 34:
        try:
            return Decimal128(value)
        except (DecimalException, ValueError):
            pass
    return str(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
