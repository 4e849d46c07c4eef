"""What orders share: a card, a device, a telephone, an e-mail, an address, a customer; each as a key that does not show it.

A key is its kind and a hash of the kind and the value in compared form, so that no contact data is read off the collections
of this folder, and two ways of writing one telephone are one key. (Who guesses a value can check the guess: no role reads
the facts.) Values that many people give because a form wanted
something (placeholders) are no keys: identity has left them out already.
"""

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Place:
    """The front door that an address says, in compared form: unit, house and street, and where that is."""

    unit: str | None
    door: str
    postcode: str | None
    town: str | None

    @property
    def text(self) -> str:
        """All of it. Without a postcode the town stands in its place."""
        return f"{self.unit or ''} {self.door}, {self.postcode or self.town}".strip()

    def differs(self, other: "Place") -> bool:
        """True if they say different things. What only one of them says (the flat, the postcode) is no difference."""
        where = (self.postcode, other.postcode) if self.postcode and other.postcode else (self.town, other.town)
        pairs = ((self.door, other.door), (self.unit, other.unit), where)
        return any(ours != theirs for ours, theirs in pairs if ours and theirs)


def place(address: Mapping[str, Any] | None) -> Place | None:
    """The place of an address; None where it says too little to be one.

    Without a house number the whole text of the lines stands for the door.
    """
    if not address:
        return None
    line_1, line_2, town, code, country = (
        _text(address.get(name)) for name in ("line_1", "line_2", "town", "postcode", "country")
    )
    found = normalise.address(line_1, line_2)
    if found is None:
        return None
    postcode = normalise.postcode(code, country) if code else None
    unit = postcode.unit if postcode else None
    word = normalise.word(town) if town else None
    return Place(found.unit, found.key or found.text, unit, word) if unit or word else None


def contacts(compared: Mapping[str, Any]) -> Iterable[str]:
    """The keys of a party record's telephones and e-mails."""
    for number in (*compared.get("mobiles", ()), *compared.get("lines", ())):
        yield key(PHONE, number)
    for email in compared.get("emails", ()):
        yield key(EMAIL, email)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
