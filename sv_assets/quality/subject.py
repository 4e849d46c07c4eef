"""What a check of a source looks at: the source, what has landed of it, and what time it is."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from pymongo.collection import Collection

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.landing.documents import field_path
from sv_assets.mongo import Document, Store
from sv_assets.quality.result import Result

LIVE: Document = {"_sv.deleted": {"$ne": True}}


@dataclass(frozen=True)
class Subject:
    """A source in a store at a moment."""

    store: Store
    catalogue: Catalogue
    source: Source
    now: dt.datetime

    @property
    def asset(self) -> str:
        return f"landing/{self.source.system}/{self.source.slug}"

    @property
    def landed(self) -> Collection[Document]:
        return self.store.landing[self.source.key]

    @property
    def zone(self) -> ZoneInfo:
        """In which a day of this source begins; messages say their times in UTC."""
        return ZoneInfo("UTC") if self.source.is_queue else ZoneInfo(self.source.sql_system.time_zone)

    @property
    def today(self) -> dt.date:
        return self.now.astimezone(self.zone).date()

    def field(self, path: str) -> str:
        """Where a declared column or path stands in a landed document."""
        return field_path(self.source, path)

    def result(self, check: str, passed: bool, sentence: str, next_step: str = "", /, **figures: Any) -> Result:
        return Result(check, self.asset, passed, sentence, figures, next_step=next_step)

    def unseen(self, check: str, reason: str) -> Result:
        """The result of a check that had nothing to look at, and so nothing to complain of."""
        return self.result(check, True, f"Not looked at: {reason}", looked_at=0)


def value_at(document: Document, field: str) -> Any:
    """The value of a field of a document by its dotted name; None where there is none. Empty text is none."""
    value: Any = document
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return None if value == "" else value
