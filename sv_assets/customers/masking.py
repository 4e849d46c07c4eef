"""A customer document fit to be shown: recognisable by who knows the person, useless to who does not."""

from typing import Any

from sv_assets.mongo import Document

_MASKED_FIELDS = frozenset(
    {
        "name",
        "date_of_birth",
        "email",
        "phone",
        "address",
        "names",
        "dates_of_birth",
        "emails",
        "phones",
        "addresses",
        "keys",
    }
)
_OPEN_KEYS = frozenset(
    {"system", "table", "key", "version", "rule", "status", "first_seen", "last_seen", "observed_at", "said_by", "kind"}
    | {"country", "title", "valid_from", "valid_to"}
)


def masked(document: Document) -> Document:
    """The document with names, contact data, addresses and birth dates masked; ids, orders and provenance as they are.

    What others added to it is left out: nobody here knows what it says. So is the bookkeeping, which tells of changes.
    """
    shown = {name: _mask(value, name) if name in _MASKED_FIELDS else value for name, value in document.items()}
    shown["enrichments"] = dict.fromkeys(document.get("enrichments", ()), "***")
    shown.pop("_sv", None)
    return shown


def masked_entry(entry: Document) -> Document:
    """A history entry, masked alike."""
    if "document" in entry:
        return {**entry, "document": masked(entry["document"])}
    changes = [_masked_change(change) for change in entry.get("changes", [])]
    return {**entry, "changes": changes} if changes else entry


def _masked_change(change: Document) -> Document:
    field, _, inner = change["path"].partition(".")
    if field not in _MASKED_FIELDS or inner.rpartition(".")[2] in _OPEN_KEYS:
        return change
    return {side: _mask(value, field) if side in ("from", "to") else value for side, value in change.items()}


def masked_text(text: str) -> str:
    """The first letter of each word, and stars: `jane.smith@example.com` becomes `j***@e***`."""
    separator = "@" if "@" in text else " "
    return separator.join(f"{word[0]}***" for word in text.split(separator) if word)


def _mask(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: item if key in _OPEN_KEYS else _mask(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask(item, name) for item in value]
    if value is None or isinstance(value, bool):
        return value
    return masked_text(str(value))
