"""Whether values landed as what their columns are: numbers as numbers, moments as moments (docs/types.md)."""

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bson import Decimal128

from sv_assets.landing.shapes import shape_of
from sv_assets.mongo import Document
from sv_assets.quality import names
from sv_assets.quality.result import Result
from sv_assets.quality.scan import Scanned
from sv_assets.quality.subject import Subject

CHECK = names.TYPES
_WHOLE = ("tinyint", "smallint", "int", "integer", "bigint")
_EXACT = ("decimal", "numeric", "dec", "money", "smallmoney")
_TEXT = ("char", "varchar", "nchar", "nvarchar", "text", "ntext", "sysname", "xml")
_MOMENT = ("date", "datetime", "datetime2", "smalldatetime", "datetimeoffset")
_FAMILIES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_WHOLE, (int,)),
    **dict.fromkeys(_EXACT, (Decimal128, int)),
    **dict.fromkeys(_TEXT, (str,)),
    **dict.fromkeys(_MOMENT, (dt.datetime,)),
    "bit": (bool,),
    "rowversion": (bytes,),
    "timestamp": (bytes,),
}


@dataclass
class Types:
    """Holds the values of each landed row against the type of their column, or one that it had before.

    What stands exactly in text because BSON cannot hold it is as it should be, and so is a column whose type changed:
    `schema_as_declared` tells of that.
    """

    subject: Subject
    _values: int = 0
    _wrong: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        shape = shape_of(self.subject.store, self.subject.source)
        self._expected: dict[str, tuple[type, ...]] = {}
        for name, kind in (shape.latest if shape else {}).items():
            family = _FAMILIES.get(kind.split("(")[0])
            if family and shape is not None and name not in shape.drifted:
                self._expected[name] = family

    def add(self, row: Document) -> None:
        exact = row["_sv"].get("exact", {})
        for name, family in self._expected.items():
            value: Any = row.get(name)
            if value is None:
                continue
            self._values += 1
            fits = isinstance(value, family) and (bool in family or not isinstance(value, bool))
            if not fits and name not in exact:
                self._wrong[name] += 1

    def result(self, scanned: Scanned) -> Result:
        wrong = sum(self._wrong.values())
        named = ", ".join(f"{name} ({n:,})" for name, n in sorted(self._wrong.items()))
        sentence = (
            f"{wrong:,} of {self._values:,} values are not of the type of their column: {named}."
            if wrong
            else f"All {self._values:,} values in {len(self._expected)} columns are of the type of their column."
        )
        step = f"sv run --select {self.subject.asset}"
        return self.subject.result(
            CHECK, not wrong, sentence, step, wrong=wrong, **dict(self._wrong), **scanned.figures
        )
