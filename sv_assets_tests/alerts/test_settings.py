"""How alerts are declared: the retailer's file is right, mistakes are told, quiet hours follow the clock."""

import datetime as dt
from pathlib import Path

import pytest

from sv_assets.alerts.routing import quiet_until
from sv_assets.alerts.settings import DEFAULT, AlertSettings, QuietHours, load_alert_settings
from sv_assets.errors import ConfigurationError

UTC = dt.timezone.utc


def test_the_retailers_file_is_right_and_off_until_its_variables_are_set() -> None:
    settings = load_alert_settings()
    assert set(settings.channels) == {"chat", "mail", "pager"}
    assert DEFAULT.is_file()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "routes: [{name: a, channels: [chatt]}]\nchannels: {chat: {type: slack, url: x}}",
            "no channel chatt; allowed: chat",
        ),
        ("timing: {open_after: {check: soon}}", "a duration is a whole number"),
        ("timing: {open_after: {chek: 5m}}", "'run', 'check'"),
        ("channels: {chat: {type: telegram, url: x}}", "'slack', 'webhook', 'email'"),
        ("channels: {m: {type: email, host: h, sender: s@x, to: [t@x], user: u}}", "both `user` and `password`"),
        (
            "channels: {m: {type: email, host: h, security: none, sender: s@x, to: [t@x], user: u, password: p}}",
            "over starttls or tls only",
        ),
        ("default: {channels: [], quiet: {time_zone: Mars/Phobos}}", "no time zone"),
        ("default: {chanels: []}", "default.chanels"),
    ],
)
def test_mistakes_are_told_with_the_file_and_what_is_allowed(
    text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "alerts.yaml"
    file.write_text(text)
    monkeypatch.setenv("SV_ALERTS_FILE", str(file))
    with pytest.raises(ConfigurationError) as raised:
        load_alert_settings()
    assert sentence in str(raised.value) and str(file) in str(raised.value)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-20T12:00", "2026-11-20T12:00"),  # a Friday at noon
        ("2026-11-19T23:30", "2026-11-20T07:00"),
        ("2026-11-20T03:00", "2026-11-20T07:00"),
        ("2026-11-20T22:00", "2026-11-23T07:00"),  # Friday night, over the weekend
        ("2026-07-01T21:30", "2026-07-02T06:00"),  # British summer time
        ("2026-10-24T10:00", "2026-10-26T07:00"),  # the night in which the clocks go back
    ],
)
def test_quiet_hours_follow_the_clock_over_nights_weekends_and_summer_time(now: str, until: str) -> None:
    quiet = QuietHours(start="22:00", end="07:00", days=["sat", "sun"])
    at = dt.datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert quiet_until(quiet, at) == dt.datetime.fromisoformat(until).replace(tzinfo=UTC)


def test_a_week_of_quiet_days_ends() -> None:
    quiet = QuietHours(days=["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
    now = dt.datetime(2026, 11, 20, tzinfo=UTC)
    assert quiet_until(quiet, now) - now <= dt.timedelta(days=17)
    assert AlertSettings().default.quiet is None
