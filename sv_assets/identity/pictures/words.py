"""What comparisons and their levels are called where people read them."""

from sv_assets.identity.comparisons import ELSE, NULL

_ANY = {
    NULL: "nothing to compare",
    "exact": "the same",
    "same": "the same",
    "close": "nearly the same",
    "near": "similar",
    ELSE: "different",
}
_OF_COMPARISON = {
    "first_name": {
        "nickname": "a nickname of the other",
        "swapped": "first name and surname swapped",
        "initial": "the initial of the other",
        "another_given": "a further given name of the other",
        "crossed": "the surname of the other",
    },
    "surname": {"part": "one part in common"},
    "birth_date": {
        "close": "one digit differs, or day and month swapped",
        "two_parts": "two of day, month and year the same",
        "near": "two digits differ",
    },
    "email": {"folded": "the same but for dots and plus parts", "close": "one character differs"},
    "mobile": {"close": "one digit differs"},
    "landline": {"close": "one digit differs"},
    "address": {
        "exact": "the same house",
        "street_close": "same house number, nearly the same street",
        "house_and_part": "the same house number, and one part in common",
        "street": "the same street",
        "text_close": "nearly the same lines",
        "part": "one part in common",
        "street_near": "a similar street",
        "house": "the same house number",
    },
    "place": {
        "exact": "the same postcode and town",
        "postcode": "the same postcode",
        "postcode_typo": "nearly the same postcode and town",
        "town": "the same town",
        "town_close": "nearly the same town",
        "postcode_close": "nearly the same postcode",
    },
}
_OF_IDENTIFIER = {"close": "one character differs", "near": "two characters differ"}
_NAMES = {"email": "e-mail"}


def comparison_in_words(comparison: str) -> str:
    """`birth_date` is "birth date", `id_loyalty_card` is "loyalty card"."""
    return _NAMES.get(comparison, comparison.removeprefix("id_").replace("_", " "))


def level_in_words(comparison: str, level: str) -> str:
    """What a level of agreement says; one that nobody knows is said as it is."""
    special = _OF_IDENTIFIER if comparison.startswith("id_") else _OF_COMPARISON.get(comparison, {})
    return special.get(level) or _ANY.get(level) or level.replace("_", " ")
