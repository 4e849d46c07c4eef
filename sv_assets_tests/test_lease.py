"""One run at a time: the second waits, and nobody waits for the dead."""

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from sv_assets import lease as leases
from sv_assets.errors import TransientError
from sv_assets.lease import lease
from sv_assets.mongo import Store


def holder(store: Store) -> object:
    found = store.control["leases"].find_one({"_id": "work"})
    return found and found["token"]


def test_the_second_taker_waits_until_the_first_is_done(store: Store) -> None:
    events: list[str] = []

    def second() -> None:
        with lease(store, "work", wait_seconds=10):
            events.append("second")

    with lease(store, "work"):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.4)
        events.append("first")
    waiting.join()
    assert events == ["first", "second"]
    assert holder(store) is None


def test_waiting_ends_with_an_error_that_says_what_to_do(store: Store) -> None:
    with lease(store, "work"):
        with (
            pytest.raises(TransientError, match="Another run has been working on work"),
            lease(store, "work", wait_seconds=0.3),
        ):
            pytest.fail("two hold it")  # pragma: no cover
        with lease(store, "other work", wait_seconds=0.3):
            pass


def test_a_lease_is_given_back_when_the_work_fails(store: Store) -> None:
    with pytest.raises(ValueError, match="oops"), lease(store, "work"):
        raise ValueError("oops")
    with lease(store, "work", wait_seconds=0.3):
        assert holder(store)


def take_and_be_killed(reap: bool) -> subprocess.Popen[str]:
    script = (
        "import time; from sv_assets.mongo import store_from_environment; from sv_assets.lease import lease\n"
        "with lease(store_from_environment(), 'work'): print('taken', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout
    assert process.stdout.readline() == "taken\n"
    process.send_signal(signal.SIGKILL)
    if reap:
        process.wait()
    else:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the process table
    return process


@pytest.mark.parametrize("reap", [True, False], ids=["gone", "zombie"])
def test_the_lease_of_a_dead_process_is_taken_over_at_once(store: Store, reap: bool) -> None:
    process = take_and_be_killed(reap)
    with lease(store, "work", wait_seconds=0):
        pass
    process.wait()


@pytest.mark.parametrize(("until", "free"), [(-1, True), (60, False)])
def test_the_lease_of_another_machine_is_free_when_its_time_is_up(store: Store, until: int, free: bool) -> None:
    store.control["leases"].insert_one({
        "_id": "work", "token": "theirs", "host": "elsewhere", "pid": 1, "process_started": 0.0,
        "until": dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=until),
    })  # fmt: skip
    if free:
        with lease(store, "work", wait_seconds=0.3):
            assert holder(store) != "theirs"
    else:
        with pytest.raises(TransientError), lease(store, "work", wait_seconds=0.3):
            pytest.fail("two hold it")  # pragma: no cover


def test_a_lease_is_renewed_while_the_work_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LASTS_SECONDS", 0.5)
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.1)
    with lease(store, "work"):
        time.sleep(0.8)
        with pytest.raises(TransientError), lease(store, "work", wait_seconds=0.5):
            pytest.fail("two hold it")  # pragma: no cover


def test_what_was_taken_over_is_not_given_back_by_its_former_holder(store: Store) -> None:
    with lease(store, "work"):
        store.control["leases"].update_one({"_id": "work"}, {"$set": {"token": "theirs"}})
    assert holder(store) == "theirs"


def test_two_threads_never_hold_it_at_the_same_time(store: Store) -> None:
    inside, most, rounds = 0, 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal inside, most, rounds
        for _ in range(3):
            with lease(store, "work", wait_seconds=30):
                with counting:
                    inside += 1
                    most, rounds = max(most, inside), rounds + 1
                time.sleep(0.02)
                with counting:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, rounds) == (1, 12)
