"""Whether values are spread as before: money, currencies and states that feeds declare, and whatever else is declared.

What was seen when all was well is kept in `control.profiles`, and grows with each audit that passes. Against it stand all
rows, and apart from them those that landed since. Money and currency, which never change with a row's age, are also held
by the time when they happened: the last day, week and four weeks against all that was before. Of each, four things are told:

- values that were never seen before, where the few values of a column make that unlikely;
- the pennies at the end of amounts, which prices have and converted prices have not;
- the level of amounts;
- how often each value comes.
"""

import datetime as dt
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bson import Decimal128

from sv_assets.landing.documents import as_moment
from sv_assets.landing.shapes import shape_of
from sv_assets.mongo import Document
from sv_assets.quality import names
from sv_assets.quality.chance import at_least
from sv_assets.quality.result import Result
from sv_assets.quality.scan import Scanned
from sv_assets.quality.subject import Subject, value_at
from sv_assets.quality.watched import Watched, watched_of

CHECK = names.DISTRIBUTION
WINDOWS = {"day": dt.timedelta(days=1), "week": dt.timedelta(weeks=1), "four_weeks": dt.timedelta(weeks=4)}
FEWEST_BEFORE = 50
FEWEST_NOW = 5
FEWEST_FOR_A_LEVEL = 6
MOST_VALUES = 400
_CHANCE = 1e-7
_NEW = {"all": 0.02}
_NEW_IN_PART = 0.2
_LEVEL = {"all": math.log10(1.08)}
_LEVEL_IN_PART = math.log10(1.3)
_SHARE = 0.15
_DEVIATIONS = 8.0


@dataclass(frozen=True)
class Profile:
    """The values of a column in short: how often the frequent ones come, the endings and the level of numbers."""

    rows: int
    values: dict[str, int]
    singles: int
    endings: dict[str, int] = field(default_factory=dict)
    single_endings: int = 0
    level: float = 0.0
    spread: float = 0.0
    numbers: int = 0

    @property
    def has_few_values(self) -> bool:
        return len(self.values) <= MOST_VALUES and self.singles <= max(0.02 * self.rows, 1)


def profile_of(values: Sequence[Any]) -> Profile:
    """Of numbers as `float`; all else counts as words."""
    seen = Counter(values)
    named: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    levels: list[float] = []
    for value, times in seen.items():
        if isinstance(value, float):
            named[f"{value:.6g}"] += times
            endings[_ending(value)] += times
            levels += [math.log10(abs(value))] * times if value else []
        else:
            named[str(value)] += times
    return Profile(
        rows=len(values),
        values=dict(named.most_common(MOST_VALUES + 1)),
        singles=sum(n == 1 for n in named.values()),
        endings=dict(endings.most_common(MOST_VALUES)),
        single_endings=sum(n == 1 for n in endings.values()),
        level=statistics.median(levels) if levels else 0.0,
        spread=statistics.pstdev(levels) if len(levels) > 1 else 0.0,
        numbers=len(levels),
    )


def differences(before: Profile, now: Profile, window: str, steady: bool = False) -> Iterator[str]:
    """In which ways `now` is not as `before`, in words without values. Of a `steady` column a few rows may tell."""
    if before.rows < FEWEST_BEFORE or now.rows < FEWEST_NOW:
        return
    least = _NEW.get(window, _NEW_IN_PART)
    if before.has_few_values:
        unseen = sum(n for value, n in now.values.items() if value not in before.values)
        if (
            unseen >= least * now.rows
            and at_least(unseen, now.rows, (before.singles + 1) / (before.rows + 1)) < _CHANCE
        ):
            yield f"{unseen / now.rows:.0%} of {now.rows:,} values were never seen before"
            return
        for value, n in now.values.items() if steady else ():
            was = (before.values.get(value, 0) + 1) / (before.rows + 1)
            if n / now.rows - was >= _NEW_IN_PART and at_least(n, now.rows, was) < _CHANCE:
                yield f"a value that {was:.1%} of the rows had is that of {n / now.rows:.0%} of {now.rows:,}"
                return
    if before.numbers >= FEWEST_BEFORE and now.numbers >= FEWEST_NOW:
        unseen = sum(n for ending, n in now.endings.items() if ending not in before.endings)
        chance = (before.single_endings + 1) / (before.rows + 1)
        if unseen >= least * now.rows and at_least(unseen, now.rows, chance) < _CHANCE:
            yield f"{unseen / now.rows:.0%} of {now.rows:,} amounts end in pennies never seen before"
            return
        moved = now.level - before.level
        error = 1.2533 * max(before.spread, 0.01) * math.sqrt(1 / before.numbers + 1 / now.numbers)
        far = abs(moved) > 6 * error and abs(moved) >= _LEVEL.get(window, _LEVEL_IN_PART)
        if now.numbers >= FEWEST_FOR_A_LEVEL and far:
            yield f"the median of {now.numbers:,} amounts is {10**moved:,.2f} times the one before"
            return
    # Only of all rows: those that landed last are the young ones, whose states are others.
    if window == "all" and before.has_few_values and now.rows >= FEWEST_BEFORE and not before.numbers:
        for value in before.values.keys() | now.values.keys():
            was, share = before.values.get(value, 0) / before.rows, now.values.get(value, 0) / now.rows
            error = math.sqrt(max(was * (1 - was), 0.01) * (1 / before.rows + 1 / now.rows))
            if abs(share - was) > max(_SHARE, _DEVIATIONS * error):
                yield f"a value that {was:.0%} of the rows had is that of {share:.0%} of {now.rows:,}"
                return


@dataclass
class Distribution:
    """Takes the watched values of a pass, and holds them against what was kept and against each other."""

    subject: Subject
    _rows: dict[str, list[tuple[Any, dt.datetime | None, dt.datetime]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        subject = self.subject
        shape = shape_of(subject.store, subject.source)
        drifted = shape.drifted if shape else set()
        self._watched = [watched for watched in watched_of(subject.source) if watched.path not in drifted]
        self._fields = [(w.path, subject.field(w.path)) for w in self._watched]
        self._moment = subject.field(subject.source.happened_at) if subject.source.happened_at else None
        self._rows = {w.path: [] for w in self._watched}

    def add(self, row: Document) -> None:
        if not self._fields:
            return
        moment = as_moment(value_at(row, self._moment)) if self._moment else None
        landed = row["_sv"]["extracted_at"]
        for path, name in self._fields:
            if (value := value_at(row, name)) is not None:
                number = _number(value)
                self._rows[path].append((str(value) if number is None else number, moment, landed))

    def result(self, scanned: Scanned) -> Result:
        subject = self.subject
        if not self._watched:
            return subject.unseen(CHECK, "its feeds declare no money, currency or state, 0 columns.")
        kept = subject.store.control["profiles"].find_one({"_id": subject.source.key})
        found: dict[str, str] = {}
        for watched in self._watched:
            before = _stored(kept, watched.path)
            for window, then, values in self._windows(watched, kept, before):
                told = next(differences(then, profile_of(values), window, watched.steady), None)
                if told:
                    found[watched.path] = f"{told} ({window.replace('_', ' ')})"
                    break
        if not found:
            self._keep()
        named = "; ".join(f"{path}: {told}" for path, told in found.items())
        columns = len(self._watched)
        sentence = (
            f"{len(found)} of {columns} columns are not spread as before. {named}."
            if found
            else f"{columns} columns are spread as before, over {scanned.rows:,} rows."
        )
        step = f"sv checks accept {subject.source.key}"
        return subject.result(
            CHECK, not found, sentence, step, columns=columns, drifted=", ".join(found), **scanned.figures
        )

    def _windows(
        self, watched: Watched, kept: Document | None, before: Profile | None
    ) -> Iterator[tuple[str, Profile, list[Any]]]:
        """(window, what it is held against, its values)"""
        rows = self._rows[watched.path]
        if before is not None and kept is not None:
            yield "landed_since", before, [value for value, _, landed in rows if landed > kept["through"]]
            yield "all", before, [value for value, _, _ in rows]
        if not watched.steady or self._moment is None:
            return
        timed = [(value, moment) for value, moment, _ in rows if moment is not None and moment <= self.subject.now]
        newest = max((moment for _, moment in timed), default=None)
        for window, span in WINDOWS.items():
            if newest is not None:
                older = [value for value, moment in timed if moment <= newest - span]
                yield window, profile_of(older), [value for value, moment in timed if moment > newest - span]

    def _keep(self) -> None:
        through = max((landed for rows in self._rows.values() for _, _, landed in rows), default=self.subject.now)
        columns = [
            [path, _storable(profile_of([value for value, _, _ in rows]))] for path, rows in self._rows.items() if rows
        ]
        kept: Document = {"_id": self.subject.source.key, "through": through, "columns": columns}
        self.subject.store.control["profiles"].replace_one({"_id": kept["_id"]}, kept, upsert=True)


def agree(subject: Subject) -> bool:
    """Forget what was kept of a source: the next audit takes the values as they are then. True if there was any."""
    return subject.store.control["profiles"].delete_one({"_id": subject.source.key}).deleted_count > 0


def _stored(kept: Document | None, path: str) -> Profile | None:
    for name, stored in kept["columns"] if kept else ():
        if name == path:
            lists = {key: dict(map(tuple, stored[key])) for key in ("values", "endings")}
            return Profile(**{**stored, **lists})
    return None


def _storable(profile: Profile) -> Document:
    """Values and endings as pairs: a value may be any text, which a field name may not."""
    return {
        **vars(profile),
        "values": [list(item) for item in profile.values.items()],
        "endings": [list(item) for item in profile.endings.items()],
    }


def _number(value: Any) -> float | None:
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _ending(number: float) -> str:
    """The pennies of an amount: `.99`, or `more` where there is more than pennies."""
    cents = round(abs(number) * 10_000)
    return "more" if cents % 100 else f".{cents // 100 % 100:02d}"
