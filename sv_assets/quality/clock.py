"""What time it is for a check.

It is the machine's time; `SV_NOW` (ISO 8601) says another, for looking back. An embedded estate stands still between its
ticks, and so does its time: there it is the estate's own clock, or the newest moment that has landed of any source.
"""

import datetime as dt
import json
from pathlib import Path

from sv_assets import settings
from sv_assets.catalogue.load import Catalogue
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Store
from sv_assets.quality.arrivals import newest_moment
from sv_assets.quality.subject import Subject

NOW = "SV_NOW"
ESTATE = "SV_ESTATE_CLOCK"
"""Names the file in which an embedded estate keeps its `clock`."""


def now(store: Store, catalogue: Catalogue) -> dt.datetime:
    """The time to judge by, in UTC. Raises ConfigurationError for an `SV_NOW` that is no date-time."""
    said = settings.variable(NOW)
    if said:
        return _moment(said, NOW)
    real = dt.datetime.now(dt.timezone.utc)
    file = settings.variable(ESTATE)
    if file is None or not Path(file).is_file():
        return real
    try:
        clock = _moment(json.loads(Path(file).read_text(encoding="utf-8")).get("clock") or "", ESTATE)
    except ValueError:
        return real
    landed = (newest_moment(Subject(store, catalogue, source, real)) for source in catalogue.sources)
    return min(real, max([clock, *(moment for moment in landed if moment is not None)]))


def _moment(text: str, variable: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{variable} says no date-time; it looks like 2026-11-26T09:00:00+00:00.") from None
    return moment.astimezone(dt.timezone.utc) if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)
