"""Alerts on the real store, told over the real protocols, with everything that can go wrong there."""

import datetime as dt
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sv_assets.alerts import channels
from sv_assets.alerts.condition import Condition, Observed
from sv_assets.alerts.delivery import Told, deliver
from sv_assets.alerts.message import Message
from sv_assets.alerts.settings import AlertSettings, Channel, DefaultRoute
from sv_assets.alerts.storage import ALERTS, mute, read_alert, read_alerts, sync, unmute
from sv_assets.alerts.without_store import away_of, tell_away, tell_back
from sv_assets.mongo import Store, now_in_milliseconds
from sv_assets_tests.alerts.receivers import HttpReceiver, certificate, http_receiver, mail_receiver
from sv_assets_tests.landing.queue_faults import wait_until

CRM, WEB = ("team:crm",), ("team:web",)
KINDS = frozenset({"check", "run", "channel"})


def condition(name: str = "quarantine_empty", **fields: Any) -> Condition:
    given: dict[str, Any] = {
        "id": f"check landing/crm/customer/{name}",
        "kind": "check",
        "severity": "warning",
        "title": f"{name} fails on landing/crm/customer",
        "sentence": "3 rows or messages wait in quarantine.",
        "owners": CRM,
        "page": "/assets/landing/crm/customer?view=checks",
        "mend": "sv run --select landing/crm/customer",
        "figures": {"quarantined": 3},
    }
    return Condition(**{**given, **fields})


def declared(channels: dict[str, Any], routes: list[Any] | None = None, **timing: Any) -> AlertSettings:
    return AlertSettings.model_validate(
        {
            "ui": "http://127.0.0.1:3000",
            "channels": channels,
            "routes": routes or [],
            "default": {"channels": list(channels)},
            "timing": {"recover_after": "0s", **timing},
        }
    )


def see(store: Store, settings: AlertSettings, *conditions: Condition) -> None:
    sync(store, Observed(tuple(conditions), KINDS), settings, channels.live_channels(settings), now_in_milliseconds())


def look(store: Store, settings: AlertSettings, *conditions: Condition) -> Told:
    see(store, settings, *conditions)
    return deliver(store, settings)


def rested(store: Store) -> None:
    """As if the pause of every channel were over."""
    store.control[channels.HEALTH].update_many({}, {"$set": {"retry_at": None}})


def webhook(receiver: HttpReceiver, **fields: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": receiver.url, **fields}


def events(receiver: HttpReceiver) -> list[tuple[str, str]]:
    return [(a["event"], a["alert"]) for r in receiver.received for a in json.loads(r.body)["alerts"]]


@pytest.fixture
def hook() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


def test_slack_is_told_once_when_it_opens_and_once_when_it_recovers(store: Store, hook: HttpReceiver) -> None:
    settings = declared({"chat": {"type": "slack", "url": hook.url}})
    for _ in range(3):
        look(store, settings, condition(sentence="<3 rows> & more wait."))
    look(store, settings)
    look(store, settings)
    opened, recovered = (json.loads(r.body) for r in hook.received)
    text = opened["blocks"][1]["text"]["text"]
    assert opened["blocks"][0]["text"]["text"] == "New: quarantine_empty fails on landing/crm/customer"
    assert "&lt;3 rows&gt; &amp; more wait." in text
    assert (
        "team:crm" in text
        and "`sv run --select landing/crm/customer`" in text
        and "quarantined 3" in text
        and "Since" in text
    )
    assert opened["blocks"][1]["accessory"]["url"] == "http://127.0.0.1:3000/assets/landing/crm/customer?view=checks"
    assert recovered["text"].startswith("Recovered: ")
    assert read_alerts(store) == []


def test_webhook_signs_what_it_sends(store: Store, hook: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "sesame")
    look(store, declared({"hook": webhook(hook, secret="{{ env.HOOK_SECRET }}")}), condition())
    (request,) = hook.received
    signed = hmac.new(b"sesame", request.headers["X-SV-Timestamp"].encode() + b"." + request.body, hashlib.sha256)
    assert request.headers["X-SV-Signature"] == "sha256=" + signed.hexdigest()
    (alert,) = json.loads(request.body)["alerts"]
    assert alert["event"] == "opened" and alert["figures"] == {"quarantined": 3} and alert["owners"] == ["team:crm"]


def test_many_that_open_together_are_one_message_a_route(store: Store, hook: HttpReceiver) -> None:
    with http_receiver() as other:
        settings = declared(
            {"crm": webhook(hook), "rest": {"type": "slack", "url": other.url}},
            [
                {"name": "crm", "owners": ["team:crm"], "channels": ["crm"]},
                {"name": "web", "owners": ["team:web"], "channels": ["rest"]},
            ],
        )
        settings = settings.model_copy(update={"default": DefaultRoute(channels=["rest"])})
        look(
            store,
            settings,
            *(condition(f"c{n}") for n in range(30)),
            condition("w", owners=WEB),
            condition("nobody", owners=()),
        )
        (crm,) = hook.received
        assert len(json.loads(crm.body)["alerts"]) == 30 and json.loads(crm.body)["route"] == "crm"
        assert sorted(json.loads(r.body)["text"] for r in other.received) == [
            "New: nobody fails on landing/crm/customer",
            "New: w fails on landing/crm/customer",
        ]


def test_errors_and_kinds_choose_their_routes(store: Store, hook: HttpReceiver) -> None:
    settings = declared(
        {"pager": webhook(hook)},
        [
            {"name": "errors", "severity": "error", "kinds": ["run"], "channels": ["pager"]},
        ],
    )
    settings = settings.model_copy(update={"default": DefaultRoute()})
    look(store, settings, condition(severity="error"), condition("r", id="step x", kind="run"))
    assert hook.received == []
    look(store, settings, condition("r", id="step x", kind="run", severity="error"))
    assert events(hook) == [("opened", "step x")]


def test_two_daemons_at_once_tell_once(store: Store, hook: HttpReceiver) -> None:
    hook.delay = 0.05
    settings = declared({"hook": webhook(hook)})
    many = [condition(f"c{n}") for n in range(10)]

    def daemon() -> None:
        for _ in range(3):
            look(store, settings, *many)

    threads = [threading.Thread(target=daemon) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    look(store, settings, *many)
    told = events(hook)
    assert sorted(told) == sorted(("opened", c.id) for c in many), "each once, nothing lost, nothing twice"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_dies_between_sending_and_recording_leaves_one_duplicate_under_the_same_id(
    store: Store, hook: HttpReceiver
) -> None:
    settings = declared({"hook": webhook(hook)})

    class Killed(BaseException):
        pass

    def send_and_die(name: str, channel: Channel, message: Message) -> None:
        channels.send(name, channel, message)
        raise Killed

    see(store, settings, condition())
    deliver(store, settings, send=send_and_die)
    look(store, settings, condition())
    assert len(hook.received) == 1, "the claim holds"
    store.control[ALERTS].update_many({}, {"$set": {"deliveries.hook.claimed_until": now_in_milliseconds()}})
    look(store, settings, condition())
    look(store, settings, condition())
    first, second = hook.received
    assert first.headers["X-SV-Message"] == second.headers["X-SV-Message"]


def test_500s_and_429s_are_tried_again_and_nothing_is_lost(store: Store, hook: HttpReceiver) -> None:
    settings = declared({"chat": {"type": "slack", "url": hook.url}})
    hook.answers = [500]
    assert look(store, settings, condition()).told == {"chat": 1}, "a passing fault is tried again at once"
    hook.answers, hook.headers = [429], {"Retry-After": "90"}
    failed = look(store, settings, condition(), condition("other"))
    assert failed.failed == {"chat": "It answered 429 (no_service)."}
    (health,) = channels.health_of(store, settings)
    assert health.retry_at is not None and (health.retry_at - now_in_milliseconds()).total_seconds() > 80
    assert look(store, settings, condition(), condition("other")) == Told(), (
        "it is left in peace as long as it asked for"
    )
    rested(store)
    assert look(store, settings, condition(), condition("other")).told == {"chat": 1}
    assert len(hook.received) == 2


def test_a_channel_that_is_down_is_an_alert_on_the_others_and_delays_none(store: Store, hook: HttpReceiver) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    from sv_assets.alerts.backlogs import channel_conditions

    settings = declared({"down": {"type": "webhook", "url": refusing}, "up": webhook(hook)})
    for _ in range(2):
        rested(store)
        told = look(store, settings, condition())
        assert told.failed == {"down": "It could not be reached (ConnectError)."}
    (broken,) = channel_conditions(channels.health_of(store, settings))
    assert refusing not in broken.sentence
    rested(store)
    look(store, settings, condition(), broken)
    assert events(hook) == [("opened", condition().id), ("opened", "channel down")]
    assert "down" not in read_alert(store, "channel down").deliveries


def test_a_channel_that_hangs_delays_only_itself(store: Store, hook: HttpReceiver) -> None:
    with http_receiver() as slow:
        slow.hangs = True
        settings = declared({"slow": webhook(slow), "fast": webhook(hook)})
        see(store, settings, condition())
        told = deliver(store, settings, wait_seconds=0.5)
        assert slow.received == [], "nobody waited for it"
        assert told.told == {"fast": 1} and told.failed["slow"].startswith("It did not take a message within")
        slow.hangs = False
        wait_until(
            lambda: read_alert(store, condition().id).deliveries["slow"].owes is None, "what came late is recorded"
        )
        look(store, settings, condition())
        assert len(slow.received) == 1, "it came through late, was recorded, and is not sent again"


def test_an_alert_that_was_over_before_a_channel_came_back_is_told_all_the_same(
    store: Store, hook: HttpReceiver
) -> None:
    settings = declared({"hook": webhook(hook)})
    hook.answers = [404]
    look(store, settings, condition())
    look(store, settings)
    rested(store)
    look(store, settings)
    assert events(hook) == [("passed", condition().id)]


def test_muted_alerts_are_silent_until_they_are_heard_again(store: Store, hook: HttpReceiver) -> None:
    settings = declared({"hook": webhook(hook)}, open_after={"check": "1h"})
    look(store, settings, condition())
    mute(store, condition().id, now_in_milliseconds() + dt.timedelta(hours=1), "known", settings)
    settings = declared({"hook": webhook(hook)})
    look(store, settings, condition())
    assert hook.received == []
    unmute(store, condition().id, settings)
    look(store, settings, condition())
    assert events(hook) == [("opened", condition().id)]


def test_what_could_not_be_looked_at_does_not_recover(store: Store, hook: HttpReceiver) -> None:
    settings = declared({"hook": webhook(hook)})
    look(store, settings, condition())
    sync(store, Observed((), frozenset({"run"})), settings, ["hook"], now_in_milliseconds())
    assert read_alert(store, condition().id).state == "open"


def test_without_channels_alerts_are_kept_and_a_channel_without_its_variables_is_off(store: Store) -> None:
    settings = declared({"chat": {"type": "slack", "url": "{{ env.NOT_SET_ANYWHERE }}"}})
    assert channels.missing_variables(settings.channels["chat"]) == ["NOT_SET_ANYWHERE"]
    assert look(store, settings, condition()) == Told()
    (alert,) = read_alerts(store)
    assert alert.state == "open" and alert.deliveries == {}
    look(store, settings)
    assert read_alerts(store) == []


def test_mail_goes_over_starttls_with_log_in_as_text_and_html(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, file = certificate(tmp_path)
    monkeypatch.setenv("MAIL_PASSWORD", "right")
    with mail_receiver(context, log_in=True) as server:
        mail = {
            "type": "email", "host": "127.0.0.1", "port": server.port, "security": "starttls", "user": "sv",
            "password": "{{ env.MAIL_PASSWORD }}", "sender": "sv@example.com", "to": ["a@example.com", "gone@example.com"],
            "ca_file": str(file),
        }  # fmt: skip
        server.refuse = {"gone@example.com"}
        settings = declared({"mail": mail})
        assert look(store, settings, condition(sentence="<b>3</b> rows wait.")).told == {"mail": 1}
        assert channels.reach("mail", settings.channels["mail"]) == "SMTP, starttls, 2 recipients"
        (letter,) = server.letters
        assert server.secure == [True] and server.logins == [("sv", "right")]
        assert letter["Subject"] == "New: quarantine_empty fails on landing/crm/customer"
        plain = letter.get_body(("plain",))
        html = letter.get_body(("html",))
        assert plain is not None and "Next: sv run --select landing/crm/customer" in plain.get_content()
        assert html is not None and "&lt;b&gt;3&lt;/b&gt; rows wait." in html.get_content()
        monkeypatch.setenv("MAIL_PASSWORD", "wrong")
        assert look(store, settings, condition("other")).failed == {"mail": "It refuses our log-in (535)."}


def test_mail_goes_over_tls_and_its_faults_are_told(store: Store, tmp_path: Path) -> None:
    context, file = certificate(tmp_path)
    mail: dict[str, Any] = {"type": "email", "host": "127.0.0.1", "sender": "sv@example.com", "to": ["a@example.com"]}
    with mail_receiver(context, tls=True) as server:
        tls = {**mail, "port": server.port, "security": "tls"}
        untrusted = look(store, declared({"mail": tls}), condition())
        assert untrusted.failed == {"mail": "No secure connection (CERTIFICATE_VERIFY_FAILED)."}
        rested(store)
        assert look(store, declared({"mail": {**tls, "ca_file": str(file)}}), condition()).told == {"mail": 1}
    with mail_receiver() as server:
        plain = {**mail, "port": server.port, "security": "none"}
        server.answer = "451 try later"
        assert look(store, declared({"plain": plain}), condition()).failed == {"plain": "It answered 451."}
        rested(store)
        server.answer = "250 OK"
        server.refuse = {"a@example.com"}
        assert look(store, declared({"plain": plain}), condition()).failed == {
            "plain": "It refuses every recipient (550)."
        }
        demanding = declared({"strict": {**plain, "security": "starttls"}})
        assert look(store, demanding, condition()).failed == {
            "strict": "It does not offer what `security` or the log-in asks for."
        }


def test_nothing_personal_leaves_even_where_a_sentence_holds_it(store: Store, hook: HttpReceiver) -> None:
    leaky = condition(
        title="row of jane.doe@example.com",
        sentence="Jane's phone +44 7700 900123, card 4111 1111 1111 1111, mongodb://u:hunter2@h/ on 2026-11-20 failed 12,345 times.",
        figures={"name": "Jane", "rows": 3},
    )
    look(store, declared({"hook": webhook(hook)}), leaky)
    sent = hook.received[0].body.decode() + str(store.control[ALERTS].find_one({}))
    for secret in ("jane.doe", "900123", "4111", "hunter2", '"name"', "'Jane'"):
        assert secret not in sent
    assert "2026-11-20" in sent and "12,345" in sent


def test_that_mongodb_is_away_is_told_without_it_and_so_is_its_return(hook: HttpReceiver) -> None:
    settings = declared({"hook": webhook(hook)})
    now = now_in_milliseconds()
    away = tell_away(None, settings, now)
    assert hook.received == [], "a moment is no alert"
    for minute in (1, 2, 3):
        away = away_of(tell_away(away, settings, now + dt.timedelta(minutes=minute)).as_cursor())
        assert away is not None
    hook.answers = [404]
    left = tell_back(away, settings, now + dt.timedelta(minutes=4))
    assert left is not None and tell_back(left, settings, now + dt.timedelta(minutes=5)) is None
    assert events(hook) == [("opened", "source mongodb"), ("recovered", "source mongodb")]
    assert away_of("") is None
