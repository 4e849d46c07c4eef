"""Personal data where none is declared: in free text, in new columns, anywhere in a message.

A column declared as a name, contact or address is left alone. One declared as `sensitive` is expected to hold secrets, but no
contact data or addresses unless `expect: {may_hold: {Notes: [phone]}}` says so: its sensitivity would be another.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sv_assets.mongo import Document
from sv_assets.quality import names
from sv_assets.quality.patterns import SENSITIVITY, kinds_in
from sv_assets.quality.result import Result
from sv_assets.quality.scan import Scanned
from sv_assets.quality.subject import Subject

CHECK = names.PERSONAL_DATA
_LONGEST = 20_000
_NUMBERS_ONLY = re.compile(r"[\d ]+")


@dataclass
class PersonalData:
    """Looks at every text of the rows of a pass. Figures say column, kind and share; never a value."""

    subject: Subject
    _texts: Counter[str] = field(default_factory=Counter)
    _found: Counter[tuple[str, str]] = field(default_factory=Counter)
    _plain_numbers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        entry = self.subject.source.entry
        self._declared = dict(entry.pii)
        self._known = {path: set(kinds) for path, kinds in entry.expect.may_hold.items()}

    def add(self, row: Document) -> None:
        top = row.get("body") if self.subject.source.is_queue else row
        for path, text in _texts(top, "$" if self.subject.source.is_queue else ""):
            declared = self._declaration(path)
            if declared not in (None, "sensitive"):
                continue
            self._texts[path] += 1
            if _NUMBERS_ONLY.fullmatch(text):
                self._plain_numbers[path] += 1
            for kind in kinds_in(text[:_LONGEST]):
                if declared is None or SENSITIVITY[kind] != declared:
                    self._found[path, kind] += 1

    def result(self, scanned: Scanned) -> Result:
        found = {key: n for key, n in self._found.items() if not self._is_known(*key)}
        named = [f"{path} ({kind}, {n / self._texts[path]:.1%})" for (path, kind), n in sorted(found.items())]
        sentence = (
            f"{len(found)} columns hold personal data that is not declared: {', '.join(named)}. Declare them under `pii`."
            if found
            else f"No text in {len(self._texts)} columns without a declaration looks like personal data."
        )
        shares = {f"{path}:{kind}": round(n / self._texts[path], 4) for (path, kind), n in found.items()}
        rows = {f"{path}:{kind}:rows": n for (path, kind), n in found.items()}
        return self.subject.result(
            CHECK, not found, sentence, columns=len(self._texts), **shares, **rows, **scanned.figures
        )

    def _declaration(self, path: str) -> str | None:
        """Of the path itself, or of one that it is part of."""
        if path in self._declared:
            return self._declared[path]
        return next((kind for parent, kind in self._declared.items() if path.startswith(f"{parent}.")), None)

    def _is_known(self, path: str, kind: str) -> bool:
        if kind in self._known.get(path, ()):
            return True
        # Of numbers of that length a tenth passes Luhn by chance, and some are in the number plan: a column of numbers is one
        # of cards or phones only if most are.
        numbers = self._plain_numbers[path]
        return kind in ("card", "phone") and numbers > self._texts[path] / 2 and self._found[path, kind] < numbers / 2


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value:
            yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if path or name not in ("_id", "_sv"):
                yield from _texts(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path)
