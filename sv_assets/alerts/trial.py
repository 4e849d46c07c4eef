"""A message by which a person sees that a channel works."""

from sv_assets.alerts.alert import Alert, Delivery
from sv_assets.alerts.condition import Condition
from sv_assets.alerts.message import Message, message
from sv_assets.alerts.settings import AlertSettings
from sv_assets.mongo import now_in_milliseconds


def trial_message(channel: str, settings: AlertSettings) -> Message:
    """What `sv alerts test` sends. Nothing is wrong, and it says so."""
    now = now_in_milliseconds()
    condition = Condition(
        id=f"test {channel} {now:%Y%m%dT%H%M%S.%f}",
        kind="channel",
        severity="warning",
        title="This is a test of the single customer view",
        sentence=f"Nothing is wrong. Somebody tried the alert channel {channel}.",
        mend="sv alerts list",
        page="/",
    )
    alert = Alert(condition, "open", now, now, now, episode=1, deliveries={channel: Delivery("test")})
    return message("test", channel, [(alert, "opened")], settings.ui, now)
