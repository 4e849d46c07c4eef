"""A JSON document becomes a record: its fields, its business key and the version that the catalogue declares."""

import json
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any

from bson import Decimal128, Int64

from sv_assets.catalogue.queue import QueueEntry
from sv_assets.errors import DataError
from sv_assets.sources.messages.moments import sortable
from sv_assets.sources.records import Record, Version

MAX_DEPTH = 90
"""BSON nests 100 deep; the body stands a few levels down."""


def path_parts(path: str) -> list[str]:
    """`$.account.id` as `[account, id]`."""
    return path.removeprefix("$.").split(".")


def value_at(document: dict[str, Any], path: str) -> Any:
    """What stands at `path`; None where nothing does."""
    value: Any = document
    for part in _parts(path):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def parsed(text: str) -> Any:
    """The JSON value that `text` is, every number with all its digits. Raises DataError where it is none."""
    try:
        return _DECODER.decode(text)
    except (RecursionError, DecimalException, ValueError):
        raise DataError("the body is not JSON") from None


def record_of(queue: QueueEntry, document: dict[str, Any], stored: dict[str, Any]) -> Record:
    """The record of a document, as `stored` by `for_bson`. `fields` is `{body: …}`.

    Raises DataError where its key or version is missing, or where a declared path holds more than one value.
    """
    key = _key(document, queue.key)
    version = _version(document, queue.version)
    _check_declared_paths(queue, document)
    return Record(key, key, {"body": stored}, version)


def for_bson(document: dict[str, Any]) -> dict[str, Any]:
    """The document as MongoDB can hold it, numbers with every digit. Raises DataError for one that it cannot hold."""
    stored: dict[str, Any] = _for_bson(document, 0)
    return stored


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold it: false with half of a surrogate pair in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=4096)
def _parts(path: str) -> tuple[str, ...]:
    return tuple(path_parts(path))


def _refuse_constant(_name: str) -> Any:
    raise DataError("the body holds NaN or Infinity, which JSON has no numbers for")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


def _check_declared_paths(queue: QueueEntry, document: dict[str, Any]) -> None:
    for path in queue.paths:
        if isinstance(value_at(document, path), (dict, list)):
            raise DataError(f"{path} is declared as one value and holds a list or an object")


def _key(document: dict[str, Any], path: str) -> str:
    value = value_at(document, path)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"the key {path} is missing, or neither text nor a whole number")
    return str(value)


def _version(document: dict[str, Any], path: str) -> Version:
    value = value_at(document, path)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"the version {path} is missing, or neither text nor a whole number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise DataError(f"the version {path} does not fit 64 bits")
    return sortable(value) if isinstance(value, str) else value


def _for_bson(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise DataError(f"the body nests deeper than {MAX_DEPTH} levels")
    kind = type(value)
    if kind is str:
        if not value.isascii() and not is_unicode(value):
            raise DataError("the body holds text that is not Unicode (half of a surrogate pair)")
        return value
    if kind is dict:
        for name in value:
            _check_name(name)
        return {name: _for_bson(item, depth + 1) for name, item in value.items()}
    if kind is list:
        return [_for_bson(item, depth + 1) for item in value]
    if kind is int:
        return Int64(value) if -(2**63) <= value < 2**63 else _number(Decimal(value))
    return _number(value) if kind is Decimal else value


def _check_name(name: str) -> None:
    if "\0" in name:
        raise DataError("the body has a field name with a null character")
    if not name.isascii() and not is_unicode(name):
        raise DataError("the body has a field name that is not Unicode (half of a surrogate pair)")


def _number(value: Decimal) -> Any:
    """Decimal128 where its 34 digits hold the number exactly, else its text."""
    if len(value.as_tuple().digits) <= 34:
        try:
            return Decimal128(value)
        except (DecimalException, ValueError):
            pass
    return str(value)
