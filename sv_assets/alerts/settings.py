"""How alerts are declared: `sv_assets/defs/automation/alerts.yaml`, or the file that `SV_ALERTS_FILE` names."""

import datetime as dt
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from sv_assets.alerts.condition import Kind, Severity
from sv_assets.catalogue.entry import Duration, Entry, load_entry

DEFAULT = Path(__file__).resolve().parents[1] / "defs" / "automation" / "alerts.yaml"
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
ClockTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SlackChannel(Entry):
    """An incoming webhook of Slack; its URL is a secret."""

    type: Literal["slack"]
    url: str


class WebhookChannel(Entry):
    """Any HTTP endpoint that takes our JSON (docs/alerts.md); with a `secret`, signed."""

    type: Literal["webhook"]
    url: str
    secret: str | None = None
    ca_file: str | None = None


class EmailChannel(Entry):
    """An SMTP server. `security`: `starttls` (port 587), `tls` from the first byte (465), or `none`, without log-in."""

    type: Literal["email"]
    host: str
    port: str | int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: str | None = None
    sender: Annotated[str, Field(min_length=3)]
    to: Annotated[list[str], Field(min_length=1)]
    ca_file: str | None = None

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> "EmailChannel":
        if (self.user is None) != (self.password is None):
            raise ValueError("a log-in needs both `user` and `password`")
        if self.user is not None and self.security == "none" and self.host not in LOOPBACK:
            raise ValueError("a password is sent over starttls or tls only; set `security`")
        return self


Channel = Annotated[SlackChannel | WebhookChannel | EmailChannel, Field(discriminator="type")]


class QuietHours(Entry):
    """When warnings of a route wait: from `start` to `end` by the clock of `time_zone`, and on `days` the whole day."""

    start: ClockTime = "00:00"
    end: ClockTime = "00:00"
    time_zone: str = "Europe/London"
    days: list[Day] = []

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value} is no time zone; write it as Europe/London") from None
        return value


class Route(Entry):
    """Who is told. Empty `owners` and `kinds` mean all; `severity` is the least that is told."""

    name: Name
    owners: list[str] = []
    kinds: list[Kind] = []
    severity: Severity = "warning"
    channels: Annotated[list[Name], Field(min_length=1)]
    quiet: QuietHours | None = None


class DefaultRoute(Entry):
    """Who is told what no route takes."""

    channels: list[Name] = []
    quiet: QuietHours | None = None


class Timing(Entry):
    """`open_after`: how long a condition holds before it is told, by kind. `recover_after`: how long it must be gone.
    What comes and goes faster stays one alert. `remind_after`: when what is still open is told again."""

    open_after: dict[Kind, Duration] = {}
    recover_after: Duration = dt.timedelta(minutes=2)
    remind_after: Duration = dt.timedelta(hours=24)
    keep: Duration = dt.timedelta(days=90)


class Limits(Entry):
    """From when on a number is an alert. A queue is `unseen` when nothing has looked at it for so long."""

    dead_letters: Annotated[int, Field(ge=0)] = 0
    review_items: Annotated[int, Field(ge=0)] = 1000
    review_age: Duration = dt.timedelta(days=30)
    queue_unseen: Duration = dt.timedelta(minutes=15)


class AlertSettings(Entry):
    """All of it."""

    ui: str = "http://127.0.0.1:3000"
    timing: Timing = Timing()
    limits: Limits = Limits()
    channels: dict[Name, Channel] = {}
    routes: list[Route] = []
    default: DefaultRoute = DefaultRoute()

    @model_validator(mode="after")
    def _names_fit(self) -> "AlertSettings":
        names = [route.name for route in self.routes]
        if twice := next((name for name in names if names.count(name) > 1 or name == "default"), None):
            raise ValueError(f"the route {twice} stands twice (`default` is the name of the default route)")
        for told in [*(route.channels for route in self.routes), self.default.channels]:
            for channel in told:
                if channel not in self.channels:
                    allowed = ", ".join(self.channels) or "none is declared"
                    raise ValueError(f"there is no channel {channel}; allowed: {allowed}")
        return self


def load_alert_settings() -> AlertSettings:
    """Read the settings. Raises ConfigurationError with file, place and allowed values."""
    path = os.environ.get("SV_ALERTS_FILE")
    return _read(Path(path) if path else DEFAULT)


@lru_cache
def _read(path: Path) -> AlertSettings:
    return load_entry(AlertSettings, path)
