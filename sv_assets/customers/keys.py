"""Look-up keys: what a customer or an order is found by. Each is an exact text, so every question is one index equality.

A key is `<kind>:<value>`, the value in its compared form. Partial input has kinds of its own (`phone_end`, `postcode_house`,
`name_town`): nothing is ever found by a pattern. A question makes its keys by the same functions as a document.
"""

from collections.abc import Iterable
from typing import Any

from sv_assets.identity import normalise
from sv_assets.identity.normalise.words import folded
from sv_assets.mongo import Document
from sv_assets.sources.keys import key_text

MOST = 1000
PHONE_END = 6
"""So many last digits of a number are enough to ask by."""


def of_customer(records: Iterable[Document], account_sources: frozenset[str]) -> list[str]:
    """The keys of a customer, in order; at most `MOST`, the strongest first where there were more."""
    keys: dict[str, None] = {}
    weaker: dict[str, None] = {}
    surnames: dict[str, None] = {}
    units: dict[str, None] = {}
    for record in records:
        form = record["compared"]
        keys.update((f"email:{email}", None) for email in form.get("emails", ()))
        for kind in ("mobiles", "lines"):
            for number in form.get(kind, ()):
                keys[f"phone:{number}"] = None
                weaker[phone_end(number)] = None
        if record["source"] in account_sources:
            keys[account(key_text(record["key"]))] = None
        first, last, towns = form.get("first"), form.get("last"), form.get("towns", ())
        if last:
            surnames[last] = None
        if first and last:
            weaker.update((name_town(first, last, town), None) for town in towns)
        for unit in form.get("postcodes", ()):
            units[unit] = None
            weaker[f"postcode:{unit}"] = None
        for home in form.get("homes", ()):
            place, _, unit = home.rpartition(", ")
            weaker[postcode_house(unit, place.partition(" ")[0])] = None
    keys.update((postcode_surname(unit, surname), None) for unit in units for surname in surnames)
    keys.update(weaker)
    return sorted(list(keys)[:MOST])


def of_order(number: Any, deliveries: Iterable[Document]) -> list[str]:
    """The keys of an order: its number, and the references of its parcels."""
    references = {reference for event in deliveries if (reference := event.get("reference")) is not None}
    return sorted({*([] if number is None else [order(number)]), *(delivery(r) for r in references)})


def phone_end(number: str) -> str:
    return f"phone_end:{number[-PHONE_END:]}"


def postcode_surname(unit: str, surname: str) -> str:
    return f"postcode_surname:{unit} {surname}"


def postcode_house(unit: str, house: str) -> str:
    return f"postcode_house:{unit} {house}"


def name_town(first: str, last: str, town: str) -> str:
    return f"name_town:{first} {last} {town}"


def account(number: str) -> str:
    return f"account:{_code(number)}"


def order(number: Any) -> str:
    return f"order:{_code(number)}"


def delivery(reference: Any) -> str:
    return f"delivery:{_code(reference)}"


def _code(value: Any) -> str:
    """A number as people read it out: case, blanks and hyphens do not matter."""
    return "".join(ch for ch in folded(str(value)) if ch.isalnum())


def house_number(text: str) -> str | None:
    """The house number (or the name of a house) in what a caller says: `12a`, `Flat 3, 12a High Street`, `Rose Cottage`."""
    found = normalise.address(f"{text} street") if text.strip() and " " not in text.strip() else normalise.address(text)
    return (found.number if found else None) or normalise.word(text)
