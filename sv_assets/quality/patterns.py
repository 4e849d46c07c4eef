"""Personal data told by its form: e-mails, phones, addresses, national insurance and card numbers, IBANs.

Each is told by more than its looks where there is more to check: Luhn for cards, modulo 97 for IBANs, and the number plan for
phones, so that order numbers, SKUs and references are not taken for one.
"""

import re
from collections.abc import Iterator

import phonenumbers

_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b")
_PHONE = re.compile(r"(?<![\w.,/-])(?:\+44|0044|\(?0)[\d\s().-]{8,15}\d(?![\w/-])")
_POSTCODE = re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? ?\d[ABD-HJLNP-UW-Z]{2}\b", re.I)
_HOUSE = re.compile(
    r"\b\d{1,4}[A-Za-z]?,?\s+(?:[A-Z][\w'’-]+\s+){1,3}"
    r"(?:Street|St|Road|Rd|Lane|Ln|Avenue|Ave|Close|Drive|Dr|Way|Court|Crescent|Gardens|Grove|Place|Terrace|Hill|Row|Mews|Park)\b"
)
_NATIONAL_INSURANCE = re.compile(
    r"\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b"
)
_CARD = re.compile(r"(?<![\w-])(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|3[47]\d{2})(?:[ -]?\d){9,12}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}\b")

SENSITIVITY = {
    "email": "contact", "phone": "contact", "postcode": "address",
    "national_insurance": "sensitive", "card": "sensitive", "iban": "sensitive",
}  # fmt: skip
"""Which declaration covers which kind."""


def kinds_in(text: str) -> Iterator[str]:
    """The kinds of personal data that stand in a text, each once."""
    if "@" in text and _EMAIL.search(text):
        yield "email"
    if len(text) < 8 or not any(c.isdigit() for c in text):
        return
    if any(_is_phone(found.group()) for found in _PHONE.finditer(text)):
        yield "phone"
    if _HOUSE.search(text) and _POSTCODE.search(text):
        yield "postcode"
    if _NATIONAL_INSURANCE.search(text):
        yield "national_insurance"
    if any(_is_card(found.group()) for found in _CARD.finditer(text)):
        yield "card"
    if any(_is_iban(found.group()) for found in _IBAN.finditer(text)):
        yield "iban"


def _is_phone(text: str) -> bool:
    """By the number plan; numbers that it keeps for drama (07700 900123) count too, as who tests writes them."""
    try:
        number = phonenumbers.parse(text, "GB")
    except phonenumbers.NumberParseException:
        return False
    national = str(number.national_number)
    drama = number.country_code == 44 and len(national) == 10 and national.startswith(("7700900", "1632960"))
    return drama or phonenumbers.is_valid_number(number)


def _is_card(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [n if place % 2 == 0 else n * 2 - 9 * (n > 4) for place, n in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 16 and sum(doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    packed = text.replace(" ", "")
    if not 15 <= len(packed) <= 34:
        return False
    moved = packed[4:] + packed[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1
