"""Values fit to be shown: recognisable by who knows the person, useless to who does not."""

from typing import Any

HIDDEN = "***"


def masked_text(text: str) -> str:
    """The first letter of each word, and stars: `jane.smith@example.com` becomes `j***@e***`."""
    separator = "@" if "@" in text else " "
    return separator.join(f"{word[0]}{HIDDEN}" for word in text.split(separator) if word)


def masked_value(value: Any) -> Any:
    """Text by its first letters; anything else says only that it is there. None stays None."""
    if value is None:
        return None
    return masked_text(value) if isinstance(value, str) else HIDDEN
