"""Each declared role against each field of the customer: it sees what it may and no more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sv_assets.access.fields import Fields
from sv_assets.access.roles import DEFAULT, Grant, Roles, load_roles
from sv_assets.catalogue.entry import load_entry
from sv_assets.customers.masking import masked
from sv_assets.customers.schema import Column, columns
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Document

ROLES = load_entry(Roles, DEFAULT)
SECRET = "nobody declared this"
PERSONAL = ("value", "keys")
"""Of the customer, what is personal ends with one of these, or lies below `value`."""


def leaf_paths() -> list[str]:
    """Every field of the model that holds a value, and the wildcards of those whose names are data."""
    found = [c.path.replace("[]", "") for c in columns() if not _holds_fields(c)]
    return ["left_out.names" if p == "left_out" else f"{p}.segment.value" if p == "enrichments" else p for p in found]


def _holds_fields(column: Column) -> bool:
    return "object" in column.type and not column.type.startswith("object of")


def full_document(paths: list[str]) -> Document:
    """A document with a value of its own at every path, in lists of two, and a field that nobody declared on each level."""
    in_lists = {c.path.replace("[]", "") for c in columns() if c.type.startswith("list of object")}

    def built(prefix: str) -> Any:
        below = dict.fromkeys(p.removeprefix(prefix).split(".")[0] for p in paths if p.startswith(prefix))
        result: Document = {"undeclared": SECRET, "also": {"undeclared": [SECRET]}}
        for name in below:
            path = prefix + name
            if path in paths:
                result[name] = f"value of {path}"
            else:
                result[name] = [built(f"{path}."), built(f"{path}.")] if path in in_lists else built(f"{path}.")
        return result

    document: Document = built("")
    return document


def values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from values(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from values(item, path)
    else:
        yield path, value


def declared(paths: list[str], path: str) -> bool:
    """By plain comparison, name by name."""
    for pattern in paths:
        wanted, got = pattern.split("."), path.split(".")
        deep = wanted[-1] == "**"
        wanted = wanted[:-1] if deep else wanted
        same = all(w in ("*", g) for w, g in zip(wanted, got, strict=False))
        if same and (len(got) >= len(wanted) if deep else len(got) == len(wanted)):
            return True
    return False


@pytest.mark.parametrize("role", ROLES.roles)
def test_every_role_sees_of_every_field_what_is_declared(role: str) -> None:
    grant = ROLES.roles[role].collections.get("single_view.customers", Grant())
    seen = list(values(Fields(grant.treatments).of(full_document(leaf_paths()))))
    wrong = []
    for path in leaf_paths():
        wanted = {f"value of {path}"} if declared(grant.clear, path) else set()
        if declared(grant.masked, path):
            wanted = {f"v*** o*** {path[0]}***"}
        if {value for at, value in seen if at == path} != wanted:
            wrong.append(path)
    assert wrong == []
    assert {at for at, _ in seen if not at.startswith("enrichments.")} <= set(leaf_paths())


@pytest.mark.parametrize("role", ROLES.roles)
def test_a_field_that_nobody_declared_is_seen_by_nobody_on_no_level(role: str) -> None:
    for collection, grant in ROLES.roles[role].collections.items():
        document = full_document([p for p in leaf_paths() if not p.startswith("enrichments")])
        assert SECRET not in str(Fields(grant.treatments).of(document)), collection


def test_every_field_of_the_customer_is_declared_for_somebody() -> None:
    """What a person may ask to be told of must be seen by who tells it."""
    officer = Fields(ROLES.roles["privacy_officer"].collections["single_view.customers"].treatments)
    assert [path for path in leaf_paths() if officer.treatment(path) != "clear"] == []


def test_whoever_says_nothing_sees_no_personal_data() -> None:
    shown = masked(full_document(leaf_paths()))
    open_forms = ("title", "kind", "country", "valid_from", "valid_to")
    personal = [p for p in leaf_paths() if (".value" in p or p in PERSONAL) and p.rpartition(".")[2] not in open_forms]
    assert len(personal) > 20
    told = {value for _, value in values(shown)}
    assert [path for path in personal if f"value of {path}" in told] == []


# --- the declaration ---------------------------------------------------------------------------------------------------

GOOD = """
access_log: {keep: 30d}
purposes: {service: helping}
default: {role: agent, purpose: service}
roles:
  agent:
    description: An agent.
    purposes: [service]
    collections:
      single_view.customers: {clear: [_id], masked: ["name.value.{first,last}"]}
"""


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("clear: [_id]", "clear: [_id, name.value.last]", "name.value.last stands under more than one"),
        ("clear: [_id]", "clear: ['name..x']", "is no path"),
        ("clear: [_id]", "plain: [_id]", "Extra inputs"),
        ("purposes: [service]", "purposes: [servic]", "servic is no declared purpose"),
        ("purposes: [service]", "purposes: [service]\n    needs_reason: [audit]", "audit is none of its purposes"),
        ("single_view.customers:", "customers:", "write it as database.collection"),
        ("role: agent", "role: agnet", "name a role that is declared"),
        ("keep: 30d", "keep: long", "a duration is"),
    ],
)
def test_a_wrong_declaration_is_one_sentence_with_its_place(tmp_path: Path, was: str, becomes: str, says: str) -> None:
    file = tmp_path / "roles.yaml"
    file.write_text(GOOD)
    assert load_entry(Roles, file).roles["agent"].collections["single_view.customers"].masked[1] == "name.value.last"
    file.write_text(GOOD.replace(was, becomes, 1))
    with pytest.raises(ConfigurationError, match=says) as wrong:
        load_entry(Roles, file)
    assert str(file) in str(wrong.value)


def test_an_unknown_role_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="The roles are: newcomer, contact_centre"):
        load_roles().role("root")


@pytest.mark.parametrize("collection", ["control.customer_keys", "control.encryption_keys", "control.encryption_vault"])
def test_no_role_can_be_given_the_keys_of_sealed_fields(collection: str) -> None:
    grants = {"reader": {"description": "x", "purposes": ["audit"], "collections": {collection: {"clear": ["_id"]}}}}
    with pytest.raises(ValueError, match="no role reads it"):
        Roles.model_validate({**ROLES.model_dump(exclude={"roles", "default"}), "default": {"role": "reader", "purpose": "audit"}, "roles": grants})  # fmt: skip
