"""Messages are held against the JSON Schema (2020-12) of their event type and version.

Numbers are compared exactly, as decimals: 0.1 in a schema is 0.1, and 1.0 is an integer. `format` is an annotation, as the
standard has it, and checks nothing. References stay within the schema: nothing is ever fetched.
"""

import re
import weakref
from collections.abc import Container, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from sv_assets.catalogue.queue import EventSchema, QueueEntry
from sv_assets.errors import ConfigurationError, DataError
from sv_assets.sources.messages.convert import value_at

MAX_PROBLEMS = 5
MAX_NAMES = 10
MAX_DIGITS = 4300
"""Numbers with more digits are multiples of nothing: to find out takes too long. Python reads no longer integers either."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_LEADING_NUMBER = re.compile(r"[vV]?([0-9]{1,9})(?![0-9])")
_PLAIN_NAME = re.compile(r"[A-Za-z]+([._:-][A-Za-z][A-Za-z0-9]*)+")
_HIGHEST = 10**9


@dataclass(frozen=True, slots=True)
class Compiled:
    """A schema ready to use, and the names of fields that it knows: no others appear in a reason."""

    version: int
    validator: Any
    names: frozenset[str]


Schemas = dict[str | None, list[Compiled]]
"""The schemas of each event type by rising version; under None those for every other type."""

_COMPILED: dict[int, Schemas] = {}


def check(queue: QueueEntry, event: str | None, document: dict[str, Any]) -> None:
    """Hold a document against the schema for its event type and version; all is well where the queue declares none.

    Raises DataError with the paths and keywords that it violates, or because no schema is for it.
    """
    if not queue.schemas:
        return
    schemas = schemas_of(queue)
    candidates = schemas.get(event) or schemas.get(None)
    if candidates is None:
        raise DataError(_no_schema(queue, event))
    name = _shown(event, schemas)
    schema = _chosen(candidates, _version(queue, document), name)
    problems = _problems(schema, document)
    if problems:
        raise DataError(f"the body does not fit the schema of {name}, version {schema.version}: {'; '.join(problems)}")


def schemas_of(queue: QueueEntry) -> Schemas:
    """The schemas of a queue, compiled when first asked for. Raises ConfigurationError for one that cannot be used."""
    compiled = _COMPILED.get(id(queue))
    if compiled is None:
        compiled = {}
        for schema in sorted(queue.schemas, key=lambda one: one.version):
            compiled.setdefault(schema.event, []).append(_compile(queue, schema))
        _COMPILED[id(queue)] = compiled
        weakref.finalize(queue, _COMPILED.pop, id(queue), None)
    return compiled


def _compile(queue: QueueEntry, schema: EventSchema) -> Compiled:
    where = f"queue {queue.name}: the schema of {schema.event or 'any event'}, version {schema.version},"
    contents = _exact(schema.json_schema)
    resource = DRAFT202012.create_resource(contents)
    names: set[str] = set()
    try:
        for part in _parts(Registry().resolver_with_root(resource), resource, set()):
            if part.get("$schema", _DIALECT) != _DIALECT:
                raise ConfigurationError(f"{where} is of another dialect. Write it for JSON Schema 2020-12.")
            names.update(_names(part))
    except LookupError as error:
        raise ConfigurationError(
            f"{where} refers to {error}, which is not in it. References stay within a schema: put it under $defs."
        ) from None
    return Compiled(schema.version, _VALIDATOR(contents, registry=Registry()), frozenset(names))


def _exact(value: Any) -> Any:
    """A copy of a schema with its floats as decimals, and without its dialect, for which jsonschema would leave ours."""
    if isinstance(value, dict):
        return {name: _exact(item) for name, item in value.items() if (name, item) != ("$schema", _DIALECT)}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return Decimal(repr(value)) if isinstance(value, float) else value


def _parts(resolver: Any, resource: Resource[Any], seen: set[int]) -> Iterator[dict[str, Any]]:
    """A schema and all within it, references followed. Raises LookupError with one that leads nowhere."""
    contents = resource.contents
    if not isinstance(contents, dict) or id(contents) in seen:
        return
    seen.add(id(contents))
    yield contents
    for word in ("$ref", "$dynamicRef"):
        if word in contents:
            try:
                target = resolver.lookup(contents[word])
            except (Unresolvable, ValueError):
                raise LookupError(contents[word]) from None
            yield from _parts(target.resolver, DRAFT202012.create_resource(target.contents), seen)
    for part in resource.subresources():
        yield from _parts(resolver.in_subresource(part), part, seen)


def _names(part: dict[str, Any]) -> Iterator[str]:
    yield from part.get("properties", ())
    yield from part.get("required", ())
    yield from part.get("dependentSchemas", ())
    for name, others in part.get("dependentRequired", {}).items():
        yield from (name, *others)


def _version(queue: QueueEntry, document: dict[str, Any]) -> int | None:
    """The schema version that a message states; None where it states none.

    A number, of which the whole part counts, or text that begins with one (`2`, `2.1`, `v2`).
    """
    path = queue.schema_version
    value = value_at(document, path) if path else None
    if value is None:
        return None
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return int(min(max(value, -1), _HIGHEST))
    match = _LEADING_NUMBER.match(value) if isinstance(value, str) else None
    if match is None:
        raise DataError(f"the schema version {path} is neither a number nor text that begins with one")
    return int(match.group(1))


def _chosen(candidates: list[Compiled], version: int | None, name: str) -> Compiled:
    if version is None:
        return candidates[0]
    fitting = [schema for schema in candidates if schema.version <= version]
    if not fitting:
        raise DataError(
            f"no schema of {name} is declared for the version of this message: the lowest is {candidates[0].version}"
        )
    return fitting[-1]


def _no_schema(queue: QueueEntry, event: str | None) -> str:
    if event is None:
        where = f" ({queue.event_type})" if queue.event_type else ""
        return f"the message has no event type{where}, and no schema is declared for messages without"
    return f"no schema is declared for {_shown(event, ())}: add one to `schemas`, with or without `event`"


def _shown(event: str | None, declared: Container[str | None]) -> str:
    """An event type as a reason may show it: a declared one, or one that looks like the name of a type."""
    if event is None:
        return "any event"
    return event if event in declared or _PLAIN_NAME.fullmatch(event) else "this event type"


def _problems(schema: Compiled, document: dict[str, Any]) -> list[str]:
    """What is wrong, each place once: `$.lines[*].price: minimum 0`. A field that the schema does not name is a `*`."""
    problems: dict[str, None] = {}
    try:
        for error in islice(schema.validator.iter_errors(document), 20 * MAX_PROBLEMS):
            problems[_problem(error, schema.names)] = None
            if len(problems) > MAX_PROBLEMS:
                return [*list(problems)[:MAX_PROBLEMS], "and more"]
    except RecursionError:
        return ["it nests too deep, or the schema refers to itself without end"]
    return list(problems)


def _problem(error: ValidationError, names: frozenset[str]) -> str:
    place = "$" + "".join(
        "[*]" if isinstance(step, int) else f".{step if step in names else '*'}" for step in error.absolute_path
    )
    keyword, value = error.validator, cast(Any, error.validator_value)
    if keyword == "required" and isinstance(error.instance, dict):
        missing = [name for name in value if name not in error.instance]
        more = f" and {len(missing) - MAX_NAMES} more" if len(missing) > MAX_NAMES else ""
        return f"{place}: required, but {', '.join(missing[:MAX_NAMES])}{more} missing"
    if keyword == "type":
        return f"{place}: type {value if isinstance(value, str) else ' or '.join(value)}"
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return f"{place}: {keyword} {value}"
    return f"{place}: {keyword or 'not allowed'}"


def _is_integer(_checker: Any, value: Any) -> bool:
    if isinstance(value, Decimal):
        return value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


def _multiple_of(validator: Any, step: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "number") and not _is_multiple(Decimal(value), Decimal(step)):
        yield ValidationError("is not a multiple")


def _is_multiple(value: Decimal, step: Decimal) -> bool:
    """Exactly, and without writing out the zeros of 1E+999999."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if not any(digits):
        return True
    if len(digits) > MAX_DIGITS:
        return False
    zeros = next(n for n, digit in enumerate(reversed(digits)) if digit)
    digits, exponent = digits[: len(digits) - zeros], exponent + zeros
    _, step_digits, step_exponent = step.as_tuple()
    assert isinstance(step_exponent, int)
    if exponent < step_exponent:
        return False  # a multiple would end in a zero here
    whole_step = int(Decimal((0, step_digits, 0)))
    return int(Decimal((0, digits, 0))) * pow(10, exponent - step_exponent, whole_step) % whole_step == 0


def _unique_items(validator: Any, wanted: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    """As jsonschema's own, but in linear time: a list of 100,000 objects would keep that busy for hours."""
    if wanted and validator.is_type(value, "array") and len({_frozen(item) for item in value}) < len(value):
        yield ValidationError("has items twice")


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return "object", frozenset((name, _frozen(item)) for name, item in value.items())
    if isinstance(value, list):
        return "array", tuple(_frozen(item) for item in value)
    return ("boolean", value) if isinstance(value, bool) else value


def _any_of(validator: Any, schemas: list[Any], value: Any, _schema: Any) -> Iterator[ValidationError]:
    """As jsonschema's own, which keeps every error of every branch: gigabytes for a long list."""
    if not any(_fits(validator, schema, value) for schema in schemas):
        yield ValidationError("fits none")


def _one_of(validator: Any, schemas: list[Any], value: Any, _schema: Any) -> Iterator[ValidationError]:
    if sum(_fits(validator, schema, value) for schema in schemas) != 1:
        yield ValidationError("fits none, or more than one")


def _fits(validator: Any, schema: Any, value: Any) -> bool:
    return next(validator.descend(value, schema), None) is None


_VALIDATOR: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {"multipleOf": _multiple_of, "uniqueItems": _unique_items, "anyOf": _any_of, "oneOf": _one_of},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
