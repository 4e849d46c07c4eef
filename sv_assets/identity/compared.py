"""The compared form of a record: what of a person two records are compared by, each value normalised.

| field                              | holds                                                                     |
|------------------------------------|---------------------------------------------------------------------------|
| first, others                      | the first given name; the further ones and initials                       |
| given                              | every first name that the record gives (several values, or in two fields) |
| nicknames                          | the formal names that those may stand for                                 |
| last, surnames                     | the whole surname; every surname, and their hyphened parts                |
| gender, suffix                     | what titles say (`m`, `f`); `jr`, `sr`, `2`, `3`                          |
| born                               | `1980-03-07`; kept as written where it looks like a date and is none      |
| emails, folded                     | match forms; with the dots and plus parts of gmail folded                 |
| mobiles, lines                     | E.164, numbers of one person and numbers of a place                       |
| exchanges                          | the towns whose exchanges those lines belong to                           |
| house, street, text                | of the first address: house number, street key, both lines                |
| town, county, postcode             | of the first address                                                      |
| places                             | `number street` of every address                                          |
| homes                              | `number street, postcode` of every address                                |
| streets                            | of every address, what each part of it says behind a number               |
| postcodes, towns                   | of every address                                                          |
| ids                                | strong identifiers by name: `{loyalty_card: [6335…]}`                     |

Fields without a value are left out. Placeholders are left out too.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import phonenumbers

from sv_assets.identity import normalise
from sv_assets.identity.normalise import Placeholders
from sv_assets.mongo import Document

FORM = 2
"""Goes up with each change of what is made of the same description; all records are then made anew."""
SCALARS = ("first", "last", "gender", "suffix", "born", "house", "street", "text", "town", "county", "postcode")
LISTS = (
    "given",
    "nicknames",
    "others",
    "surnames",
    "emails",
    "folded",
    "mobiles",
    "lines",
    "exchanges",
    "places",
    "homes",
    "streets",
    "postcodes",
    "towns",
)
_LIKE_A_DATE = re.compile(r"^(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})$")
_GB_MOBILE = re.compile(r"^\+447(?!0|6(?!24))\d{9}$")


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """A postal address as a source writes it."""

    line_1: str | None = None
    line_2: str | None = None
    town: str | None = None
    county: str | None = None
    postcode: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What a source says of a person, as it says it. Names, dates and identifiers may have several values."""

    title: str | None = None
    first: tuple[str, ...] = ()
    middle: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    full: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    born: dt.date | dt.datetime | str | None = None
    addresses: tuple[PostalAddress, ...] = ()
    ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def compared_form(described: Description, placeholders: Placeholders, region: str = "GB") -> Document:
    """The compared form of what a source says. `region` is the country of telephone numbers without a prefix."""
    form: Document = {}
    _add_names(form, described, placeholders)
    if born := _born(described.born):
        form["born"] = born
    emails = [e for raw in described.emails if (e := normalise.email(raw)) and not placeholders.is_email(e.match)]
    if emails:
        form["emails"] = _distinct(e.match for e in emails)
        form["folded"] = _distinct(e.folded for e in emails)
    phones = _distinct(
        p for raw in described.phones if (p := normalise.phone(raw, region)) and not placeholders.is_phone(p)
    )
    if mobiles := [p for p in phones if is_mobile(p)]:
        form["mobiles"] = mobiles
    if lines := [p for p in phones if not is_mobile(p)]:
        form["lines"] = lines
        if exchanges := _distinct(_words(exchange for line in lines if (exchange := exchange_of(line)))):
            form["exchanges"] = exchanges
    _add_addresses(form, described.addresses)
    ids = {name: values for name, raw in described.ids.items() if (values := _distinct(_words(raw)))}
    if ids:
        form["ids"] = ids
    return form


def is_mobile(e164: str) -> bool:
    """True if a number belongs to a person, not to a place: what numbering plans call a mobile number.

    Ofcom's drama numbers (07700 900xxx), which are of no type to the library, are mobile by their prefix.
    """
    return bool(_GB_MOBILE.match(e164)) or (not e164.startswith("+44") and _is_foreign_mobile(e164))


def exchange_of(e164: str) -> str | None:
    """The town whose exchange a number belongs to, as numbering plans name it (`Derby` for +44 1332 …), if to any."""
    return _exchange(e164[:9], len(e164))


def identifies(form: Document) -> bool:
    """True if there is anything in the form by which a person can be found again."""
    return any(
        form.get(name) for name in ("first", "last", "born", "emails", "mobiles", "lines", "text", "postcode", "ids")
    )


def is_more_than_a_name(form: Document) -> bool:
    """True if two records with this very form are one person: a name with a contact, a birth date or a home, or what is one's own."""
    own = form.get("emails") or form.get("mobiles") or form.get("ids")
    named = form.get("first") and form.get("last")
    return bool(own or (named and (form.get("born") or form.get("lines") or form.get("homes"))))


def _add_names(form: Document, described: Description, placeholders: Placeholders) -> None:
    given: list[str] = []
    others: list[str] = []
    surnames: list[str] = []
    for at in range(max(len(described.first), len(described.last), 1)):
        name = normalise.person_name(
            title=described.title,
            first=described.first[at] if at < len(described.first) else None,
            middle=" ".join(described.middle) if at == 0 else None,
            last=described.last[at] if at < len(described.last) else None,
            full=described.full if at == 0 else None,
        )
        if name.gender and "gender" not in form:
            form["gender"] = name.gender
        if name.suffix and "suffix" not in form:
            form["suffix"] = name.suffix
        if placeholders.is_name(name.first, name.last):
            continue
        if name.first:
            given.append(name.first)
        others += name.others
        if name.last:
            form.setdefault("last", name.last)
            surnames += [name.last, *(part for part in name.last_parts if len(part) > 1)]
    if given:
        form["first"] = given[0]
        form["given"] = _distinct(given)
        form["nicknames"] = sorted(set().union(*(normalise.nickname_groups(name) for name in given)))
    if others:
        form["others"] = _distinct(others)
    if surnames:
        form["surnames"] = _distinct(surnames)


def _add_addresses(form: Document, addresses: Iterable[PostalAddress]) -> None:
    places: list[str] = []
    homes: list[str] = []
    streets: list[str] = []
    postcodes: list[str] = []
    towns: list[str] = []
    for written in addresses:
        found = normalise.address(written.line_1, written.line_2)
        code = normalise.postcode(written.postcode, written.country) if written.postcode else None
        town, county = (normalise.word(text) if text else None for text in (written.town, written.county))
        unit = code.unit if code else None
        if not postcodes and not towns and not places and "text" not in form:
            first = {
                "house": found and found.number,
                "street": found and found.street,
                "text": found and found.text,
                "town": town,
                "county": county,
                "postcode": unit,
            }
            form.update({name: value for name, value in first.items() if value})
        streets += found.streets if found else ()
        if found and found.key:
            places.append(found.key)
            if unit:
                homes.append(f"{found.key}, {unit}")
        if unit:
            postcodes.append(unit)
        if town:
            towns.append(town)
    for name, values in (
        ("places", places),
        ("homes", homes),
        ("streets", streets),
        ("postcodes", postcodes),
        ("towns", towns),
    ):
        if values:
            form[name] = _distinct(values)


def _born(value: dt.date | dt.datetime | str | None) -> str | None:
    known = normalise.birth_date(value)
    if known:
        return known.date.isoformat()
    match = _LIKE_A_DATE.match(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) <= 1900:
        return None
    text = "-".join(match.groups())
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return text  # mistyped: still nearer to the right date than to any other
    return None


def _words(values: Iterable[str]) -> Iterable[str]:
    return (word for raw in values if (word := normalise.word(raw)))


def _distinct(values: Iterable[str]) -> list[str]:
    """Each value once, in the order given: the first one is what the record says first."""
    return list(dict.fromkeys(values))


@lru_cache(maxsize=100_000)
def _is_foreign_mobile(e164: str) -> bool:
    try:
        kind = phonenumbers.number_type(phonenumbers.parse(e164))
    except phonenumbers.NumberParseException:
        return False
    return bool(kind == phonenumbers.PhoneNumberType.MOBILE)


@lru_cache(maxsize=200_000)
def _exchange(prefix: str, length: int) -> str | None:
    """By its first eight digits: no plan needs more to tell a place."""
    from phonenumbers import geocoder  # half a second and a hundred megabytes: only where there is a landline

    try:
        number = phonenumbers.parse(prefix.ljust(length, "0"))
    except phonenumbers.NumberParseException:
        return None
    return geocoder.description_for_number(number, "en") or None
