"""A customer document fit to be shown: recognisable by who knows the person, useless to who does not."""

from typing import Any

from sv_assets.mongo import Document

_MASKED_FIELDS = frozenset({"emails", "phones", "addresses", "name", "date_of_birth", "lookup"})
_OPEN_KEYS = frozenset({"system", "table", "rule", "usable", "kind", "country", "title", "records"})


def masked(document: Document) -> Document:
    """The document with names, contact data, addresses and birth dates masked; ids, orders and provenance as they are."""
    return {name: _mask(value, name) if name in _MASKED_FIELDS else value for name, value in document.items()}


def masked_text(text: str) -> str:
    """The first letter of each word, and stars: `jane.smith@example.com` becomes `j***@e***`."""
    separator = "@" if "@" in text else " "
    return separator.join(f"{word[0]}***" for word in text.split(separator) if word)


def _mask(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {
            key: item if key in _OPEN_KEYS or key in ("key", "version") else _mask(item, key)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_mask(item, name) for item in value]
    if value is None or isinstance(value, bool):
        return value
    return masked_text(str(value))
