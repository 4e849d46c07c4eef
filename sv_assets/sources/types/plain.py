"""Converters for values without a time: numbers, text, binary and identifiers.

Each raises DataError (never naming the value) for what its type does not allow. pyodbc hands over Python's own types;
SQLite hands over text and numbers under a declared type.
"""

import math
import re
import uuid
from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

from bson import Decimal128, Int64
from bson.binary import UUID_SUBTYPE, Binary

from sv_assets.errors import DataError

Converter = Callable[[Any], Any]

_DIGITS = 34
"""How many digits a Decimal128 holds (IEEE 754-2008 decimal128)."""
_LIMIT = 10**_DIGITS
_EXPONENT_BIAS, _EXPONENT_SHIFT, _NEGATIVE, _LOW = 6176, 49, 1 << 63, (1 << 64) - 1
_MOST_DIGITS = 80
"""More than any decimal of SQL Server has: with so many, nothing here rounds."""
_EXACT = Context(prec=_MOST_DIGITS)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_FLOAT_LIMIT = 10**15
"""Decimals of 15 digits survive a double: each is told from its neighbours."""
_STEPS = 2
"""How far from the double of a decimal one may lie that a few operations made of it."""


class Marked(NamedTuple):
    """What a converter returns where the BSON value alone is not all: the value, and what stands under `_sv` beside it.

    A named tuple, because it is made for every datetime2 with microseconds: three times as fast as a frozen dataclass.
    """

    value: Any
    exact: str | None = None
    """The exact text, where the value has lost digits or is a string in place of a number."""
    offset_minutes: int | None = None
    base_type: str | None = None


def bit(value: Any) -> bool:
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise DataError("is not a bit (0 or 1)")


def integer(low: int, high: int) -> Converter:
    """Whole numbers from `low` to `high`."""

    def convert(value: Any) -> Int64:
        if isinstance(value, int) and low <= value <= high:
            return Int64(value)
        raise DataError(f"is not a whole number from {low} to {high}")

    return convert


def decimal(scale: int) -> Converter:
    """Decimals with `scale` digits after the point. Floats come from SQLite alone; what would be rounded is refused.

    But for the last bits: where SQLite computes (129.99 * 1.2), it leaves 155.98800000000003, where a decimal column of SQL
    Server holds 155.9880. Within two steps of a double it is taken for that.

    Its Decimal128 is put together from the two halves of its binary integer form: six times as fast as from a Decimal.
    """
    point, one = -scale - 1, 10**scale

    def convert(value: Any) -> Any:
        kind = type(value)
        if kind is Decimal:
            text = str(value)
        elif kind is float:
            fits = -_FLOAT_LIMIT < value * one < _FLOAT_LIMIT
            unscaled = round(value * one) if fits else 0
            # Division rounds to the nearest double, so that one stands for the decimal.
            if unscaled / one == value or (fits and abs(unscaled / one - value) <= _STEPS * math.ulp(value)):
                return _decimal128(unscaled, scale)
            text = ""
        elif kind is int:
            return _decimal128(value * one, scale)
        else:
            text = ""
        try:
            if scale == 0:
                unscaled = int(text)
            elif text[point : point + 1] == ".":
                unscaled = int(text[:point] + text[-scale:])
            else:
                raise ValueError
        except ValueError:
            unscaled = int(_quantized(value, scale).scaleb(scale, _EXACT))
        return _decimal128(unscaled, scale)

    return convert


def any_decimal(value: Any) -> Any:
    """A decimal of a column without a declared scale (SQLite's `NUMERIC`): with the digits that it has."""
    number = _number(value)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and -_MOST_DIGITS <= exponent <= 0:
        return _decimal128(int(number.scaleb(-exponent, _EXACT)), -exponent)
    try:
        return Decimal128(number)
    except ArithmeticError:
        raise DataError("is a decimal number out of Decimal128's range") from None


def floating(value: Any) -> float:
    """NaN and Infinity are refused: SQL Server has neither, and they compare with nothing."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
    elif isinstance(value, int) and abs(value) <= 2**1000 and float(value) == value:
        return float(value)
    raise DataError("is not a finite number")


def identifier(value: Any) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise DataError("is not a uniqueidentifier") from None


def identifier_as_stored(value: Any) -> Binary:
    """A uniqueidentifier as BSON keeps it. pymongo would make that of a UUID by Python code of its own, at twice the cost."""
    if type(value) is str and len(value) == 36 and value[8] == value[13] == value[18] == value[23] == "-":
        try:
            raw = bytes.fromhex(value.replace("-", ""))
        except ValueError:
            raw = b""
        if len(raw) == 16:
            return Binary(raw, UUID_SUBTYPE)
    return Binary(identifier(value).bytes, UUID_SUBTYPE)


def binary(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise DataError("is not binary")


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise DataError("is not text")


def as_it_is(value: Any) -> Any:
    """For types that SQLite alone has: text, whole numbers, doubles and binary, each as what it is."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, bytes)):
        raise DataError(f"has a type that has no rule yet ({type(value).__name__})")
    if isinstance(value, int):
        return integer(-(2**63), 2**63 - 1)(value)
    return floating(value) if isinstance(value, float) else value


def _decimal128(unscaled: int, scale: int) -> Any:
    """The number `unscaled` / 10 ** `scale`; its digits as text where they are too many."""
    high = (_EXPONENT_BIAS - scale) << _EXPONENT_SHIFT
    if -_LIMIT < unscaled < _LIMIT:
        if unscaled >= 0:
            return Decimal128((high | (unscaled >> 64), unscaled & _LOW))  # type: ignore[arg-type]
        return Decimal128((_NEGATIVE | high | (-unscaled >> 64), -unscaled & _LOW))  # type: ignore[arg-type]
    exact = format(Decimal(unscaled).scaleb(-scale, _EXACT), "f")
    return Marked(exact, exact)


def _number(value: Any) -> Decimal:
    if isinstance(value, float):
        value = repr(value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise DataError("is not a decimal number")
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise DataError("is not a decimal number") from None
    if not number.is_finite() or len(number.as_tuple().digits) > _MOST_DIGITS:
        raise DataError(f"is not a decimal number of up to {_MOST_DIGITS} digits")
    return number


def _quantized(value: Any, scale: int) -> Decimal:
    number = _number(value)
    try:
        exact = number.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    except InvalidOperation:
        exact = None
    if exact is None or exact != number:
        raise DataError(f"is not a decimal number with {scale} digits after the point")
    return exact
