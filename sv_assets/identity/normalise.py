"""Contact data in the form in which it is compared. Pure functions; the libraries behind them are slow, so each caches.

None means: not evidence (empty, malformed, or a placeholder that many people share).
"""

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from rapidfuzz.distance import JaroWinkler

_CACHE = 200_000
_PLACEHOLDER_LOCAL_PARTS = frozenset(
    [
        "none",
        "no",
        "na",
        "n/a",
        "nil",
        "null",
        "noemail",
        "no-email",
        "no.email",
        "nomail",
        "unknown",
        "test",
        "tester",
        "testing",
        "customer",
        "email",
        "e-mail",
        "mail",
        "example",
        "xxx",
        "abc",
        "asdf",
        "noreply",
        "no-reply",
        "donotreply",
        "notgiven",
        "not.given",
        "refused",
        "declined",
        "guest",
    ]
)
_TITLES = {
    "mr": "m", "mister": "m", "sir": "m", "lord": "m", "master": "m",
    "mrs": "f", "miss": "f", "ms": "f", "lady": "f", "madam": "f", "dame": "f",
    "dr": None, "prof": None, "professor": None, "rev": None, "mx": None,
}  # fmt: skip
_SAME_NAMES = """
robert bob bobby rob robbie bert
elizabeth liz lizzie beth betty eliza libby
william bill billy will willy liam
margaret maggie meg peggy
katherine catherine kathryn kate katie kathy cathy kat
james jim jimmy jamie
richard rick dick richie ricky
thomas tom tommy
michael mike mick mickey
christopher chris kit
christine chris chrissie tina
anthony tony
andrew andy drew
edward ed eddie ted teddy ned
david dave davey
daniel dan danny
matthew matt matty
joseph joe joey
john johnny jack
jonathan jon jonny
steven stephen steve
susan sue susie suzie
patricia pat patsy trish tricia
patrick pat paddy
rebecca becky becca
jennifer jen jenny
victoria vicky vicki tori
alexander alex sandy alec
alexandra alex sandra lexi
benjamin ben benny
samuel sam sammy
samantha sam sammy
nicholas nick nicky
nicola nicky nikki
deborah debbie deb
barbara barb babs
jacqueline jackie
charles charlie chuck
charlotte charlie lottie
frederick fred freddie
george georgie
henry harry hal
kenneth ken kenny
lawrence laurence larry
peter pete
philip phillip phil
raymond ray
ronald ron ronnie
timothy tim
abigail abby abbie
amanda mandy
dorothy dot dottie
eleanor ellie nell nora
gillian gill jill
judith judy
pamela pam
theresa teresa terry tess
joanne joanna jo
gregory greg
oliver ollie
zachary zach zac
"""
_NICKNAME_GROUPS: dict[str, set[str]] = {}
for _line in _SAME_NAMES.split("\n"):
    for _name in _line.split():
        _NICKNAME_GROUPS.setdefault(_name, set()).add(_line.split()[0])


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name in its compared form: parts lower-case, without diacritics and punctuation; `gender` is what the title says."""

    first: str | None
    last: str | None
    gender: str | None = None


@lru_cache(_CACHE)
def email(raw: str) -> str | None:
    """Domain lower-cased, local part case-folded. RFC 5322 syntax by email-validator; special-use domains are allowed."""
    try:
        parsed = validate_email(raw.strip(), check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        return None
    local = parsed.local_part.casefold()
    if local in _PLACEHOLDER_LOCAL_PARTS:
        return None
    return f"{local}@{parsed.domain.lower()}"


@lru_cache(_CACHE)
def phone(raw: str, region: str = "GB") -> str | None:
    """E.164 by phonenumbers. Numbers that are possible but unassigned count; runs of one digit and 0123456789 do not."""
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    digits = str(number.national_number)
    if not phonenumbers.is_possible_number(number) or len(set(digits)) <= 2 or digits in "01234567890123456789":
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@lru_cache(_CACHE)
def postcode(raw: str) -> str | None:
    """Upper case without spaces and punctuation: `SW1A 1AA` and `sw1a1aa` are one."""
    compact = re.sub(r"[^A-Z0-9]", "", raw.upper())
    return compact or None


@lru_cache(_CACHE)
def word(raw: str) -> str | None:
    """A name part: lower case, letters and digits only, diacritics folded (`O'Brien-Núñez` is `obriennunez`)."""
    folded = unicodedata.normalize(
        "NFKD", raw.replace("ß", "ss").replace("ø", "o").replace("Ø", "O").replace("ł", "l").replace("Ł", "L")
    )
    letters = "".join(ch for ch in folded.casefold() if ch.isalnum())
    return letters or None


def person_name(
    *, title: str | None = None, first: str | None = None, last: str | None = None, full: str | None = None
) -> PersonName:
    """The compared form of a name given in parts, or in one piece (`Mrs Jane Smith`, `J Smith`, `Smith, Jane`)."""
    if full and not (first or last):
        title, first, last = _split(full, title)
    first_parts = [part for part in (word(p) for p in re.split(r"[\s.]+", first or "")) if part]
    gender = _TITLES.get(word(title or "") or "")
    while first_parts and first_parts[0] in _TITLES and len(first_parts) > 1:
        gender = gender or _TITLES[first_parts.pop(0)]
    return PersonName(first_parts[0] if first_parts else None, word(last or ""), gender)


def same_first_name(a: str, b: str) -> bool:
    """True if two first names can be one person's: equal, an initial, nicknames of one name, or a slip of the pen."""
    if a == b or (min(len(a), len(b)) == 1 and a[0] == b[0]):
        return True
    if _groups(a) & _groups(b):
        return True
    return min(len(a), len(b)) >= 4 and JaroWinkler.similarity(a, b) >= 0.9


def birth_date(value: dt.date | dt.datetime | str | None) -> dt.date | None:
    """A date of birth; None for what is malformed, and for 1 January 1900 and the like that mean "unknown"."""
    if isinstance(value, str):
        try:
            value = dt.date.fromisoformat(value[:10])
        except ValueError:
            return None
    if isinstance(value, dt.datetime):
        value = value.date()
    if value is None or value.year <= 1900 or (value.day, value.month, value.year) == (1, 1, 1970):
        return None
    return value


def same_birth_date(a: dt.date, b: dt.date) -> bool:
    """True if two dates of birth can be one person's: equal, day and month swapped, or one of the three parts off."""
    parts = [a.year == b.year, a.month == b.month, a.day == b.day]
    if a.year == b.year and (a.day, a.month) == (b.month, b.day):
        return True
    years_apart = abs(a.year - b.year)
    return all(parts) or (sum(parts) == 2 and (years_apart <= 1 or years_apart == 10))


def _split(full: str, title: str | None) -> tuple[str | None, str | None, str | None]:
    if "," in full:
        last, _, first = full.partition(",")
        return title, first.strip(), last.strip()
    parts = full.split()
    if parts and word(parts[0]) in _TITLES:
        title, parts = title or parts[0], parts[1:]
    return title, " ".join(parts[:-1]), parts[-1] if parts else None


def _groups(name: str) -> set[str]:
    """The names a nickname can stand for; `chris` is both a Christopher and a Christine."""
    return _NICKNAME_GROUPS.get(name, {name})
