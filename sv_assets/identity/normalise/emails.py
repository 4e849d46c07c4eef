"""E-mail addresses, as strong evidence (`match`) and as weaker evidence (`folded`).

Syntax by email-validator (RFC 5321, 5322 and 6531, IDNA 2008), without looking anything up on the network. A plain
ASCII address takes a path of one regular expression, some twenty times faster; the tests hold it to the library's answer.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

_LONGEST = 254  # RFC 3696, erratum 1690
_PLAIN = re.compile(
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*"  # no quotes, no exotic characters
    r"@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+([a-z]{2,20})",  # no double hyphen: so no Punycode
    re.ASCII,
)
_PLAIN_LONGEST = 64  # short enough for every limit on parts
_NOT_PLAIN = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)
_GMAIL = frozenset({"gmail.com", "googlemail.com"})


class Email(NamedTuple):
    """`match`: domain in lower-case ASCII (IDNA), local part case-folded. `folded`: the same where folding does nothing.

    For Gmail `folded` has neither dots nor a plus tag, and googlemail.com is gmail.com (Google: "Dots don't matter in
    Gmail addresses"). It is weaker, because people type dots wrongly.
    """

    match: str
    folded: str


def email(raw: str) -> Email | None:
    """The compared forms of an e-mail address; None for what is none. Blanks and case do not matter."""
    text = raw.strip()
    lower = text.lower() if text.isascii() else ""
    plain = _PLAIN.fullmatch(lower) if len(lower) <= _PLAIN_LONGEST else None
    if plain and plain[1] not in _NOT_PLAIN:
        if "g" in lower and lower.endswith(("@gmail.com", "@googlemail.com")):
            return Email(lower, _folded(lower))
        return Email(lower, lower)
    return None if len(text) > _LONGEST or "@" not in text else _by_library(text)


@lru_cache(50_000)
def _by_library(text: str) -> Email | None:
    match = _match(text)
    again = match and _match(match)
    return (
        Email(match, _folded(match)) if match and match == again else None
    )  # what does not settle is nobody's address


def _match(text: str) -> str | None:
    try:
        parsed = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        return None
    return f"{unicodedata.normalize('NFC', parsed.local_part.casefold())}@{parsed.ascii_domain.lower()}"


def _folded(match: str) -> str:
    local, _, domain = match.rpartition("@")
    if domain not in _GMAIL:
        return match
    return f"{local.partition('+')[0].replace('.', '') or local}@gmail.com"
