"""Look-up keys: what a customer or an order is found by. Each is an exact text, so every question is one index equality.

A key is `<kind>:<value>`, the value in its compared form. Partial input has kinds of its own (`phone_end`, `postcode_house`,
`name_town`): nothing is ever found by a pattern. A question makes its keys by the same functions as a document. Keys that are
made of a sealed field are kept as keyed hashes (`sealed.hashed_kinds`).
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

from sv_assets.errors import ConfigurationError
from sv_assets.identity import normalise
from sv_assets.identity.normalise.words import folded
from sv_assets.mongo import Document
from sv_assets.sources.keys import key_text, key_value

MOST = 1000
MADE_OF = {
    "email": ("emails.value",),
    "phone": ("phones.value",),
    "phone_end": ("phones.value",),
    "postcode": ("addresses.value.postcode",),
    "postcode_surname": ("addresses.value.postcode", "names.value.last"),
    "postcode_house": ("addresses.value.postcode", "addresses.value.line_1"),
    "name_town": ("names.value.first", "names.value.last", "addresses.value.town"),
    "name_born": ("names.value.first", "names.value.last", "dates_of_birth.value"),
    "account": ("accounts.record",),
}
"""By kind of key, the fields of the customer document that its value tells."""
PHONE_END = 6
"""So many last digits of a number are enough to ask by."""


def of_customer(records: Iterable[Document], account_sources: frozenset[str]) -> list[str]:
    """The keys of a customer, in order; at most `MOST`, the strongest first where there were more."""
    strong: set[str] = set()
    weak: set[str] = set()
    surnames: set[str] = set()
    units: set[str] = set()
    names: set[tuple[str, str]] = set()
    births: set[str] = set()
    towns: set[str] = set()
    for record in records:
        form = record["compared"]
        for email in form.get("emails", ()):
            strong.add(f"email:{email}")
        for number in (*form.get("mobiles", ()), *form.get("lines", ())):
            strong.add(f"phone:{number}")
            weak.add(phone_end(number))
        if record["source"] in account_sources and says_something(key_text(record["key"])):
            strong.add(account(key_text(record["key"])))
        first, last = form.get("first"), form.get("last")
        if last:
            surnames.add(last)
            if first:
                names.add((first, last))
        if form.get("born"):
            births.add(form["born"])
        units.update(form.get("postcodes", ()))
        towns.update(form.get("towns", ()))
        for home in form.get("homes", ()):
            place, _, unit = home.rpartition(", ")
            weak.add(postcode_house(unit, _house(place, form.get("streets", ()))))
    for unit in units:
        weak.add(f"postcode:{unit}")
        strong.update([postcode_surname(unit, surname) for surname in surnames])
    weak.update([name_town(first, last, town) for first, last in names for town in towns])
    strong.update([name_born(first, last, born) for first, last in names for born in births])
    weak -= strong
    found = sorted(strong)
    return sorted([*found[:MOST], *sorted(weak)[: max(MOST - len(found), 0)]])


def of_order(number: Any, deliveries: Iterable[Document]) -> list[str]:
    """The keys of an order: its number, and the references of its parcels."""
    references = [event.get("reference") for event in deliveries]
    numbers = [order(number)] if says_something(number) else []
    return sorted({*numbers, *(delivery(reference) for reference in references if says_something(reference))})


def says_something(value: Any) -> bool:
    """False for what is no number to ask by: nothing, or punctuation."""
    return value is not None and bool(_code(value))


def asked(part: str, value: Any) -> str:
    """What somebody asks by, as it may be given to the server. Raises ConfigurationError for what is no text."""
    if isinstance(value, str):
        with suppress(UnicodeEncodeError):
            value.encode()
            return value
    raise ConfigurationError(f"What is asked by as {part} is no text. Give it as plain letters and digits.")


def phone_end(number: str) -> str:
    return f"phone_end:{number[-PHONE_END:]}"


def postcode_surname(unit: str, surname: str) -> str:
    return f"postcode_surname:{unit} {surname}"


def postcode_house(unit: str, house: str) -> str:
    return f"postcode_house:{unit} {house}"


def name_town(first: str, last: str, town: str) -> str:
    return f"name_town:{first} {last} {town}"


def name_born(first: str, last: str, born: str) -> str:
    """By name and birth date (ISO)."""
    return f"name_born:{first} {last} {born}"


def account(number: str) -> str:
    return f"account:{_code(number)}"


def order(number: Any) -> str:
    return f"order:{_code(number)}"


def delivery(reference: Any) -> str:
    return f"delivery:{_code(reference)}"


def _code(value: Any) -> str:
    """A number as people read it out: case, blanks and hyphens do not matter."""
    text = folded(str(key_value(value)))
    return text if text.isalnum() else "".join(ch for ch in text if ch.isalnum())


def house_number(text: str) -> str | None:
    """The house number (or the name of a house) in what a caller says: `12a`, `Flat 3, 12a High Street`, `Rose Cottage`."""
    said = text.strip()
    found = normalise.address(f"{said} street" if " " not in said else said)
    if found and found.number:
        return found.number
    named = normalise.address(said)
    return named.streets[0] if named and named.streets else normalise.word(said)


def _house(place: str, streets: Collection[str]) -> str:
    """The house of a place (`12a high st`, `rose cott high st`): its number, or its name where the rest is a street."""
    named = (s for s in streets if place.startswith(f"{s} ") and place[len(s) + 1 :] in streets)
    return next(named, place.partition(" ")[0])
