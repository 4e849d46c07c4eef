"""`sv alerts`: what a person sees and does."""

import json
from pathlib import Path

import pytest

from sv_assets.alerts.condition import Condition, Observed
from sv_assets.alerts.settings import load_alert_settings
from sv_assets.alerts.storage import sync
from sv_assets.cli.doctor import _alert_channels
from sv_assets.mongo import Store, now_in_milliseconds
from sv_assets_tests.alerts.receivers import HttpReceiver, http_receiver
from sv_assets_tests.command_line import run_sv

BROKEN = Condition(
    "step landing__crm__customer", "run", "error", "landing/crm/customer fails", "dbo.Customer has no column RowVer.",
    ("team:crm",), "/runs/1", "sv doctor", {"failed_runs": 2},
)  # fmt: skip
WARNED = Condition("check landing/web/events/fresh", "check", "warning", "fresh fails", "It is old.", ("team:web",))


@pytest.fixture
def told(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two open alerts, and channels that are off or lead nowhere."""
    file = tmp_path / "alerts.yaml"
    file.write_text(
        'channels:\n  chat: {type: slack, url: "{{ env.CHAT_URL }}"}\n  half: {type: webhook, url: "{{ env.HALF_URL }}", '
        'secret: "{{ env.HALF_SECRET }}"}\ndefault: {channels: [chat]}\n'
    )
    monkeypatch.setenv("SV_ALERTS_FILE", str(file))
    observed = Observed((BROKEN, WARNED), frozenset({"run", "check"}))
    sync(store, observed, load_alert_settings(), (), now_in_milliseconds())
    return store


def test_list_shows_what_is_wrong_whose_it_is_and_what_to_do(told: Store) -> None:
    shown = run_sv("alerts", "list")
    assert shown.returncode == 1, "an error is open"
    for part in (
        "error  step landing__crm__customer",
        "dbo.Customer has no column RowVer.",
        "team:crm · nobody",
        "next: sv doctor",
        "CHAT_URL",
    ):
        assert part in shown.stdout
    web = run_sv("alerts", "list", "--owner", "team:web", "--json")
    assert web.returncode == 0
    assert [alert["id"] for alert in json.loads(web.stdout)["alerts"]] == [WARNED.id]


def test_show_finds_an_alert_by_a_part_of_its_id(told: Store) -> None:
    shown = json.loads(run_sv("alerts", "show", "crm", "--json").stdout)
    assert shown["link"] == "http://127.0.0.1:3000/runs/1" and shown["figures"] == {"failed_runs": 2}
    assert run_sv("alerts", "show", "crm").returncode == 0
    assert run_sv("alerts", "show", "nothing").returncode == 1
    ambiguous = run_sv("alerts", "show", "e")
    assert ambiguous.returncode == 1 and "2 alerts fit e" in ambiguous.stderr


def test_mute_and_unmute(told: Store) -> None:
    muted = run_sv("alerts", "mute", "crm", "--for", "2h", "--reason", "known", "--json")
    assert json.loads(muted.stdout)["mute_reason"] == "known"
    assert "muted until" in run_sv("alerts", "list").stdout
    assert json.loads(run_sv("alerts", "unmute", "crm", "--json").stdout)["muted_until"] is None
    wrong = run_sv("alerts", "mute", "crm", "--for", "a while", "--reason", "x")
    assert wrong.returncode == 2 and "30m, 2h" in wrong.stderr


def test_a_channel_is_tried_and_its_faults_are_told(told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    off = run_sv("alerts", "test", "--channel", "chat")
    assert off.returncode == 2 and "Set CHAT_URL" in off.stderr
    unknown = run_sv("alerts", "test", "--channel", "chatt")
    assert unknown.returncode == 2 and "There are: chat, half" in unknown.stderr
    with http_receiver() as hook:
        monkeypatch.setenv("CHAT_URL", hook.url)
        assert run_sv("alerts", "test", "--channel", "chat").returncode == 0
        assert "This is a test" in json.loads(hook.received[0].body)["text"]
        refuse(hook)
        failed = run_sv("alerts", "test", "--channel", "chat", "--json")
        assert failed.returncode == 1 and json.loads(failed.stdout)["problem"] == "It answered 403 (no_service)."
        assert hook.url not in failed.stdout + failed.stderr


def refuse(hook: HttpReceiver) -> None:
    hook.answers = [403]


def test_doctor_tries_channels_without_sending(told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALF_URL", "http://127.0.0.1:9/")
    chat, half = _alert_channels()
    assert chat.works and chat.detail == "off: CHAT_URL not set"
    assert not half.works and half.problem == "HALF_URL is set, but not HALF_SECRET: the channel is off."
    with http_receiver() as hook:
        monkeypatch.setenv("CHAT_URL", hook.url)
        monkeypatch.setenv("HALF_SECRET", "s")
        chat, half = _alert_channels()
        assert chat.works and hook.received == []
    assert not half.works and "could not be reached" in half.problem
