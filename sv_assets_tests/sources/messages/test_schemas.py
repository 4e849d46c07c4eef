"""A message is held against the schema of its type and version, exactly, and the reason shows nothing of what it holds."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.catalogue.queue import QueueEntry
from sv_assets.errors import ConfigurationError
from sv_assets.sources.messages.schema import schemas_of
from sv_assets.sources.records import Record, Rejected
from sv_assets_tests.sources.messages.opened import body, eventbridge, opened, queue, reason, record
from sv_assets_tests.sources.messages.test_convert import JSON

EMAIL = {"type": "object", "required": ["email"], "properties": {"email": {"type": "string"}}}


def held_against(schema: dict[str, Any], **declared: Any) -> QueueEntry:
    return queue(schemas=[{"json_schema": schema, **declared}])


def of_x(schema: Any) -> QueueEntry:
    return held_against({"properties": {"x": schema}})


def test_a_message_that_fits_lands_with_the_fields_that_the_schema_does_not_know() -> None:
    by = held_against(EMAIL)
    assert record(body(email="a@example.com", more=[1]), by).fields["body"]["more"] == [1]


def test_the_reason_names_what_is_missing_and_what_does_not_fit() -> None:
    schema = {
        "required": ["email", "name", "v"],
        "properties": {
            "total": {"type": ["number", "null"], "minimum": 0.5},
            "lines": {"type": "array", "items": {"required": ["sku"], "properties": {"price": {"type": "number"}}}},
            "country": {"enum": ["GB"]},
        },
    }
    by = held_against(schema)
    text = body(total=0.4, lines=[{"price": "x"}, {"price": 1, "sku": 1}, {}], country="FR")
    assert reason(text, by) == (
        "the body does not fit the schema of any event, version 1: "
        "$: required, but email, name missing; $.total: minimum 0.5; $.lines[*]: required, but sku missing; "
        "$.lines[*].price: type number; $.country: enum"
    )
    assert "$.total: type number or null" in reason(body(total="?"), by)


def test_no_more_than_five_problems_are_told() -> None:
    by = held_against({"properties": {f"f{n}": {"type": "string"} for n in range(50)}})
    why = reason(body(**{f"f{n}": n for n in range(50)}), by)
    assert why.count(": type string") == 5
    assert why.endswith("; and more")


def test_many_missing_fields_are_counted() -> None:
    assert "f9 and 90 more missing" in reason(body(), held_against({"required": [f"f{n}" for n in range(100)]}))


SECRET = "S3CR3T"
SECRETIVE = [
    {"additionalProperties": {"type": "object", "additionalProperties": {"type": "null"}}},
    {"additionalProperties": False},
    {"patternProperties": {"S": {"type": "null"}}},
    {"propertyNames": {"maxLength": 3}},
    {"unevaluatedProperties": False},
    {"properties": {"known": {"enum": ["a"]}}},
    {"properties": {"known": {"pattern": "^a"}}},
    {"properties": {"known": {"const": "a"}}},
    {"properties": {"known": False}},
    {"properties": {"known": {"type": "array", "uniqueItems": True}}},
    {"properties": {"known": {"contains": {"type": "null"}}}},
    {"properties": {"known": {"anyOf": [{"type": "null"}, {"pattern": "^a"}]}}},
    {"properties": {"known": {"oneOf": [{"type": "string"}, {"minLength": 1}]}}},
    {"properties": {"known": {"not": {}}}},
    {"dependentRequired": {"known": ["other"]}},
    {"if": {"required": ["known"]}, "then": {"required": ["other"]}},
]


@pytest.mark.parametrize("schema", SECRETIVE, ids=lambda schema: next(iter(schema)))
def test_the_reason_shows_no_value_and_no_name_that_the_schema_does_not_know(schema: dict[str, Any]) -> None:
    by = held_against(schema)
    values = (SECRET, [SECRET, SECRET], {SECRET: {SECRET: SECRET}})
    contents = [opened(body(**{"known": value, SECRET: {SECRET: SECRET}}), by).content for value in values]
    reasons = [content.reason for content in contents if isinstance(content, Rejected)]
    assert reasons
    assert SECRET not in " ".join(reasons)


@settings(deadline=None)
@given(JSON, st.sampled_from(SECRETIVE))
def test_arbitrary_documents_under_arbitrary_schemas_never_raise(value: Any, schema: dict[str, Any]) -> None:
    opened(body(known=value, other=value), held_against(schema))


VERSIONED = queue(
    event_type="$.type",
    schema_version="$.sv",
    schemas=[
        {"event": "A", "version": 2, "json_schema": {"required": ["a2"]}},
        {"event": "A", "version": 5, "json_schema": {"required": ["a5"]}},
        {"version": 3, "json_schema": {"required": ["any3"]}},
    ],
)


@pytest.mark.parametrize(
    ("event", "version", "missing"),
    [
        ("A", 2, "a2"), ("A", 4, "a2"), ("A", 5, "a5"), ("A", 99, "a5"), ("A", "5", "a5"), ("A", "5.1-rc", "a5"), ("A", "v5", "a5"),
        ("A", 5.9, "a5"), ("A", 4.9, "a2"), ("A", None, "a2"), ("B", 3, "any3"), ("B", None, "any3"), (None, 3, "any3"),
    ],
)  # fmt: skip
def test_the_schema_is_the_highest_that_is_not_above_the_version(event: Any, version: Any, missing: str) -> None:
    assert f"required, but {missing} missing" in reason(body(type=event, sv=version), VERSIONED)
    record(body(type=event, sv=version, **{missing: 1}), VERSIONED)


@pytest.mark.parametrize("version", ["latest", True, {}, [], "", "-1", "1" * 30, "\u0663"])
def test_a_schema_version_that_is_none_is_rejected(version: Any) -> None:
    assert reason(body(type="A", sv=version), VERSIONED) == (
        "the schema version $.sv is neither a number nor text that begins with one"
    )


@pytest.mark.parametrize("version", [1, 0, -7, "1", -(10**30), Decimal("1.99")])
def test_a_version_below_the_lowest_is_rejected(version: Any) -> None:
    text = body(type="A", sv="?").replace('"?"', str(version) if not isinstance(version, str) else f'"{version}"')
    assert reason(text, VERSIONED) == "no schema of A is declared for the version of this message: the lowest is 2"


@pytest.mark.parametrize("version", ["1E+9999999", "9" * 4000])
def test_an_absurd_version_is_only_high(version: str) -> None:
    assert "a5 missing" in reason(body(type="A", sv="?").replace('"?"', version), VERSIONED)


def test_a_type_without_a_schema_is_rejected() -> None:
    by = queue(event_type="$.type", schemas=[{"event": "A", "json_schema": {}}])
    assert "no schema is declared for B.changed: add one" in reason(body(type="B.changed"), by)
    assert "the message has no event type ($.type)" in reason(body(), by)
    assert "no schema is declared for this event type" in reason(body(type="zoe@example.com"), by)
    by = queue(event_type="$.type", schemas=[{"event": "A b@c", "json_schema": {"required": ["a"]}}])
    assert "the schema of A b@c, version 1" in reason(body(type="A b@c"), by)


def test_the_type_that_eventbridge_says_chooses_the_schema() -> None:
    by = queue(schemas=[{"event": "AccountChanged", "json_schema": EMAIL}])
    assert "email missing" in reason(eventbridge(json.loads(body())), by)
    record(eventbridge(json.loads(body(email="a"))), by)


@pytest.mark.parametrize(
    ("schema", "fitting", "unfitting"),
    [
        ({"multipleOf": 0.01}, ["19.99", "0.07", "1E+400", "0", "-0.03", "3"], ["0.005", "1e-7000", "19.999"]),
        ({"multipleOf": 0.1}, ["0.3", "1.1", "1E+999999"], ["0.35"]),
        ({"multipleOf": 7}, ["7", "14.0", "-21", "7E+30"], ["8", "7.5", "1E+999999", "1" * 5000 + ".0"]),
        ({"multipleOf": 1e3}, ["1000", "1E+3", "3000.0"], ["100", "1500"]),
        ({"minimum": 0.1}, ["0.1", "0.10", "0.10000000000000000001"], ["0.09999999999999999999"]),
        ({"exclusiveMaximum": 0.3}, ["0.29999999999999999999999"], ["0.3", "0.30000000000000001"]),
        ({"const": 0.1}, ["0.1", "0.10", "1e-1"], ["0.1000000000000000055511151231257827"]),
        ({"enum": [1.5, 2]}, ["1.5", "2.0", "2"], ["1", "true", '"1.5"']),
        ({"const": {"a": [0.1]}}, ['{"a": [0.10]}'], ['{"a": [0.2]}']),
        ({"type": "integer"}, ["1", "1.0", "1E+99999", "-3.00"], ["1.5", "1e-9", "true", '"1"']),
        ({"type": "number"}, ["1", "1.5"], ["true", "null"]),
        ({"uniqueItems": True}, ["[1, true, \"1\", [1], {}]", "[[1, 2], [2, 1]]"], ["[1, 1.0]", '[{"a": [0.1]}, {"a": [0.10]}]']),
        ({"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}, ["2", "3"], ["6", "1"]),
        ({"anyOf": [{"multipleOf": 2}, {"multipleOf": 3}]}, ["2", "6"], ["1"]),
    ],
)  # fmt: skip
def test_numbers_are_compared_exactly(schema: Any, fitting: list[str], unfitting: list[str]) -> None:
    by = of_x(schema)
    for literal in fitting:
        record(body(x="?").replace('"?"', literal), by)
    for literal in unfitting:
        assert "does not fit the schema" in reason(body(x="?").replace('"?"', literal), by), literal


@settings(deadline=None)
@given(st.decimals(-(10**6), 10**6, allow_nan=False, places=4), st.decimals("0.0001", 100, places=4))
def test_multiples_are_what_division_says(value: Decimal, step: Decimal) -> None:
    content = opened(body(x="?").replace('"?"', str(value)), of_x({"multipleOf": float(step)})).content
    assert isinstance(content, Record) == (int(value * 10**4) % int(step * 10**4) == 0)


LOCAL = {
    "$ref": "#/$defs/person",
    "$defs": {"person": {"required": ["name"], "properties": {"partner": {"$ref": "#/$defs/person"}}}},
}


def test_local_references_work() -> None:
    assert "$.partner.partner: required, but name missing" in reason(
        body(name="a", partner={"name": "b", "partner": {}}), held_against(LOCAL)
    )
    anchored = {"properties": {"x": {"$ref": "#money"}}, "$defs": {"m": {"$anchor": "money", "type": "number"}}}
    assert "$.x: type number" in reason(body(x="1"), held_against(anchored))


@pytest.mark.parametrize(
    "reference",
    ["https://example.com/person.json", "#/$defs/nobody", "#nobody", "other.json", "file:///etc/passwd", "http://["],
)
def test_a_reference_that_leads_out_of_the_schema_is_a_fault_of_the_catalogue(reference: str) -> None:
    by = held_against({"properties": {"x": {"items": {"$ref": reference}}}}, event="A")
    with pytest.raises(ConfigurationError, match="queue q: the schema of A, version 1, refers to") as caught:
        schemas_of(by)
    assert reference in str(caught.value)


def test_a_schema_may_say_that_it_is_of_2020_and_of_nothing_else() -> None:
    said = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {"x": {"$ref": "#"}, "n": {"type": "integer"}},
    }
    record(body(x={"n": 1.0}), held_against(said))
    with pytest.raises(ConfigurationError, match="another dialect"):
        schemas_of(held_against({"$schema": "http://json-schema.org/draft-07/schema#"}))


def test_a_schema_is_compiled_once() -> None:
    by = held_against(LOCAL)
    assert schemas_of(by) is schemas_of(by)


def test_a_deep_document_under_a_recursive_schema_is_no_error() -> None:
    deep: dict[str, Any] = {"name": "end"}
    for _ in range(80):
        deep = {"name": "x", "partner": deep}
    record(body(**deep), held_against(LOCAL))
    endless = held_against({"properties": {"x": {"$ref": "#/properties/x"}}})
    assert "refers to itself without end" in reason(body(x=1), endless)


def test_a_huge_message_that_does_not_fit_is_rejected_quickly() -> None:
    schema = {"anyOf": [{"items": {"type": "string"}}, {"uniqueItems": True}], "items": {"type": "object"}}
    by = of_x({"type": "array", **schema})
    started = time.process_time()
    assert "$.x[*]: type object" in reason(body(x=[0] * 300_000), by)
    record(body(x=[{"n": n} for n in range(50_000)]), by)
    assert time.process_time() - started < 30
