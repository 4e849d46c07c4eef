"""An alert over time, without a server: opened once, recovered once, whatever happens in between."""

import datetime as dt
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.alerts.alert import BELIEVED_OPEN, CLAIM, Alert, Sent, Timings, Word, advance, claimed, owe, settled
from sv_assets.alerts.condition import Condition
from sv_assets.alerts.routing import Target
from sv_assets_tests.examples import examples

START = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.timezone.utc)
MINUTE = dt.timedelta(minutes=1)
AT_ONCE = Timings()
BROKEN = Condition("check landing/crm/customer/quarantine_empty", "check", "warning", "It fails", "3 rows wait.")


def look(
    alert: Alert | None, there: bool, minute: int, timings: Timings = AT_ONCE, *, severity: str = "warning", held: int = 0
) -> Alert | None:  # fmt: skip
    now = START + minute * MINUTE
    condition = replace(BROKEN, severity=severity) if there else None
    return advance(alert, condition, now, timings, [Target("default", "chat", now + held * MINUTE)])


def tell(alert: Alert | None, minute: int, *, fails: bool = False) -> tuple[Alert | None, Word | None]:
    """What a sender does with an alert: claim, send, record. Returns what went through."""
    now = START + minute * MINUTE
    mine = claimed(alert, "chat", "me", now) if alert else None
    if mine is None:
        return alert, None
    word = mine.deliveries["chat"].owes
    assert word is not None
    done = settled(mine, "chat", "me", None if fails else Sent(word, mine.episode, mine.condition.severity), now)
    assert done is not None
    return done, None if fails else word


def test_opens_once_and_recovers_once() -> None:
    told = []
    alert: Alert | None = None
    for minute, there in enumerate([True, True, True, False, False]):
        alert, word = tell(look(alert, there, minute), minute)
        told.append(word)
    assert told == ["opened", None, None, "recovered", None]
    assert alert is not None and alert.state == "recovered" and not alert.is_active
    assert alert.recovered_at == START + 3 * MINUTE


def test_what_flaps_stays_one_alert() -> None:
    timings = Timings(recover_after=5 * MINUTE)
    told = []
    alert: Alert | None = None
    for minute in range(20):
        alert, word = tell(look(alert, minute % 2 == 0, minute, timings), minute)
        told.append(word)
    assert [word for word in told if word] == ["opened"]
    assert alert is not None and alert.flaps == 9
    for minute in range(20, 30):
        alert, word = tell(look(alert, False, minute, timings), minute)
        told.append(word)
    assert [word for word in told if word] == ["opened", "recovered"]


def test_what_is_over_within_its_grace_is_never_told() -> None:
    timings = Timings(open_after=3 * MINUTE)
    alert: Alert | None = None
    for minute, there in enumerate([True, True, False, True, True, True, True]):
        alert, word = tell(look(alert, there, minute, timings), minute)
        assert word == ("opened" if minute == 6 else None)


def test_is_told_again_after_a_day_and_when_it_gets_worse() -> None:
    alert, word = tell(look(None, True, 0), 0)
    assert word == "opened"
    alert, word = tell(look(alert, True, 10, severity="error"), 10)
    assert word == "again"
    alert, word = tell(look(alert, True, 11, severity="error"), 11)
    assert word is None
    alert, word = tell(look(alert, True, 10 + 24 * 60, severity="error"), 10 + 24 * 60)
    assert word == "again"


def test_a_channel_that_was_down_hears_of_what_it_missed() -> None:
    alert, _ = tell(look(None, True, 0), 0, fails=True)
    alert, _ = tell(look(alert, False, 1), 1, fails=True)
    alert, word = tell(look(alert, False, 2), 2)
    assert word == "passed"
    alert, word = tell(look(alert, False, 3), 3)
    assert word is None and alert is not None and not alert.is_active


def test_what_comes_back_before_its_recovery_was_told_is_told_as_still_wrong() -> None:
    alert, _ = tell(look(None, True, 0), 0)
    alert = look(alert, False, 1)  # nobody sends now
    alert, word = tell(look(alert, True, 2), 2)
    assert word == "again"


def test_quiet_hours_hold_a_warning_back_until_their_end_and_drop_what_is_over_by_then() -> None:
    alert, word = tell(look(None, True, 0, held=60), 0)
    assert word is None
    over, word = tell(look(alert, False, 30), 30)
    assert word is None and over is not None and not over.is_active
    alert = look(alert, True, 59, held=1)
    alert, word = tell(look(alert, True, 60, held=600), 60)
    assert word == "opened", "the next quiet night does not push it back again"


def test_a_muted_alert_is_silent_but_what_was_told_open_is_told_recovered() -> None:
    alert, _ = tell(look(None, True, 0), 0)
    assert alert is not None
    alert = replace(alert, muted_until=START + 100 * MINUTE)
    alert, word = tell(look(alert, False, 1), 1)
    assert word == "recovered"
    for minute, there in ((2, True), (3, False), (4, True)):
        alert, word = tell(look(alert, there, minute), minute)
        assert word is None
    alert, word = tell(look(alert, True, 101), 101)
    assert word == "opened", "it is heard when the mute ends and it is still there"


def test_a_claim_that_nobody_settled_lapses_and_is_sent_again() -> None:
    alert = look(None, True, 0)
    assert alert is not None
    mine = claimed(alert, "chat", "a", START)
    assert mine is not None
    assert claimed(mine, "chat", "b", START + MINUTE) is None, "another sender leaves it alone"
    assert owe(mine, START + MINUTE, AT_ONCE, []) == mine, "and so does a look"
    late = claimed(mine, "chat", "b", START + CLAIM)
    assert late is not None
    assert settled(late, "chat", "a", Sent("opened", 1, "warning"), START + CLAIM) is None, (
        "who lost its claim records nothing"
    )


steps = st.lists(
    st.tuples(
        st.booleans(),  # is the condition there
        st.integers(1, 40),  # minutes until the next look
        st.sampled_from(["sent", "failed", "nobody sends"]),
        st.sampled_from(["warning", "error"]),
        st.sampled_from([0, 0, 15]),  # minutes of quiet
        st.sampled_from([None, None, None, 30]),  # muted for so many minutes
    ),
    max_size=40,
)


@given(steps, st.sampled_from([0, 5]), st.sampled_from([0, 5]))
@settings(max_examples=examples(100), deadline=None)
def test_any_history_tells_openings_and_recoveries_in_turns_and_ends_with_the_last_observation(
    history: list[tuple[bool, int, str, str, int, int | None]], open_after: int, recover_after: int
) -> None:
    timings = Timings(open_after * MINUTE, recover_after * MINUTE, 24 * 60 * MINUTE)
    alert: Alert | None = None
    told: list[Word] = []
    minute, there = 0, False
    for there, pause, sending, severity, held, muted in history:
        minute += pause
        alert = look(alert, there, minute, timings, severity=severity, held=held)
        if alert is not None and muted:
            alert = replace(alert, muted_until=START + (minute + muted) * MINUTE)
        if sending != "nobody sends":
            alert, word = tell(alert, minute, fails=sending == "failed")
            told += [word] if word else []
    for _ in range(3):  # nothing changes any more, and everybody can be reached
        minute += 60
        alert, word = tell(look(alert, there, minute, timings), minute)
        told += [word] if word else []
    is_open = False
    for word in told:
        assert (
            (word == "opened" and not is_open)
            or (word in ("again", "recovered") and is_open)
            or (word == "passed" and not is_open)
        )
        is_open = word in BELIEVED_OPEN
    assert is_open == there
    assert (alert is not None and alert.state == "open") == there
    if alert is not None and not there:
        assert not alert.is_active
