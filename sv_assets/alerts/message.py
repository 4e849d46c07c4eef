"""What a message says: all that one channel is owed through one route, in one message, for people."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sv_assets.alerts.alert import BELIEVED_OPEN, Alert, Sent, Word

HEADINGS: dict[Word, str] = {
    "opened": "New",
    "again": "Still wrong",
    "recovered": "Recovered",
    "passed": "Over before it could be told",
}
SHOWN = 20
"""Alerts that a message spells out; the rest is counted."""


@dataclass(frozen=True)
class Item:
    """One alert in a message. `id` names this very telling of it: a repeated one is a duplicate."""

    id: str
    word: Word
    alert: Alert
    link: str


@dataclass(frozen=True)
class Message:
    """Everything a channel is told at once. `id` is the same where the same is sent again."""

    id: str
    route: str
    headline: str
    items: tuple[Item, ...]
    sent_at: dt.datetime

    @property
    def shown(self) -> tuple[Item, ...]:
        return self.items[:SHOWN]

    @property
    def rest(self) -> str:
        more = len(self.items) - SHOWN
        return f"And {more} more: `sv alerts list` shows all." if more > 0 else ""

    def sections(self) -> list[tuple[str, list[Item]]]:
        """The items that are spelled out, by what is said of them."""
        groups = [(HEADINGS[word], [item for item in self.shown if item.word == word]) for word in HEADINGS]
        return [(heading, items) for heading, items in groups if items]


def message(route: str, channel: str, owed: Sequence[tuple[Alert, Word]], ui: str, now: dt.datetime) -> Message:
    """The message about these alerts, the worst first."""
    order = list(HEADINGS)
    ranked = sorted(
        owed, key=lambda o: (order.index(o[1]), o[0].condition.severity != "error", o[0].since, o[0].condition.id)
    )
    items = tuple(Item(telling(channel, a, word), word, a, link(ui, a.condition.page)) for a, word in ranked)
    identifier = hashlib.blake2b("|".join(sorted(item.id for item in items)).encode(), digest_size=12).hexdigest()
    return Message(identifier, route, _headline(items), items, now)


def telling(channel: str, alert: Alert, word: Word) -> str:
    """The name of one telling of an alert to a channel, the same however often it is tried."""
    delivery = alert.deliveries[channel]
    before = f"{delivery.told_at:%Y%m%dT%H%M%S}" if word == "again" and delivery.told_at else ""
    episode = delivery.told_episode if word == "recovered" else alert.episode
    return f"{alert.condition.id}#{episode}.{word}{before}"


def sent_of(alert: Alert, word: Word) -> Sent:
    return Sent(word, alert.episode, alert.condition.severity)


def link(ui: str, page: str) -> str:
    return f"{ui.rstrip('/')}{page}" if page else ""


def _headline(items: Sequence[Item]) -> str:
    if len(items) == 1:
        item = items[0]
        return f"{HEADINGS[item.word]}: {item.alert.condition.title}"
    counts = {word: sum(item.word == word for item in items) for word in HEADINGS}
    names = {"opened": "new", "again": "still wrong", "recovered": "recovered", "passed": "over already"}
    told = ", ".join(f"{counts[word]} {names[word]}" for word in HEADINGS if counts[word])
    return f"Single customer view: {told}"


def sentence(item: Item) -> str:
    """What is wrong, or was."""
    told = item.alert.condition.sentence
    return told if item.word in BELIEVED_OPEN else f"It was: {told}"


def facts(item: Item, now: dt.datetime) -> list[tuple[str, str]]:
    """What stands under the sentence, name and value: since when, whose, figures, what mends it."""
    alert, condition = item.alert, item.alert.condition
    since = f"{alert.since:%Y-%m-%d %H:%M} UTC"
    if item.word in ("recovered", "passed") and alert.recovered_at:
        since = f"{since} until {alert.recovered_at:%H:%M} ({duration(alert.recovered_at - alert.since)})"
    elif now - alert.since >= dt.timedelta(minutes=1):
        since = f"{since} ({duration(now - alert.since)})"
    rows = [("Since", since), ("Owner", ", ".join(condition.owners) or "nobody is declared")]
    if condition.figures and item.word in BELIEVED_OPEN:
        rows.append(("Figures", ", ".join(f"{n.replace('_', ' ')} {_number(v)}" for n, v in condition.figures.items())))
    if alert.flaps:
        rows.append(("Came and went", f"{alert.flaps} times"))
    if condition.mend and item.word in BELIEVED_OPEN:
        rows.append(("Next", condition.mend))
    return rows


def duration(span: dt.timedelta) -> str:
    """For people: `3 d 4 h`, `12 min`."""
    minutes = max(0, int(span.total_seconds() // 60))
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _number(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
