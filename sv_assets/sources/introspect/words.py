"""Names of tables and columns as words, and what those words say."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.types import Column, sql_type


def word_set(text: str) -> frozenset[str]:
    """The words of a text, to look one up in."""
    return frozenset(text.split())


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_NUMBERS = word_set(
    "bit boolean tinyint smallint int integer bigint decimal numeric dec money smallmoney float real double"
)
_WHOLE_NUMBERS = word_set("tinyint smallint int integer bigint decimal numeric dec")
_MOMENTS = word_set("datetime datetime2 smalldatetime datetimeoffset")

_CUSTOMERS = word_set(
    "customer client shopper member membership subscriber guest buyer loyalty patient consumer cardholder "
    "passenger traveller donor policyholder cust"
)
_PEOPLE = word_set("person people contact individual user account prospect lead party")
_STAFF = word_set(
    "employee emp staff author agent manager salesperson salesrep rep driver operator admin worker contractor teacher "
    "candidate courier"
)
_ORGANISATIONS = word_set(
    "supplier vendor store shop publisher shipper company branch warehouse carrier artist actor partner department dealer "
    "manufacturer site location office merchant bank job"
)

_LOOKUPS = word_set(
    "type status category kind group reason title role code method level region class segment tier demographic"
)
"""A table whose name ends so says what kinds there are of a thing."""

MEANINGS = {
    meaning: word_set(names)
    for meaning, names in {
        "title": "title salutation honorific titleofcourtesy courtesytitle nametitle",
        "first": "first firstname forename forenames givenname fname christianname",
        "middle": "middle middlename middlenames middleinitial minit mname",
        "last": "last lastname surname familyname lname",
        "full": "name fullname contactname personname displayname wholename",
        "suffix": "suffix namesuffix",
        "email": "email emailaddress emailaddr mail mailaddress",
        "phone": (
            "phone phonenumber phoneno telephone telephonenumber telephoneno tel telno mobile mobilephone mobilenumber "
            "mobileno cell cellphone cellnumber landline daytimephone eveningphone homephone workphone homenumber "
            "callernumber contactnumber"
        ),
        "fax": "fax faxnumber faxno",
        "date_of_birth": "dateofbirth birthdate dob birthday birthdt",
        "line_1": "address address1 addressline1 line1 street street1 streetaddress addr addr1 addressline streetline1",
        "line_2": "address2 addressline2 line2 street2 addr2 streetline2",
        "town": "town city posttown locality",
        "county": "county state region province stateprovince",
        "postcode": "postcode postalcode zip zipcode postcd postal",
        "country": "country countrycode countryname countryregion",
    }.items()
}
"""What a column means, by its name without the words that say whose it is."""
WHOSE = word_set(
    "customer client contact guest person account user caller member cust shopper buyer subscriber patient "
    "cardholder primary main home personal private mailing reviewer recipient"
)
PLACES = word_set("billing bill delivery deliver shipping ship invoice")
"""Whose or which address: `DeliveryPostcode`, `ShipCity`."""


@dataclass(frozen=True)
class Meaning:
    """What a column means: `first`, `postcode` …, and the words before it: `guest`, `delivery`."""

    kind: str
    prefix: tuple[str, ...]
    column: str


def words(name: str) -> list[str]:
    """`CustomerID` → customer, id; `au_lname` → au, lname; `Order Details` → order, details."""
    return [word.lower() for word in _WORDS.findall(name)]


def singular(word: str) -> str:
    """By the plain rules of English plurals; good enough to compare two names with."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def table_words(table: TableFound) -> list[str]:
    """The words of a table's name, in the singular."""
    return [singular(word) for word in words(table.name)]


def joined(name: str) -> str:
    """`Address_Line 1` → addressline1."""
    return "".join(words(name))


def is_text(column: Column) -> bool:
    return sql_type(column).is_text


def is_number(column: Column) -> bool:
    return column.type_name in _NUMBERS


def is_whole_number(column: Column) -> bool:
    return column.type_name in _WHOLE_NUMBERS


def is_moment(column: Column) -> bool:
    """A date with a time of day."""
    return column.type_name in _MOMENTS


def is_date(column: Column) -> bool:
    return column.type_name == "date" or is_moment(column)


def describes_customers(table: TableFound) -> bool:
    return bool(_CUSTOMERS & set(table_words(table))) and not describes_others(table) and not _is_lookup(table)


def describes_people(table: TableFound) -> bool:
    """By its name, which may be anybody's: `Person`, `Contact`, `Account`."""
    return bool(_PEOPLE & set(table_words(table))) and not describes_others(table) and not _is_lookup(table)


def is_of_customers(table: TableFound) -> bool:
    """Its name ends in customers: `SalesCustomer` is, `CustomerAddress` is not."""
    last = set(table_words(table)[-1:])
    return bool(last & (_CUSTOMERS | _PEOPLE)) and not describes_others(table)


def describes_staff(table: TableFound) -> bool:
    return describes_others(table) in _STAFF


def describes_organisations(table: TableFound) -> bool:
    return describes_others(table) in _ORGANISATIONS


def describes_others(table: TableFound) -> str:
    """The word of its name that says that its rows are no customers: staff, suppliers, places."""
    found = table_words(table)
    pairs = ["".join(pair) for pair in pairwise(found)]
    return next((word for word in (*found, *pairs) if word in _STAFF | _ORGANISATIONS), "")


def meanings(table: TableFound) -> list[Meaning]:
    """What the columns of a table mean, in their order; columns of a type that does not fit mean nothing."""
    own = {*table_words(table), "".join(table_words(table))}
    known = WHOSE | PLACES | own | {word[:length] for word in own for length in (2, 3)}
    names_people = describes_customers(table) or describes_people(table) or describes_staff(table)
    found = [meaning for column in table.columns if (meaning := _meaning(column, known)) is not None]
    return [
        m
        for m in found
        if (m.kind != "full" or joined(m.column) == "fullname" or names_people or _is_whose(m))
        and (m.kind != "title" or not m.prefix)  # the title of a contact is that of a post
    ]


def _is_lookup(table: TableFound) -> bool:
    return bool(_LOOKUPS & set(table_words(table)[-1:]))


def _is_whose(meaning: Meaning) -> bool:
    """`ContactName` and `ShipName` are a person's in any table; `Name`, `ProductName` and `UserName` are not."""
    said = set(words(meaning.column))
    return bool((WHOSE | PLACES) & said) and not {"user", "account"} & said


def _meaning(column: Column, known: Collection[str]) -> Meaning | None:
    """By the longest end of its name that means something, where the words before that only say whose it is."""
    parts = words(column.name)
    for start in range(len(parts)):
        if not all(singular(word) in known or word in known for word in parts[:start]):
            return None
        rest = "".join(parts[start:])
        bare = rest.rstrip("0123456789")
        for kind, names in MEANINGS.items():
            if rest in names or (kind in ("phone", "email") and bare in names):
                fits = is_date(column) if kind == "date_of_birth" else is_text(column)
                return Meaning(kind, tuple(parts[:start]), column.name) if fits else None
    return None
