"""What orders share: a card, a device, a telephone, an e-mail, an address, a customer; each as a key that tells nothing.

A key is its kind and a keyed-by-kind hash of the value in compared form, so that the collections of this folder hold no
contact data, and two ways of writing one telephone are one key. Values that many people give because a form wanted
something (placeholders) are no keys: identity has left them out already.
"""

import hashlib
from collections.abc import Container, Iterable, Mapping
from typing import Any

from sv_assets.identity import normalise

CUSTOMER, CARD, DEVICE, PHONE, EMAIL, ADDRESS = "customer", "card", "device", "phone", "email", "address"
SHARED = (CARD, DEVICE, PHONE, EMAIL, ADDRESS)
"""The kinds that strangers can share."""
_BYTES = 9


def key(kind: str, value: object) -> str:
    """`card:3f9a…`: the same for the same value, and for no other."""
    return f"{kind}:{digest(f'{kind} {value}')}"


def kind_of(found: str) -> str:
    """The kind of a key."""
    return found.partition(":")[0]


def digest(text: str) -> str:
    """A short hash, of which equal ones mean equal texts."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_BYTES).hexdigest()


def token(value: Any, unknown: Container[str] = ()) -> str | None:
    """A card's or device's token as text; None for what is none: one of the words for `unknown`, or zeros and dashes alone."""
    if value is None or isinstance(value, (dict, list, bool)):
        return None
    text = str(value).strip()
    says_something = any(character.isalnum() and character != "0" for character in text)
    return text if says_something and text.casefold() not in unknown else None


def place(address: Mapping[str, Any] | None) -> str | None:
    """The front door that an address says, in compared form; None where it says too little to be one.

    Without a postcode the town stands in its place; without a house number the whole text of the lines.
    """
    if not address:
        return None
    line_1, line_2, town, code, country = (
        _text(address.get(name)) for name in ("line_1", "line_2", "town", "postcode", "country")
    )
    found = normalise.address(line_1, line_2)
    if found is None:
        return None
    unit = normalise.postcode(code, country) if code else None
    where = unit.unit if unit and unit.unit else normalise.word(town) if town else None
    if where is None:
        return None
    door = found.key or found.text
    return f"{found.unit or ''} {door}, {where}".strip()


def contacts(compared: Mapping[str, Any]) -> Iterable[str]:
    """The keys of a party record's telephones and e-mails."""
    for number in (*compared.get("mobiles", ()), *compared.get("lines", ())):
        yield key(PHONE, number)
    for email in compared.get("emails", ()):
        yield key(EMAIL, email)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
