"""When MongoDB itself is away there are no alerts to keep; so this one lives in the cursor of whoever looks.

away since …, told to … ─► told as over when a look succeeds again
"""

import datetime as dt
import json
import logging
from dataclasses import dataclass

from sv_assets.alerts import channels
from sv_assets.alerts.alert import Alert, Delivery, Word
from sv_assets.alerts.channels import live_channels
from sv_assets.alerts.condition import Condition
from sv_assets.alerts.message import message
from sv_assets.alerts.routing import targets
from sv_assets.alerts.settings import AlertSettings
from sv_assets.errors import SvError

log = logging.getLogger(__name__)
GRACE = dt.timedelta(seconds=60)
THERE = "{}"
"""The cursor while it answers; Dagster keeps the last one where it gets an empty text."""
CONDITION = Condition(
    id="source mongodb",
    kind="source",
    severity="error",
    title="MongoDB does not answer",
    sentence="Nothing lands and nothing is composed; other alerts cannot be kept or sent. Bookmarks and queues wait, nothing is lost.",
    mend="sv doctor",
)


@dataclass(frozen=True)
class Away:
    """Since when MongoDB has been away, and which channels know, by the route that told them."""

    since: dt.datetime
    told: dict[str, str]

    def as_cursor(self) -> str:
        return json.dumps({"mongodb_away_since": self.since.isoformat(), "told": self.told})


def away_of(cursor: str | None) -> Away | None:
    """What a cursor says; None where MongoDB was there at the last look."""
    said = json.loads(cursor) if cursor else {}
    since = said.get("mongodb_away_since")
    return Away(dt.datetime.fromisoformat(since), said["told"]) if since else None


def tell_away(away: Away | None, settings: AlertSettings, now: dt.datetime) -> Away:
    """A look found MongoDB away: tell every channel that does not know it, once it has been away for a minute."""
    away = away or Away(now, {})
    if now - away.since < GRACE:
        return away
    live = live_channels(settings)
    told = dict(away.told)
    for target in targets(CONDITION, settings, now):
        if (
            target.channel in live
            and target.channel not in told
            and _sent(away, settings, target.channel, target.route, "opened", now)
        ):
            told[target.channel] = target.route
    return Away(away.since, told)


def tell_back(away: Away, settings: AlertSettings, now: dt.datetime) -> Away | None:
    """A look found it there again: tell who was told. What is left is for the next look; None where nobody is."""
    live = live_channels(settings)
    left = {
        channel: route
        for channel, route in away.told.items()
        if channel in live and not _sent(away, settings, channel, route, "recovered", now)
    }
    return Away(away.since, left) if left else None


def _sent(away: Away, settings: AlertSettings, channel: str, route: str, word: Word, now: dt.datetime) -> bool:
    told = (
        Delivery(route, told="opened", told_at=away.since, told_episode=1) if word == "recovered" else Delivery(route)
    )
    over = now if word == "recovered" else None
    alert = Alert(
        CONDITION, "recovered" if over else "open", away.since, away.since, now, episode=1, recovered_at=over, deliveries={channel: told}
    )  # fmt: skip
    try:
        channels.send(channel, settings.channels[channel], message(route, channel, [(alert, word)], settings.ui, now))
    except SvError as error:
        log.warning("alert channel %s: %s", channel, error)
        return False
    return True
