"""Values of a customer: each distinct one, who says so, and which one counts (survivorship).

Sources rarely agree. Every value is kept with all that say so; the criteria declared for its field are asked in turn until
one value is ahead, and the criterion that decided is told beside it.
"""

import datetime as dt
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bson import Decimal128

from sv_assets.customers.settings import Criterion, CustomerSettings
from sv_assets.identity import normalise
from sv_assets.landing.documents import as_moment
from sv_assets.mongo import Document, to_milliseconds

MOST_VALUES = 50
MOST_SOURCES = 10
NEVER = dt.datetime.min.replace(tzinfo=dt.timezone.utc)
OPEN_END = dt.datetime(2079, 6, 6, tzinfo=dt.timezone.utc)
"""Ends from here on say that there is none: 9999-12-31, 2099-12-31, or the last day that a smalldatetime holds."""
NAME_PARTS = ("title", "first", "middle", "last", "full")
ADDRESS_PARTS = ("kind", "line_1", "line_2", "town", "county", "postcode", "country")
_LONGEST_NUMBER = 34
_OF_NO_PLACE = {"kind", "country", "valid_from", "valid_to"}
"""What a feed may give of a row that holds no address."""
Rank = tuple[float, float, str]


@dataclass(frozen=True, slots=True)
class Saying:
    """One record (or address row) that gives values: where it stands, when it was seen, how far it is believed.

    `rank` sorts sayings: the latest first, then the most trusted.
    """

    provenance: Document
    seen: dt.datetime | None
    trust: float
    rank: Rank
    rectified: float = 0.0
    """When the customer had it put right; 0 for what sources say."""


@dataclass(slots=True)
class Candidate:
    """A distinct value. `usable`: it is no placeholder and can be compared. Several may write it differently: `shown` is
    who writes it as `value` has it."""

    usable: bool = True
    completeness: int = 0
    sayings: list[Saying] = field(default_factory=list)
    value: Any = None
    shown: Saying | None = None
    order: tuple[bool, Rank] | None = None
    """Of who shows the value: whether it has ended by them, and their rank."""

    def said(self, saying: Saying, value: Any, ended: bool = False) -> None:
        """Count a saying, once where it gives the value several times in a row. Who says that it holds shows it, then the best."""
        if not self.sayings or self.sayings[-1] is not saying:
            self.sayings.append(saying)
        order = (ended, saying.rank)
        if self.order is None or order < self.order or (order == self.order and repr(value) < repr(self.value)):
            self.value, self.shown, self.order = value, saying, order

    @property
    def ended(self) -> bool:
        """True if nobody says that it still holds."""
        return self.order is not None and self.order[0]

    @property
    def last_seen(self) -> dt.datetime | None:
        return self.seen()[1]

    def seen(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """When it was seen to be so, first and last."""
        if len(self.sayings) == 1:
            return self.sayings[0].seen, self.sayings[0].seen
        moments = [saying.seen for saying in self.sayings if saying.seen]
        return (min(moments), max(moments)) if moments else (None, None)


_MEASURES: dict[Criterion, Callable[[Candidate], float]] = {
    "rectified": lambda c: max(s.rectified for s in c.sayings),
    "current": lambda c: not c.ended,
    "completeness": lambda c: c.completeness,
    "trust": lambda c: max(s.trust for s in c.sayings),
    "agreement": lambda c: len(c.sayings),
    "recency": lambda c: (c.last_seen or NEVER).timestamp(),
}


@dataclass(frozen=True, slots=True)
class Field:
    """What is known of one field: the golden value, the list of all (at most `MOST_VALUES`), and how many there are."""

    golden: Document | None
    values: list[Document]
    candidates: list[Candidate]


def survivor(candidates: Iterable[Candidate], criteria: list[Criterion]) -> Field:
    """Rank the candidates of a field. The first usable one is the golden value."""
    found = list(candidates)
    if len(found) > 1:
        measures = [_MEASURES[criterion] for criterion in criteria]
        ranks = {id(c): (c.usable, *(measure(c) for measure in measures)) for c in found}
        found.sort(key=lambda c: repr(c.value))  # last of all the values themselves decide
        found.sort(key=lambda c: ranks[id(c)], reverse=True)
    for candidate in found:
        if len(candidate.sayings) > 1:
            candidate.sayings.sort(key=lambda saying: saying.rank)
    usable = [candidate for candidate in found if candidate.usable]
    golden = None
    if usable:
        rule = "only_value"
        if len(usable) > 1:
            pairs = zip(criteria, ranks[id(usable[0])][1:], ranks[id(usable[1])][1:], strict=True)
            rule = next((criterion for criterion, ours, theirs in pairs if ours != theirs), "the_value_itself")
        assert usable[0].shown is not None
        golden = {"value": usable[0].value, **usable[0].shown.provenance, "rule": rule}
    values = [_known(candidate, golden is not None and n == 0) for n, candidate in enumerate(found[:MOST_VALUES])]
    return Field(golden, values, found)


def _known(candidate: Candidate, preferred: bool) -> Document:
    if not candidate.usable:
        status = "unusable"
    elif preferred:
        status = "preferred"
    else:
        status = "former" if candidate.ended else "current"
    first_seen, last_seen = candidate.seen()
    return {
        "value": candidate.value,
        "status": status,
        "first_seen": first_seen,
        "last_seen": last_seen,
        "said_by": len(candidate.sayings),
        "sources": [saying.provenance for saying in candidate.sayings[:MOST_SOURCES]],
    }


def saying_of(document: Document, source: str, seen: dt.datetime | None, settings: CustomerSettings) -> Saying:
    """What stands behind the values of a party record, an address or a consent."""
    trust = settings.trust_in(document["system"], source)
    rank = (-(seen or NEVER).timestamp(), -trust, str(document.get("record") or document["_id"]))
    return Saying({**origin_of(document), "observed_at": seen}, seen, trust, rank)


def origin_of(document: Document) -> Document:
    """Where a party record, an address, an order … came from."""
    return {
        "system": document["system"],
        "table": document["table"],
        "key": document["key"],
        "version": document["version"],
    }


Said = list[tuple[Document, Saying]]
"""Party records, each with the saying that stands for it."""


def names(said: Said) -> Iterable[Candidate]:
    """Each distinct name, case and blanks aside, as the latest source writes it."""
    found: dict[Hashable, Candidate] = {}
    for record, saying in said:
        value = _texts(record["name"], NAME_PARTS)
        if not value:
            continue
        key = tuple((part, text.casefold()) for part, text in value.items())
        compared = record["compared"]
        complete = bool(compared.get("last")) + (len(compared.get("first", "")) > 1)
        candidate = _candidate(found, key, value, saying)
        candidate.completeness = max(candidate.completeness, complete)
    return found.values()


def dates_of_birth(said: Said) -> Iterable[Candidate]:
    """Each distinct date, as ISO text; what is no date is kept as it was written, and not usable."""
    found: dict[Hashable, Candidate] = {}
    for record, saying in said:
        born = record["compared"].get("born")
        if born:
            _candidate(found, born, born, saying, usable=_is_date(born))
        elif isinstance(raw := record.get("date_of_birth"), (str, dt.datetime)) and str(raw).strip():
            text = raw.date().isoformat() if isinstance(raw, dt.datetime) else _tidy(raw)
            _candidate(found, text, text, saying, usable=False)
    return found.values()


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def emails(said: Said) -> Iterable[Candidate]:
    """Each distinct address in its compared form."""
    return _contacts(said, "emails", _email, ("emails",))


def _email(raw: str, _region: str) -> str | None:
    found = normalise.email(raw)
    return found.match if found else None


def phones(said: Said) -> Iterable[Candidate]:
    """Each distinct number as E.164."""
    return _contacts(said, "phones", normalise.phone, ("mobiles", "lines"))


def _contacts(
    said: Said, name: str, normalised: Callable[[str, str], str | None], compared: tuple[str, ...]
) -> Iterable[Candidate]:
    """What cannot be compared (placeholders, malformed) is kept as it was typed, and not usable."""
    found: dict[Hashable, Candidate] = {}
    for record, saying in said:
        usable = [value for kind in compared for value in record["compared"].get(kind, ())]
        raws = record[name]
        if len(raws) == len(usable) == 1:
            _candidate(found, usable[0], usable[0], saying)
            continue
        for raw in raws:
            value = normalised(raw, record.get("region", "GB"))
            if value in usable:
                _candidate(found, value, value, saying)
            elif text := _tidy(raw):
                _candidate(found, text, text, saying, usable=False)
    return found.values()


def addresses(said: Said, settings: CustomerSettings) -> Iterable[Candidate]:
    """Each distinct place (house and street, or first line, and postcode) as the row shows it that is current and latest."""
    rows = [(record, saying, address) for record, saying in said for address in record["addresses"]]
    found: dict[Hashable, Candidate] = {}
    for record, of_record, address in rows:
        value, starts, ends = _place(address)
        if not value.keys() - _OF_NO_PLACE:
            continue
        own = bool(of_record.rectified) or address["record"] == record["_id"]
        seen = ends or starts or (of_record.seen if own else None)
        if own and seen == of_record.seen:
            saying = of_record
        else:
            saying = saying_of(address, _source_of(address), seen, settings)
        candidate = found.setdefault(_place_key(value) if len(rows) > 1 else None, Candidate())
        candidate.said(saying, value, ended=ends is not None)
        candidate.completeness = sum(bool(candidate.value.get(part)) for part in ("line_1", "town", "postcode"))
    return found.values()


def _place(address: Document) -> tuple[Document, dt.datetime | None, dt.datetime | None]:
    value = _texts(address, ADDRESS_PARTS)
    starts, ends = moment(address.get("valid_from")), moment(address.get("valid_to"))
    if starts:
        value["valid_from"] = starts
    if ends:
        value["valid_to"] = ends
    return value, starts, None if ends and ends >= OPEN_END else ends


def _place_key(value: Document) -> Hashable:
    line = normalise.address(value.get("line_1"), value.get("line_2"))
    area = postcode_of(value) or normalise.word(value.get("town", ""))
    if line is None and area is None:
        return tuple((part, value[part].casefold()) for part in ADDRESS_PARTS if part in value)
    return line.text if line else None, area


def postcode_of(address: Document) -> str | None:
    """The canonical postcode of an address (`SW1A 1AA`)."""
    found = normalise.postcode(address["postcode"]) if address.get("postcode") else None
    return found.unit if found else None


def _source_of(document: Document) -> str:
    return str(document["record"]).partition(":")[0]


def _candidate(
    found: dict[Hashable, Candidate], key: Hashable, value: Any, saying: Saying, usable: bool = True
) -> Candidate:
    candidate = found.get(key)
    if candidate is None:
        candidate = found[key] = Candidate(usable)
    candidate.said(saying, value)
    return candidate


def _texts(document: Document, parts: tuple[str, ...]) -> Document:
    """Of these parts those that say something."""
    return {part: text for part in parts if isinstance(raw := document.get(part), str) and (text := _tidy(raw))}


def _tidy(text: str) -> str:
    return " ".join(text.split())


def moment(value: Any) -> dt.datetime | None:
    """A point in time, UTC: columns give dates, messages give ISO text. None for what is neither."""
    if type(value) is dt.datetime and value.tzinfo is dt.timezone.utc and value.microsecond % 1000 == 0:
        return value  # as BSON gives it
    said = as_moment(value)
    if said is None:
        return None
    try:
        at = said.astimezone(dt.timezone.utc)
    except OverflowError:  # in the first or last hours that there are, of a zone in which those are others
        return None
    return to_milliseconds(at)


def rank(value: Any) -> tuple[int, Any]:
    """What sorts values of any kind: numbers, moments, text, all others, and nothing at last.

    Sources mix them: a number or a moment counts as one also where a message or a column of text gives it.
    """
    if isinstance(value, str):
        value = _meant(value)
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, (int, float, Decimal)):
        return (3, "NaN") if Decimal(value).is_nan() else (0, value)
    if isinstance(value, dt.datetime):
        return 1, value
    if isinstance(value, str):
        return 2, value
    return (4, 0) if value is None else (3, repr(value))


def _meant(text: str) -> int | dt.datetime | str:
    if len(text) <= _LONGEST_NUMBER and text.isascii() and text.isdigit():
        return int(text)
    return moment(text) or text
