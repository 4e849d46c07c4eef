"""An alert: a condition over time, and what each channel was told of it. Pure: nothing here reads a clock or a server.

    (none) ─► waiting ─► open ─► recovered ─► waiting …
               grace           gone for `recover_after`

What a channel is owed is decided in the same step as the state, and stored with it; so no crash can come between an
alert that opens and the message about it. A channel hears of an episode `opened`, while it lasts now and then `again`
(and also when it came back before its recovery could be told, or became worse), and in the end `recovered`. What was
over before a channel that was down could be reached is told as `passed`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sv_assets.alerts.condition import Condition
from sv_assets.alerts.routing import Target

State = Literal["waiting", "open", "recovered"]
Word = Literal["opened", "again", "recovered", "passed"]
BELIEVED_OPEN: tuple[Word, ...] = ("opened", "again")
CLAIM = dt.timedelta(seconds=180)
"""For how long a message that is being sent is left alone; longer than sending can take."""


@dataclass(frozen=True)
class Timings:
    """See `settings.Timing`; of one kind of condition."""

    open_after: dt.timedelta = dt.timedelta(0)
    recover_after: dt.timedelta = dt.timedelta(0)
    remind_after: dt.timedelta = dt.timedelta(hours=24)


@dataclass(frozen=True)
class Delivery:
    """What one channel was told last, and what it is owed."""

    route: str
    told: Word | None = None
    told_at: dt.datetime | None = None
    told_episode: int = 0
    told_severity: str = ""
    owes: Word | None = None
    not_before: dt.datetime | None = None
    attempts: int = 0
    """How often somebody began to send what is owed."""
    claim: str | None = None
    claimed_until: dt.datetime | None = None


@dataclass(frozen=True)
class Alert:
    """`since`: when what is wrong began. `count`: how many looks have seen it. `flaps`: how often it went and came back
    within its episode. `revision` changes with every write."""

    condition: Condition
    state: State
    since: dt.datetime
    first_seen: dt.datetime
    last_seen: dt.datetime
    count: int = 1
    episode: int = 0
    flaps: int = 0
    gone_since: dt.datetime | None = None
    recovered_at: dt.datetime | None = None
    muted_until: dt.datetime | None = None
    mute_reason: str = ""
    deliveries: Mapping[str, Delivery] = field(default_factory=dict)
    revision: int = 0

    @property
    def is_active(self) -> bool:
        """Whether it is not over, or somebody has still to be told."""
        return self.state != "recovered" or any(delivery.owes for delivery in self.deliveries.values())

    def is_muted(self, now: dt.datetime) -> bool:
        return self.muted_until is not None and now < self.muted_until


def advance(
    alert: Alert | None, condition: Condition | None, now: dt.datetime, timings: Timings, told: Sequence[Target]
) -> Alert | None:
    """The alert after a look at `now` that found the condition, or found that it is gone (None).

    `told` are the channels for it. None where there was nothing and is nothing.
    """
    moved = _gone(alert, now, timings) if condition is None else _there(alert, condition, now, timings)
    return None if moved is None else owe(moved, now, timings, told)


def _gone(alert: Alert | None, now: dt.datetime, timings: Timings) -> Alert | None:
    if alert is None or alert.state == "recovered":
        return alert
    gone_since = alert.gone_since or now
    if alert.state == "open" and now - gone_since < timings.recover_after:
        return replace(alert, gone_since=gone_since)
    return replace(alert, state="recovered", gone_since=None, recovered_at=gone_since)


def _there(alert: Alert | None, condition: Condition, now: dt.datetime, timings: Timings) -> Alert:
    if alert is None:
        alert = Alert(condition, "waiting", condition.since or now, now, now)
    elif alert.state == "recovered":
        alert = replace(
            alert, condition=condition, state="waiting", since=condition.since or now, first_seen=now, last_seen=now,
            count=1, flaps=0, recovered_at=None,
        )  # fmt: skip
    else:
        alert = replace(
            alert, condition=condition, last_seen=now, count=alert.count + 1,
            flaps=alert.flaps + (alert.gone_since is not None), gone_since=None,
        )  # fmt: skip
    if alert.state == "waiting" and now - alert.first_seen >= timings.open_after:
        return replace(alert, state="open", episode=alert.episode + 1)
    return alert


def owe(alert: Alert, now: dt.datetime, timings: Timings, told: Sequence[Target]) -> Alert:
    """The alert with what each channel is owed now. What is being sent at this moment is left alone."""
    deliveries = dict(alert.deliveries)
    if alert.state == "open":
        for new in told:
            deliveries.setdefault(new.channel, Delivery(new.route))
    by_channel = {target.channel: target for target in told}
    for channel, delivery in deliveries.items():
        if delivery.claimed_until is not None and now < delivery.claimed_until:
            continue
        target = by_channel.get(channel)
        if alert.state == "recovered":
            owed = _of_recovered(alert, delivery, target)
        elif alert.state == "waiting":
            owed = replace(delivery, owes="recovered" if delivery.told in BELIEVED_OPEN else None)
        elif target is None or alert.is_muted(now):
            owed = delivery if delivery.attempts else replace(delivery, owes=None)
        else:
            owed = _of_open(alert, delivery, target, now, timings)
        deliveries[channel] = replace(owed, attempts=0, not_before=None) if owed.owes is None else owed
    return replace(alert, deliveries=deliveries)


def _of_open(alert: Alert, delivery: Delivery, target: Target, now: dt.datetime, timings: Timings) -> Delivery:
    believed = delivery.told in BELIEVED_OPEN
    is_new = delivery.told_episode != alert.episode
    is_worse = delivery.told_severity == "warning" and alert.condition.severity == "error"
    is_long = delivery.told_at is not None and now - delivery.told_at >= timings.remind_after
    if believed and not (is_new or is_worse or is_long):
        return replace(delivery, owes=None)
    # A message that is owed already keeps its time: the next quiet night does not push it back again.
    kept = delivery.not_before if delivery.owes in BELIEVED_OPEN and alert.condition.severity == "warning" else None
    return replace(
        delivery, route=target.route, owes="again" if believed else "opened", not_before=kept or target.not_before
    )


def _of_recovered(alert: Alert, delivery: Delivery, target: Target | None) -> Delivery:
    if delivery.owes == "recovered":
        return delivery
    if delivery.told in BELIEVED_OPEN:
        return replace(delivery, owes="recovered", not_before=target.not_before if target else None)
    if delivery.owes in ("opened", "passed") and not (delivery.not_before and delivery.not_before > alert.last_seen):
        return replace(delivery, owes="passed", not_before=None)
    return replace(delivery, owes=None)


def claimed(alert: Alert, channel: str, token: str, now: dt.datetime) -> Alert | None:
    """The alert with what `channel` is owed in the hands of `token`; None where it is owed nothing now, or another sends it."""
    delivery = alert.deliveries.get(channel)
    if delivery is None or delivery.owes is None or (delivery.not_before and now < delivery.not_before):
        return None
    if delivery.claimed_until is not None and now < delivery.claimed_until:
        return None
    taken = replace(delivery, claim=token, claimed_until=now + CLAIM, attempts=delivery.attempts + 1)
    return replace(alert, deliveries={**alert.deliveries, channel: taken})


def settled(alert: Alert, channel: str, token: str, sent: "Sent | None", now: dt.datetime) -> Alert | None:
    """The alert after `token` has sent (or, with None, could not send) what it claimed; None where it lost its claim."""
    delivery = alert.deliveries.get(channel)
    if delivery is None or delivery.claim != token:
        return None
    free = replace(delivery, claim=None, claimed_until=None)
    if sent is not None:
        free = replace(
            free, told=sent.word, told_at=now, told_episode=sent.episode, told_severity=sent.severity, owes=None,
            not_before=None, attempts=0,
        )  # fmt: skip
    return replace(alert, deliveries={**alert.deliveries, channel: free})


@dataclass(frozen=True)
class Sent:
    """What a message said of an alert."""

    word: Word
    episode: int
    severity: str
