"""What all declarations share: no unknown words, durations, and the fields that name a place in a row or message."""

import datetime as dt
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sv_assets.errors import ConfigurationError

_DURATION = re.compile(r"^(\d+)(s|m|h|d)$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> Any:
    if isinstance(value, dt.timedelta):
        return value
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration is a whole number and one of s, m, h, d: for example 30s, 5m, 1h")
    return dt.timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


Duration = Annotated[dt.timedelta, BeforeValidator(_duration, json_schema_input_type=str)]


class Entry(BaseModel):
    """Base of all declarations: unknown words are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Const(Entry):
    """A fixed value, for what the source does not say: `{const: marketing}`."""

    const: str | int | bool


Sensitivity = Literal["contact", "name", "address", "sensitive"]
"""What kind of personal data a column or a path holds."""

FieldPath = Annotated[str, Field(min_length=1)]
FieldSpec = FieldPath | Const


def as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


FieldList = Annotated[list[FieldPath], BeforeValidator(as_list, json_schema_input_type=FieldPath | list[FieldPath])]

E = TypeVar("E", bound=Entry)
LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where it is there: ten times as fast."""


def load_entry(kind: type[E], path: Path) -> E:
    """Read a YAML file that holds one declaration. Raises ConfigurationError with file, place and allowed values."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(f"There is no settings file {path}.") from None
    entry: E = _parsed(kind, path, text)
    return entry


@lru_cache(maxsize=64)
def _parsed(kind: type[E], path: Path, text: bytes) -> E:
    """Every station reads its settings again in every pass, and hardly ever finds others than before."""
    try:
        declared = yaml.load(text.decode(), Loader=LOADER)  # noqa: S506 - it is a safe one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from None
    if not isinstance(declared, dict):
        raise ConfigurationError(f"{path} holds no settings; copy the retailer's file and change what differs.")
    try:
        return kind.model_validate(declared)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the top"
        raise ConfigurationError(f"{path}: {first['msg']} (at {place})") from None
