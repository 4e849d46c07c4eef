"""Tables that describe people, and tables of their addresses."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sv_assets.sources.introspect.candidates import Candidate, Score
from sv_assets.sources.introspect.capture import modified_columns
from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.introspect.references import Referring
from sv_assets.sources.introspect.words import (
    PLACES,
    Meaning,
    describes_customers,
    describes_others,
    describes_people,
    joined,
    meanings,
    table_words,
    words,
)

_ADDRESS = ("line_1", "line_2", "town", "county", "postcode", "country")
_IDENTITY = ("first", "last", "full", "email", "phone", "date_of_birth")
_WORTH_SAYING = 0.3
_KINDS = {"bill": "billing", "billing": "billing", "invoice": "billing"}


def party(table: TableFound, references: Sequence[Referring]) -> Candidate | None:
    """Each row describes a person; or, in a table that refers to customers, each row that refers to none (guests)."""
    said = meanings(table)
    found = _of_one_person(said)
    guest = _guest_reference(table, found, references)
    score = Score()
    _add_identity(score, found)
    address = address_fields(said)
    if address:
        score.add(0.1, "an address")
    others = describes_others(table)
    limit = 0.99
    if guest is not None:
        score.add(0.15, f"guests, where {guest} is empty")
    elif describes_customers(table):
        score.add(0.35, "its name")
    elif describes_people(table):
        score.add(0.15, "its name")
    if others:
        limit = 0.4
        score.because.append(f"but its name says {others}")
    name = {part: found[part] for part in ("title", "first", "middle", "last", "full") if part in found}
    if "first" in name or "last" in name:
        name.pop("full", None)
    elif list(name) == ["title"]:
        name = {}
    fields: dict[str, Any] = {
        "when_empty": guest,
        "name": name,
        "email": _one_or_list([m.column for m in said if m.kind == "email" and not PLACES & set(m.prefix)]),
        "phone": _one_or_list([m.column for m in said if m.kind == "phone" and not PLACES & set(m.prefix)]),
        "date_of_birth": found.get("date_of_birth"),
        "address": address,
        "observed_at": next(iter(modified_columns(table)), None),
    }
    candidate = score.candidate("party", fields, limit)
    return candidate if set(found) & set(_IDENTITY) and candidate.confidence >= _WORTH_SAYING else None


def linked_party(table: TableFound, referring: Referring) -> Candidate:
    """A table of customers whose names stand in a table of people."""
    score = Score()
    score.add(0.35, "its name")
    score.add(0.5 if referring.declared else 0.45, referring.because)
    same_as = [{"table": referring.table, "key": referring.column}]
    observed = next(iter(modified_columns(table)), None)
    return score.candidate("party", {"same_as": same_as, "observed_at": observed})


def address(table: TableFound, person: Referring | None) -> Candidate | None:
    """Each row is an address of a person that another table describes."""
    fields = address_fields(meanings(table))
    named = "address" in table_words(table)
    if not fields or (person is None and not named):
        return None
    score = Score()
    score.add(0.3, "address columns")
    if named:
        score.add(0.25, "its name")
    if person is None:
        score.missing.append("the column that says whose address it is")
    else:
        score.add(person.weight, person.because)
    kind = next((c.name for c in table.columns if joined(c.name) in ("addresstype", "addresskind", "kind")), None)
    dates = {joined(column.name): column.name for column in table.columns if "date" in column.type_name}
    return score.candidate(
        "address",
        {
            "party": person_reference(person),
            **{"kind": kind or fields.pop("kind", None)},
            **fields,
            "valid_from": dates.get("validfrom"),
            "valid_to": dates.get("validto"),
        },
    )


def address_fields(said: Sequence[Meaning]) -> dict[str, Any]:
    """The parts of the most complete address in a table; nothing where there is no more than a town or a country."""
    groups: dict[tuple[str, ...], dict[str, Any]] = defaultdict(dict)
    for meaning in said:
        if meaning.kind in _ADDRESS:
            groups[tuple(word for word in meaning.prefix if word in PLACES)].setdefault(meaning.kind, meaning.column)
    if not groups:
        return {}
    place = max(groups, key=lambda prefix: (len(groups[prefix]), not prefix))
    parts = groups[place]
    if len({"line_1", "town", "postcode"} & set(parts)) < 2:
        return {}
    kind: dict[str, Any] = {"kind": {"const": _KINDS.get(place[0], "delivery")}} if place else {}
    return kind | {part: parts[part] for part in _ADDRESS if part in parts}


def person_reference(person: Referring | None) -> dict[str, str] | None:
    return None if person is None else {"table": person.table, "key": person.column}


def _of_one_person(said: Sequence[Meaning]) -> dict[str, str]:
    """The first column of each meaning. Names of whoever a parcel goes to are not the customer's."""
    found: dict[str, str] = {}
    courtesy = [m for m in said if m.kind == "title" and "courtesy" in words(m.column)]
    for meaning in (*courtesy, *said):
        if not PLACES & set(meaning.prefix):
            found.setdefault(meaning.kind, meaning.column)
    return found


def _add_identity(score: Score, found: dict[str, str]) -> None:
    if "first" in found and "last" in found:
        score.add(0.35, "first and last name")
    elif "full" in found:
        score.add(0.25, "a name")
    elif "last" in found:
        score.add(0.2, "a last name")
    for kind, weight, reason in (
        ("email", 0.3, "an e-mail address"),
        ("phone", 0.15, "a phone number"),
        ("date_of_birth", 0.15, "a date of birth"),
    ):
        if kind in found:
            score.add(weight, reason)


def _guest_reference(table: TableFound, found: dict[str, str], references: Sequence[Referring]) -> str | None:
    """The nullable reference to a customer beside columns named `Guest…`."""
    if not any("guest" in words(column) for column in found.values()):
        return None
    nullable = {column.name for column in table.columns if column.nullable}
    return next((r.column for r in references if r.column in nullable), None)


def _one_or_list(columns: Sequence[str]) -> Any:
    """Mobile numbers first: they are a person's own."""
    ordered = sorted(columns, key=lambda name: not {"mobile", "cell", "cellphone"} & set(words(name)))
    return ordered[0] if len(ordered) == 1 else ordered
