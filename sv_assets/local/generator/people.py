"""People and the households they live in: what is true of each, before any system wrote it down.

A chunk of people depends only on the seed, its number and its size: so memory is flat, and it can be made again.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import chain
from typing import NamedTuple

import numpy as np

from sv_assets.local.generator.calendar import Calendar, Draw
from sv_assets.local.generator.contacts import email_of, landline_of, mobile_of
from sv_assets.local.generator.words import (
    ABROAD,
    FEMALE_MID,
    FEMALE_OLD,
    FEMALE_YOUNG,
    MALE_MID,
    MALE_OLD,
    MALE_YOUNG,
    STREETS,
    SURNAMES,
    TOWNS,
    Town,
)

CHUNK = 2_000
"""How many people are made at once."""
_POSTCODE_LETTERS = "ABDEFGHJLNPQRSTUWXYZ"


class Address(NamedTuple):
    line1: str
    line2: str | None
    town: str
    county: str | None
    postcode: str
    country: str


class Person(NamedTuple):
    """What is true of one person. `moved` and `married` are days of the calendar (see Calendar), None for never."""

    number: int
    title: str | None
    first: str
    last: str
    old_last: str | None
    married: int | None
    born: str
    email: str | None
    old_email: str | None
    mobile: str | None
    old_mobile: str | None
    landline: str | None
    address: Address
    old_address: Address | None
    moved: int | None
    card_owner: int
    in_crm: bool
    in_sales: bool
    in_web: bool
    in_loyalty: bool

    def last_on(self, day: int) -> str:
        """The surname on a day."""
        return self.old_last if self.old_last and self.married is not None and day < self.married else self.last

    def address_on(self, day: int) -> Address:
        """Where the person lived on a day."""
        return self.old_address if self.old_address and self.moved is not None and day < self.moved else self.address


def draws(*key: int) -> Draw:
    """An endless stream of uniform numbers that depends only on the key."""

    def stream() -> Iterator[list[float]]:
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
        while True:
            yield generator.random(4096).tolist()

    return chain.from_iterable(stream()).__next__


def person_name(number: int) -> str:
    """How the truth calls a person."""
    return f"P{number:06d}"


def people(seed: int, chunk: int, first: int, count: int, calendar: Calendar) -> list[Person]:
    """`count` people numbered from `first`, whole households (the last one cut off at the end of the chunk)."""
    draw = draws(seed, 1, chunk)
    result: list[Person] = []
    while len(result) < count:
        household = _household(first + len(result), calendar, draw)
        result.extend(household[: count - len(result)])
    return result


def _household(first: int, calendar: Calendar, draw: Draw) -> list[Person]:
    town = TOWNS[int(draw() * len(TOWNS))]
    address = an_address(town, draw)
    landline = landline_of(town, first) if draw() < 0.72 else None
    moved = int(draw() * (calendar.last - 30)) if draw() < 0.14 else None
    old_address = (
        an_address(TOWNS[int(draw() * len(TOWNS))] if draw() < 0.5 else town, draw) if moved is not None else None
    )
    surname = a_surname(draw)
    kind = draw()
    make = _maker(calendar, draw, landline, address, old_address, moved)
    if kind < 0.38:
        return [make(first, draw() < 0.5, surname, int(20 + draw() * 65))]
    age = int((24 if kind < 0.76 else 44) + draw() * (50 if kind < 0.76 else 26))
    man = draw() < 0.55
    members = [make(first, not man, surname, age)]
    keeps_own_name = draw() < 0.2
    if kind < 0.93:
        partner_female = man if draw() < 0.93 else not man
        partner = make(
            first + 1,
            partner_female,
            a_surname(draw) if keeps_own_name else surname,
            max(19, age - 6 + int(draw() * 10)),
        )
        shares_email = draw() < 0.09 and members[0].email is not None
        if shares_email:
            partner = partner._replace(email=members[0].email)
        members.append(partner._replace(card_owner=first) if draw() < 0.12 else partner)
    if kind < 0.76:
        return members
    for _ in range(1 + int(draw() * 2)):
        number = first + len(members)
        child = make(number, draw() < 0.5, surname, max(17, age - 22 - int(draw() * 14)))
        if man and child.title == "Mr" and draw() < 0.16:
            child = child._replace(first=members[0].first)
            child = child._replace(email=child.email and email_of(number, child.first, surname, draw))
        if draw() < 0.2:  # left home, some of them inside the window
            left = int(draw() * calendar.last) if draw() < 0.5 else None
            own = an_address(TOWNS[int(draw() * len(TOWNS))], draw)
            child = child._replace(
                address=own, old_address=address if left is not None else None, moved=left, landline=None
            )
        members.append(child)
    return members


def _maker(
    calendar: Calendar,
    draw: Draw,
    landline: str | None,
    address: Address,
    old_address: Address | None,
    moved: int | None,
) -> Callable[[int, bool, str, int], Person]:
    def make(number: int, female: bool, surname: str, age: int) -> Person:
        name = _first_name(female, age, draw)
        born = (calendar.until - timedelta(days=int(age * 365.25 + draw() * 365))).isoformat()
        married, old_last = None, None
        if female and age < 60 and draw() < 0.13:
            old_last = a_surname(draw)
            old_last = None if old_last == surname else old_last
            married = int(draw() * calendar.last) if old_last and draw() < 0.6 else (-1 if old_last else None)
        email = email_of(number, name, surname, draw) if draw() < (0.97 if age < 70 else 0.8) else None
        has_old_email = draw() < 0.12
        old_email = email_of(number + 500_000_000, name, old_last or surname, draw) if has_old_email and email else None
        mobile = mobile_of(number) if draw() < 0.94 else None
        old_mobile = mobile_of(number, old=True) if mobile and draw() < 0.08 else None
        in_crm = draw() < 0.85
        in_sales = draw() < 0.6
        return Person(
            number=number,
            title=_title(female, age, draw),
            first=name,
            last=surname,
            old_last=old_last,
            married=married,
            born=born,
            email=email,
            old_email=old_email,
            mobile=mobile,
            old_mobile=old_mobile,
            landline=landline,
            address=address,
            old_address=old_address,
            moved=moved,
            card_owner=number,
            in_crm=in_crm,
            in_sales=in_sales,
            in_web=draw() < (0.45 if in_sales else 0.2),
            in_loyalty=draw() < 0.08,
        )

    return make


def new_person(seed: int, number: int, until: date) -> Person:
    """A person who appears later than the seed: by a tick."""
    return people(seed, 1_000_000 + number, number, 1, Calendar(until))[0]


def _first_name(female: bool, age: int, draw: Draw) -> str:
    generation = (0 if age < 36 else 1 if age < 58 else 2) if draw() < 0.85 else int(draw() * 3)
    names = ((FEMALE_YOUNG, FEMALE_MID, FEMALE_OLD) if female else (MALE_YOUNG, MALE_MID, MALE_OLD))[generation]
    name = names[int(draw() * len(names))]
    if draw() < 0.02:
        other = names[int(draw() * len(names))]
        return f"{name}-{other}" if other != name else name
    return name


def a_surname(draw: Draw) -> str:
    """Common names are common; one in forty is double-barrelled."""
    name = SURNAMES[int(draw() ** 1.6 * len(SURNAMES))]
    if draw() < 0.025:
        other = SURNAMES[int(draw() * len(SURNAMES))]
        return f"{name}-{other}" if other != name else name
    return name


def _title(female: bool, age: int, draw: Draw) -> str | None:
    r = draw()
    if r < 0.08:
        return None
    if r < 0.1:
        return "Dr"
    if not female:
        return "Mr"
    return ("Mrs" if r < 0.6 else "Ms") if age > 28 else ("Miss" if r < 0.6 else "Ms")


def an_address(town: Town, draw: Draw) -> Address:
    """Somewhere in that town; now and then abroad."""
    if draw() < 0.012:
        line1, name, postcode, country = ABROAD[int(draw() * len(ABROAD))]
        return Address(line1, None, name, None, postcode, country)
    house = int(draw() * 180) + 1
    street = STREETS[int(draw() * len(STREETS))]
    line2 = None
    line1 = f"{house} {street}"
    r = draw()
    if r < 0.1:
        line1, line2 = f"Flat {int(draw() * 40) + 1}", line1
    elif r < 0.13:
        line1, line2 = f"{street.split()[0]} Cottage", street
    letters = _POSTCODE_LETTERS
    unit = f"{int(draw() * 10)}{letters[int(draw() * 20)]}{letters[int(draw() * 20)]}"
    return Address(line1, line2, town.name, town.county, f"{town.outward}{int(draw() * 20) + 1} {unit}", "GB")
