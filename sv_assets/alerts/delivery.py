"""Telling each channel what it is owed: claim, send, record.

A message is claimed on the alerts that it is about before it is sent, so two senders never send it both; who dies between
sending and recording leaves a claim that lapses, and the message is sent once more under the same id. Each channel works
in a thread of its own: one that is down or hangs delays nobody else.
"""

import datetime as dt
import logging
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from pymongo.errors import PyMongoError

from sv_assets.alerts import channels
from sv_assets.alerts.alert import Alert, Word, claimed, settled
from sv_assets.alerts.message import Message, message, sent_of
from sv_assets.alerts.settings import AlertSettings, Channel
from sv_assets.alerts.storage import ALERTS, as_alert, change
from sv_assets.errors import SvError, TransientError
from sv_assets.mongo import Store, explained_mongo_errors, now_in_milliseconds

log = logging.getLogger(__name__)
SECONDS = 20.0
"""For how long a look waits for its channels."""
Send = Callable[[str, Channel, Message], None]


@dataclass
class Told:
    """What a delivery did: alerts told by channel, and the channels that failed, each with a sentence."""

    told: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def deliver(
    store: Store, settings: AlertSettings, *, send: Send = channels.send, wait_seconds: float = SECONDS
) -> Told:
    """Send everything that is owed now to the channels that can be sent to. Failures are in the result, not raised."""
    told = Told()
    workers: dict[str, threading.Thread] = {}
    for name, channel in channels.live_channels(settings).items():
        workers[name] = threading.Thread(
            target=_tell, args=(store, settings, name, channel, send, told), name=f"alerts-{name}", daemon=True
        )
        workers[name].start()
    deadline = time.monotonic() + wait_seconds
    for name, worker in workers.items():
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.is_alive():
            late = TransientError(f"It did not take a message within {wait_seconds:.0f} s.")
            channels.record_failure(store, name, late, now_in_milliseconds())
            told.failed[name] = str(late)
    for name, sentence in told.failed.items():
        log.warning("alert channel %s: %s", name, sentence)
    return told


def _tell(store: Store, settings: AlertSettings, name: str, channel: Channel, send: Send, told: Told) -> None:
    try:
        with explained_mongo_errors():
            if channels.is_resting(store, name, now_in_milliseconds()):
                return
            for route, owed in _owed(store, name, now_in_milliseconds()).items():
                _tell_route(store, settings, name, channel, send, route, owed, told)
    except (SvError, PyMongoError) as error:
        told.failed[name] = str(error) if isinstance(error, SvError) else type(error).__name__


def _owed(store: Store, name: str, now: dt.datetime) -> dict[str, list[str]]:
    """By route, the ids of the alerts that the channel is owed something of."""
    routes: dict[str, list[str]] = defaultdict(list)
    for document in store.control[ALERTS].find({"active": True}):
        alert = as_alert(document)
        if claimed(alert, name, "", now) is not None:
            routes[alert.deliveries[name].route].append(alert.condition.id)
    return dict(routes)


def _tell_route(
    store: Store, settings: AlertSettings, name: str, channel: Channel, send: Send, route: str, ids: list[str], told: Told
) -> None:  # fmt: skip
    token = uuid.uuid4().hex
    now = now_in_milliseconds()
    mine: list[tuple[Alert, Word]] = []
    for identifier in ids:
        alert = change(store, identifier, lambda alert: claimed(alert, name, token, now), settings)
        word = alert.deliveries[name].owes if alert else None
        if alert is not None and word is not None:
            mine.append((alert, word))
    if not mine:
        return
    failure: SvError | None = None
    try:
        send(name, channel, message(route, name, mine, settings.ui, now))
    except SvError as error:
        failure = error
    except Exception as error:  # a fault of ours in one channel must not silence it for good, nor the others
        log.exception("alert channel %s", name)
        failure = SvError(f"Sending failed ({type(error).__name__}); this is a fault of ours, see the log.")
    ended = now_in_milliseconds()
    for alert, word in mine:
        sent = None if failure else sent_of(alert, word)
        change(store, alert.condition.id, lambda a, sent=sent: settled(a, name, token, sent, ended), settings)  # type: ignore[misc]
    if failure is None:
        channels.record_sent(store, name, ended)
        told.told[name] = told.told.get(name, 0) + len(mine)
        return
    channels.record_failure(store, name, failure, ended)
    raise failure
