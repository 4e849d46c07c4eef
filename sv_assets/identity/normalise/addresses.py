"""Postal addresses as far as they say which front door: unit, number, street.

The text is folded and its usual words abbreviated to one form each (`streets.py`). It is a reading of how people write, not
a gazetteer: two ways of writing one address mostly come out the same, and a street that says nothing comes out as None.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from sv_assets.identity.normalise.streets import (
    ABBREVIATIONS,
    BUILDINGS,
    DIRECTIONS,
    LEVELS,
    PLACES_IN_A_HOUSE,
    STRONG,
    TYPES,
    UNITS,
)
from sv_assets.identity.normalise.words import folded

_PLAIN_DOOR = re.compile(r" *[0-9]{1,5}[a-z]? +[a-z]{2,}(?: +[a-z]{2,})* *")
_PLAIN_UNIT = re.compile(r" *(flat|apartment|apt|unit) +([0-9]{1,5}[a-z]?) *")
_MEANINGFUL = UNITS | LEVELS | BUILDINGS | PLACES_IN_A_HOUSE | {"box", "bag", "the", "no"}
_NO_STREET = TYPES | UNITS | LEVELS | PLACES_IN_A_HOUSE
"""Words with which no street begins."""
_PUNCTUATION = str.maketrans({"'": None, "`": None, "&": " and ", "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-"})
_RANGE = re.compile(r"(?<=[0-9])([a-z]?)\s*([-/])\s*(?=[0-9])")
_BREAK = re.compile(r"[,;|\r\n\t]+")
_TOKEN = re.compile(r"[0-9]+[a-z]?(?:[-/][0-9]+[a-z]?)+(?![^\W_])|[^\W_]+")
_NUMBER = re.compile(r"[0-9]+[a-z]?(?:[-/][0-9]+[a-z]?)*")
_BOXES = {"pobox": "po box", "lockedbag": "locked bag"}


class Address(NamedTuple):
    """`unit`: 3 of "Flat 3". `number`: 12, 12a, 12-14, or the name of a house that has none. `street`: `high st`.

    `streets`: what each part says behind its number: the street, a house, a village. `text`: all of both lines, the unit first. `key`: number and street, None where either lacks. A PO box has the street `po box`.
    """

    unit: str | None
    number: str | None
    street: str | None
    streets: tuple[str, ...]
    text: str
    key: str | None


class _Segment(NamedTuple):
    """What one part of an address, between commas or line breaks, says."""

    tokens: list[str]
    unit: str | None
    number: str | None
    street: str | None
    rank: int
    """How sure it is that this is the street: 2 a word for street, 1 a word that can be one, 0 neither."""


def address(line_1: str | None, line_2: str | None = None) -> Address | None:
    """The compared form of an address; the lines may be either way round. None where there is no letter or digit."""
    if plain := _plain(f"{line_1},{line_2}" if line_1 and line_2 else line_1 or line_2 or ""):
        return plain
    return _by_rules(line_1, line_2)


def _by_rules(line_1: str | None, line_2: str | None) -> Address | None:
    segments = [_segment(tokens) for line in (line_1, line_2) if line for tokens in _token_lists(line)]
    if not segments:
        return None
    segments.sort(key=lambda s: not (s.unit and not s.number and not s.street))
    unit = next((s.unit for s in segments if s.unit), None)
    number, street = _door(segments)
    text = " ".join(_BOXES.get(t, t) for t in _joined([t for s in segments for t in s.tokens]))
    streets = tuple(s.street for s in segments if s.street)
    return Address(unit, number, street, streets, text, f"{number} {street}" if number and street else None)


def _plain(text: str) -> Address | None:
    """An ASCII address that is a number and a street, and at most a unit beside it, without words that mean more."""
    unit: str | None = None
    unit_text, number, words = "", "", [""]
    for part in text.lower().split(","):
        if not number and _PLAIN_DOOR.fullmatch(part):
            number, *words = part.split()
            words = [ABBREVIATIONS.get(w, w) for w in words]
        elif not unit and (inside := _PLAIN_UNIT.fullmatch(part)):
            unit = inside[2]
            unit_text = f"{ABBREVIATIONS.get(inside[1], inside[1])} {unit} "
        elif part and not part.isspace():
            return None
    if not number or not _MEANINGFUL.isdisjoint(words):
        return None
    street, _ = _street(words)
    streets = (street,) if street else ()
    return Address(unit, number, street, streets, f"{unit_text}{number} {' '.join(words)}", f"{number} {street}")


def _door(segments: list[_Segment]) -> tuple[str | None, str | None]:
    """Number and street: of the part that has both, else of the part most like a street and what stands before it."""
    with_street = [s for s in segments if s.street]
    numbered = [s for s in with_street if s.number]
    if numbered:
        best = max(numbered, key=lambda s: s.rank)
        return best.number, best.street
    bare = next((s.number for s in segments if s.number), None)
    likely = [s for s in with_street if s.rank] or (with_street[:1] if bare else [])
    if not likely:
        return bare, None
    best = max(likely, key=lambda s: s.rank)
    return bare or _house_name(segments, best), best.street


def _house_name(segments: list[_Segment], street: _Segment) -> str | None:
    """What stands directly before the street; failing that, what says behind it that it is a building."""
    at = segments.index(street)
    before = [s.street for s in segments[:at] if s.street]
    behind = [s.street for s in segments[at + 1 :] if s.street and not BUILDINGS.isdisjoint(s.tokens)]
    return before[-1] if before else behind[0] if behind else None


def _token_lists(line: str) -> Iterator[list[str]]:
    text = folded(line).translate(_PUNCTUATION)
    if "-" in text or "/" in text:
        text = _RANGE.sub(r"\1\2", text)
    for part in _BREAK.split(text):
        tokens = _joined([ABBREVIATIONS.get(token, token) for token in _TOKEN.findall(part)])
        for end in range(2, len(tokens) - 1):
            if tokens[end - 1] in BUILDINGS and tokens[end - 2].isalpha() and tokens[end] not in _NO_STREET:
                yield tokens[:end]  # Rose Cottage | High Street
                tokens = tokens[end:]
                break
        if tokens:
            yield tokens


def _joined(tokens: list[str]) -> list[str]:
    """`12 a` as `12a`, and the words for a box number as one."""
    joined: list[str] = []
    for token in tokens:
        before = joined[-1] if joined else ""
        if len(token) == 1 and token.isalpha() and before.isdecimal():
            joined[-1] += token
        elif token == "box" and before in ("po", "o", "gpo"):
            del joined[-2 if joined[-2:] == ["p", "o"] else -1 :]
            joined.append("pobox")
        elif token == "bag" and before in ("locked", "private"):
            joined[-1] = "lockedbag"
        else:
            joined.append(token)
    return joined


def _segment(tokens: list[str]) -> _Segment:
    if tokens[0] in _BOXES:
        return _Segment(tokens, None, tokens[1] if len(tokens) > 1 else None, _BOXES[tokens[0]], 2)
    unit, number, rest = _front(tokens)
    rest, unit_behind = _without_unit(rest)
    if number is None and len(rest) > 1 and _NUMBER.fullmatch(rest[-1]):
        number, rest = rest[-1], rest[:-1]  # Hauptstraße 27
    street, rank = _street(rest)
    return _Segment(tokens, unit or unit_behind, number, street, rank)


def _front(tokens: list[str]) -> tuple[str | None, str | None, list[str]]:
    """Unit and number at the front, and the rest."""
    unit = number = None
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if token in UNITS and _is_unit_name(following):
            unit = unit or following
            at += 2
        elif token in PLACES_IN_A_HOUSE and following in ("floor", "flat"):
            unit = unit or token
            at += 3 if tokens[at + 1 : at + 3] == ["floor", "flat"] else 2
        elif token in LEVELS and _is_unit_name(following):
            at += 2
        elif token == "no" and _NUMBER.fullmatch(following):
            at += 1
        elif number is None and _NUMBER.fullmatch(token):
            number = token
            at += 1
        else:
            break
    if number and "/" in number:  # 3/12 High Street: flat 3 of number 12
        front, _, number = number.rpartition("/")
        unit = unit or front
    elif unit and "/" in unit and not number and at < len(tokens):  # Unit 3/12 High Street
        unit, _, number = unit.rpartition("/")
    return unit, number, tokens[at:]


def _without_unit(rest: list[str]) -> tuple[list[str], str | None]:
    """A unit behind the street taken off (`high st flat 3`)."""
    if len(rest) > 2 and rest[-2] in UNITS and _is_unit_name(rest[-1]):
        return rest[:-2], rest[-1]
    return rest, None


def _is_unit_name(token: str) -> bool:
    return len(token) == 1 or bool(_NUMBER.fullmatch(token))


def _street(words: list[str]) -> tuple[str | None, int]:
    """The street's key and how sure it is: up to the first word that says "street" (behind the first word), and what belongs to it.

    Without such a word up to the last that can say it (`hyde pk gdns`), and without that, all of it.
    """
    has_article = len(words) > 1 and words[0] == "the"
    if has_article:
        words = words[1:]
    if not words:
        return None, 0
    strong = [i for i, word in enumerate(words) if i and word in STRONG]
    if len(strong) > 1 and words[strong[0]] == "st":
        del strong[0]  # more likely a saint
    if strong:
        end = strong[0] + 1
        while end < len(words) and (words[end] in TYPES or words[end] in DIRECTIONS):
            end += 1
        return " ".join(words[:end]), 2
    weak = [i for i, word in enumerate(words) if word in TYPES and (i or has_article)]
    if weak:
        end = weak[-1] + 1
        return " ".join(words[: end + 1 if words[end : end + 1] and words[end] in DIRECTIONS else end]), 1
    return " ".join(words), 0
