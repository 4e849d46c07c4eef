"""The declared channels as they stand: which can be sent to, and how each of them is doing (`control.alert_channels`)."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

from sv_assets import settings as environment
from sv_assets.alerts import mail, slack, webhook
from sv_assets.alerts.message import Message
from sv_assets.alerts.sending import NotSent
from sv_assets.alerts.settings import AlertSettings, Channel, EmailChannel, SlackChannel, WebhookChannel
from sv_assets.errors import ConfigurationError, SvError
from sv_assets.mongo import Document, Store

HEALTH = "alert_channels"
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 900.0
_REFERENCE = re.compile(r"\{\{\s*env\.(\w+)\s*\}\}")


@dataclass(frozen=True)
class Health:
    """How sending to a channel went. `failing_since` is None where the last message went through."""

    name: str
    failing_since: dt.datetime | None = None
    attempts: int = 0
    error: str = ""
    retry_at: dt.datetime | None = None
    sent: int = 0
    sent_at: dt.datetime | None = None


def named_variables(channel: Channel) -> set[str]:
    """The environment variables that a channel names."""
    texts = [str(value) for value in channel.model_dump().values() if isinstance(value, str)]
    texts += channel.to if isinstance(channel, EmailChannel) else []
    return {name for text in texts for name in _REFERENCE.findall(text)}


def missing_variables(channel: Channel) -> list[str]:
    """Those of them that are not set: until they are, the channel is off."""
    return sorted(name for name in named_variables(channel) if environment.variable(name) is None)


def live_channels(settings: AlertSettings) -> dict[str, Channel]:
    """The channels that can be sent to: all whose variables are set."""
    return {name: channel for name, channel in settings.channels.items() if not missing_variables(channel)}


def send(name: str, channel: Channel, message: Message) -> None:
    """Send a message; secrets are resolved here and nowhere else. Raises NotSent or ConfigurationError."""
    if isinstance(channel, SlackChannel):
        slack.send(_resolved(channel.url, name), message)
    elif isinstance(channel, WebhookChannel):
        secret = None if channel.secret is None else _resolved(channel.secret, name)
        webhook.send(_resolved(channel.url, name), message, secret, channel.ca_file)
    else:
        resolved = _resolved_mail(name, channel)
        mail.send(resolved, message, _port(name, channel), resolved.user, resolved.password)


def reach(name: str, channel: Channel) -> str:
    """What answers at a channel, without sending anything. Raises SvError where nothing does."""
    if isinstance(channel, EmailChannel):
        mail.knock(_resolved_mail(name, channel), _port(name, channel))
        return f"SMTP, {channel.security}, {len(channel.to)} recipients"
    import httpx

    url = _resolved(channel.url, name)
    verify: Any = True
    if isinstance(channel, WebhookChannel) and channel.ca_file:
        import ssl

        verify = ssl.create_default_context(cafile=channel.ca_file)
    try:
        with httpx.Client(timeout=5.0, verify=verify) as client:
            client.head(url)  # whatever it answers: somebody is there
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise NotSent(f"It could not be reached ({type(error).__name__}).", passing=True) from None
    return f"{channel.type}, it answers"


def _resolved_mail(name: str, channel: EmailChannel) -> EmailChannel:
    texts = {
        field: _resolved(value, name)
        for field in ("host", "sender", "user", "password", "ca_file")
        if (value := getattr(channel, field)) is not None
    }
    return channel.model_copy(update={**texts, "to": [_resolved(to, name) for to in channel.to]})


def _port(name: str, channel: EmailChannel) -> int:
    text = _resolved(str(channel.port), name)
    if not text.isdigit():
        raise ConfigurationError(f"Alert channel {name}: its `port` is not a number.")
    return int(text)


def _resolved(text: str, name: str) -> str:
    return environment.resolve(text, f"Alert channel {name}")


def health_of(store: Store, settings: AlertSettings) -> list[Health]:
    """How the live channels are doing."""
    stored = {
        document["_id"]: document for document in store.control[HEALTH].find({"_id": {"$in": list(settings.channels)}})
    }
    return [_health(name, stored.get(name)) for name in live_channels(settings)]


def _health(name: str, document: Document | None) -> Health:
    fields = {key: value for key, value in (document or {}).items() if key in Health.__dataclass_fields__}
    return Health(**{"name": name, **fields})


def is_resting(store: Store, name: str, now: dt.datetime) -> bool:
    """Whether a channel has failed, and its next attempt is not due yet."""
    document = store.control[HEALTH].find_one({"_id": name})
    retry_at = document.get("retry_at") if document else None
    return retry_at is not None and now < retry_at


def record_sent(store: Store, name: str, now: dt.datetime) -> None:
    """A message went through."""
    well: Document = {"failing_since": None, "attempts": 0, "error": "", "retry_at": None, "sent_at": now}
    store.control[HEALTH].update_one({"_id": name}, {"$set": well, "$inc": {"sent": 1}}, upsert=True)


def record_failure(store: Store, name: str, error: SvError, now: dt.datetime) -> Health:
    """A message did not: the next attempt waits twice as long each time, or as long as the channel asks."""
    health = _health(name, store.control[HEALTH].find_one({"_id": name}))
    attempts = health.attempts + 1
    pause = min(FIRST_PAUSE * 2 ** min(attempts - 1, 10), LONGEST_PAUSE)
    if isinstance(error, NotSent):
        pause = max(pause if error.passing else LONGEST_PAUSE / 3, error.retry_after)
    ill: Document = {
        "failing_since": health.failing_since or now,
        "attempts": attempts,
        "error": str(error),
        "retry_at": now + dt.timedelta(seconds=pause),
    }
    store.control[HEALTH].update_one({"_id": name}, {"$set": ill, "$inc": {"failed": 1}}, upsert=True)
    return Health(name, **ill, sent=health.sent, sent_at=health.sent_at)
