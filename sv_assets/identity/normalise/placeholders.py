"""Values that many people share because a form wanted something: no evidence for anybody.

Which they are is the retailer's to say, in YAML; this module only knows how to look them up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sv_assets.errors import ConfigurationError
from sv_assets.identity.normalise.emails import email
from sv_assets.identity.normalise.names import person_name
from sv_assets.identity.normalise.phones import phone
from sv_assets.identity.normalise.words import word

_SECTIONS: dict[str, dict[str, type]] = {
    "emails": {"addresses": list, "local_parts": list, "domains": list},
    "phones": {"numbers": list, "repeated": bool, "ascending": bool},
    "names": {"first": list, "last": list, "full": list},
}
_REPEATED = 6
_ASCENDING = 9
_RUN = "01234567890123456789"


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What counts as a placeholder; all values in their compared forms. Without any list nothing does."""

    email_addresses: frozenset[str] = frozenset()
    email_local_parts: frozenset[str] = frozenset()
    email_domains: frozenset[str] = frozenset()
    phone_numbers: frozenset[str] = frozenset()
    repeated_digits: bool = False
    ascending_digits: bool = False
    first_names: frozenset[str] = frozenset()
    last_names: frozenset[str] = frozenset()
    full_names: frozenset[str] = frozenset()

    @classmethod
    def from_dict(cls, declared: Mapping[str, Any] | None) -> Self:
        """Reads `{emails: {addresses, local_parts, domains}, phones: {numbers, repeated, ascending}, names: {first, last, full}}`.

        Every key may be left out. Raises ConfigurationError for a key that is none of these, and for an entry that is no
        text: YAML reads an unquoted `no` as false and an unquoted `0123` as a number.
        """
        sections = {name: {} for name in _SECTIONS} | _checked("placeholders", declared, dict.fromkeys(_SECTIONS, dict))
        emails, phones, names = (_checked(f"placeholders.{s}", sections[s], keys) for s, keys in _SECTIONS.items())
        return cls(
            email_addresses=frozenset(_match(raw) for raw in emails.get("addresses", ())),
            email_local_parts=frozenset(raw.strip().casefold() for raw in emails.get("local_parts", ())),
            email_domains=frozenset(raw.strip().lower().lstrip("@") for raw in emails.get("domains", ())),
            phone_numbers=frozenset(phone(raw) or _digits(raw) for raw in phones.get("numbers", ())) - {""},
            repeated_digits=phones.get("repeated", False),
            ascending_digits=phones.get("ascending", False),
            first_names=frozenset(w for raw in names.get("first", ()) if (w := word(raw))),
            last_names=frozenset(w for raw in names.get("last", ()) if (w := word(raw))),
            full_names=frozenset(_full_name(raw) for raw in names.get("full", ())) - {""},
        )

    def is_email(self, match: str) -> bool:
        """True if the address in its match form, its local part or its domain is listed."""
        local, _, domain = match.rpartition("@")
        return match in self.email_addresses or local in self.email_local_parts or domain in self.email_domains

    def is_phone(self, e164: str) -> bool:
        """True if the number is listed, or ends in six equal digits, or in nine that count up, where those rules are on."""
        digits = _digits(e164.removeprefix("+"))
        return (
            e164 in self.phone_numbers
            or digits in self.phone_numbers
            or (self.repeated_digits and len(digits) >= _REPEATED and len(set(digits[-_REPEATED:])) == 1)
            or (self.ascending_digits and len(digits) >= _ASCENDING and digits[-_ASCENDING:] in _RUN)
        )

    def is_name(self, first: str | None, last: str | None) -> bool:
        """True if the folded first name, last name, or both together are listed."""
        return (
            (first is not None and first in self.first_names)
            or (last is not None and last in self.last_names)
            or _full(first, last) in self.full_names
        )


def _checked(where: str, declared: Any, allowed: Mapping[str, type]) -> dict[str, Any]:
    """The declared keys that say something, each of its type."""
    if declared is None:
        return {}
    if not isinstance(declared, Mapping):
        raise ConfigurationError(f"{where} is not a mapping; it may have the keys {', '.join(allowed)}.")
    for key, value in declared.items():
        if key not in allowed:
            raise ConfigurationError(f"{where} has the unknown key {key!r}; allowed are {', '.join(allowed)}.")
        if value is None:
            continue
        if allowed[key] is list and (not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value)):
            raise ConfigurationError(
                f"{where}.{key} must be a list of texts; put each entry in quotes (YAML reads no and 0123 as other things)."
            )
        if allowed[key] is bool and not isinstance(value, bool):
            raise ConfigurationError(f"{where}.{key} must be true or false.")
    return {key: value for key, value in declared.items() if value is not None}


def _match(raw: str) -> str:
    found = email(raw)
    return found.match if found else raw.strip().casefold()


def _full_name(raw: str) -> str:
    name = person_name(full=raw)
    return _full(name.first, name.last)


def _full(first: str | None, last: str | None) -> str:
    return " ".join(part for part in (first, last) if part)


def _digits(text: str) -> str:
    return text if text.isascii() and text.isdigit() else "".join(ch for ch in text if ch in "0123456789")
