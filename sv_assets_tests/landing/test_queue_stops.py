"""However a run of a queue ends, what has landed is deleted, and the rest is with the queue again at once."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from sv_assets.errors import TransientError
from sv_assets.landing.archive import Archive
from sv_assets.sources.sqs import holds, receive
from sv_assets.sources.sqs.holds import LAST_MINUTE
from sv_assets.sources.sqs.queue import Depth, Queue
from sv_assets.sources.sqs.receive import Bounds, Receiver
from sv_assets_tests.landing.crash import VISIBILITY_SECONDS
from sv_assets_tests.landing.queue_faults import (
    Counted,
    Run,
    changed,
    fifo,
    hidden_again,
    make_queue,
    opened_by,
    proxy,
    queue,
    quick_retries,
    receiver_threads,
    released_and_deleted,
    standard,
    start_run,
    wait_until,
)
from sv_assets_tests.landing.test_land_queue import sqs

__all__ = ["fifo", "make_queue", "proxy", "queue", "quick_retries", "sqs", "standard"]
pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # interrupts hit callbacks, too
]
SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]


def nothing_is_held(queue: Counted) -> None:
    """Right after a run: what landed is deleted, what did not is visible, and nothing of ours goes on."""
    queue.check_again()
    assert queue.unsafe == []
    left = len(queue.sent) - len(queue.proxy.ledger.gone)
    assert queue.depth == Depth(left, 0, 0)
    assert set(queue.archived) == set(queue.proxy.ledger.gone)
    assert hidden_again(queue.proxy.ledger) == []
    assert released_and_deleted(queue.proxy.ledger) == []
    assert receiver_threads() == []


def slowly(work: Callable[[Any], None], seconds: float, first: Callable[[], None] = lambda: None) -> Any:
    """Does the same, later."""

    def later(it: Any) -> None:
        first()
        time.sleep(seconds)
        work(it)

    return later


# Asked to stop.


def test_a_process_that_is_sent_sigterm_deletes_what_landed_and_gives_back_the_rest(queue: Counted) -> None:
    queue.send_versions(1200, 400, groups=40)
    queue.proxy.before_deleting = slowly(queue.proxy.before_deleting, 0.05)
    process = start_run(queue.source.key, {"wait_seconds": 1, "max_in_flight": 200})
    wait_until(lambda: len(queue.proxy.ledger.gone) > 30, "the first messages to be deleted")
    process.terminate()
    process.join(30)
    assert process.exitcode == -signal.SIGTERM
    assert len(queue.proxy.ledger.gone) < 1200, "it was not in the middle"
    nothing_is_held(queue)
    queue.drain()
    queue.reconcile()


@pytest.mark.parametrize("rounds", [3, pytest.param(60, marks=SOAK)])
def test_a_run_that_is_told_to_stop_at_any_instant_holds_nothing_afterwards(queue: Counted, rounds: int) -> None:
    """Its heartbeats come every third of a second meanwhile."""
    chance = random.Random(rounds)
    queue.source = changed(queue.source, visibility_seconds=VISIBILITY_SECONDS, wait_seconds=0)
    for n in range(rounds):
        queue.send_versions(100, 50, first=1 + 2 * n, groups=10)
        until = time.monotonic() + chance.uniform(0.1, 0.8)
        queue.land(should_stop=lambda until=until: time.monotonic() > until)
        nothing_is_held(queue)
    queue.drain()
    queue.reconcile()


def test_a_deadline_ends_a_run_that_would_go_on(standard: Counted) -> None:
    queue, stopped = standard, threading.Event()

    def keep_sending() -> None:
        for n in range(400):
            queue.send_versions(10, 10, first=n)
            if stopped.wait(0.02):
                return

    sender = threading.Thread(target=keep_sending)
    sender.start()
    report = queue.land(bounds=Bounds(seconds=1.5))
    stopped.set()
    sender.join()
    assert report.stopped == "its 2 seconds were over"
    nothing_is_held(queue)
    queue.drain()
    queue.reconcile()


def test_what_is_being_deleted_when_a_run_ends_is_not_given_back(standard: Counted) -> None:
    """A server that is slow to delete: the run is told to stop meanwhile."""
    deleting = threading.Event()
    standard.proxy.before_deleting = slowly(standard.proxy.before_deleting, 0.7, deleting.set)
    standard.send_versions(30, 30)
    report = standard.land(should_stop=deleting.is_set)
    figures = report.findings.figures
    assert figures["messages_deleted"] == len(standard.proxy.ledger.gone)
    assert figures["messages_given_back"] + figures["messages_deleted"] == report_received(standard)
    nothing_is_held(standard)


def report_received(queue: Counted) -> int:
    return sum(queue.proxy.ledger.delivered.values())


def test_what_is_being_opened_when_a_run_ends_is_given_back_once(standard: Counted) -> None:
    opening = threading.Event()

    standard.send_versions(40, 40)
    with opened_by(slowly(lambda _message: None, 0.1, opening.set)):
        report = standard.land(should_stop=opening.is_set)
    figures = report.findings.figures
    assert figures["messages_given_back"] == report_received(standard) > 0
    assert set(standard.proxy.ledger.released.values()) == {1}
    nothing_is_held(standard)


def test_a_stop_between_receiving_and_landing_is_no_fault_of_mongodb(
    standard: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    real = Receiver.batches

    def batches(self: Receiver) -> Iterator[Any]:
        for batch in real(self):
            asked.set()
            yield batch

    monkeypatch.setattr(Receiver, "batches", batches)
    standard.send_versions(10, 10)
    standard.land(should_stop=asked.is_set)
    nothing_is_held(standard)


# Interrupted.


class Interrupted(BaseException):
    """As Dagster raises in the main thread when a run is terminated."""


@pytest.fixture
def interrupted_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], threading.Timer]]:
    def interrupt(_number: int, _frame: Any) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)

    def after(seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        return timer

    yield after
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=SOAK)])
def test_an_exception_at_any_instant_leaves_nothing_held(
    queue: Counted, rounds: int, interrupted_after: Callable[[float], threading.Timer]
) -> None:
    chance = random.Random(rounds)
    interrupted = 0
    queue.source = changed(queue.source, wait_seconds=0)
    for n in range(rounds):
        if queue.depth.total < 500:
            queue.send_versions(500, 250, first=1 + 2 * n, groups=50)
        timer = interrupted_after(chance.uniform(0.02, 0.25))
        try:
            queue.land()
        except Interrupted:
            interrupted += 1
        finally:
            timer.cancel()
        with suppress(Interrupted):
            timer.join()
        wait_until(lambda: not receiver_threads(), "the end of its threads", 20)
        assert queue.depth.in_flight == 0
        assert set(queue.proxy.ledger.gone) <= set(queue.archived)
        assert hidden_again(queue.proxy.ledger) == []
    assert interrupted
    queue.drain()
    queue.reconcile()


@pytest.mark.parametrize("where", ["start", "give back"])
def test_an_exception_while_a_run_begins_or_ends_leaves_no_thread_behind(
    standard: Counted, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "start":
        started: list[threading.Thread] = []
        real = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            if thread.name.startswith("sqs-"):
                started.append(thread)
                if len(started) == 3:
                    raise Interrupted
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", start)
    else:
        main = threading.current_thread()
        hide = Queue.hide

        def interrupt(self: Queue, *args: Any) -> Any:
            if threading.current_thread() is main:
                raise Interrupted
            return hide(self, *args)

        monkeypatch.setattr(Queue, "hide", interrupt)
        monkeypatch.setattr(Archive, "put", lambda *_: (_ for _ in ()).throw(OSError("the network is gone")))
    made: list[Receiver] = []
    enter = Receiver.__enter__
    monkeypatch.setattr(Receiver, "__enter__", lambda self: (made.append(self), enter(self))[1])
    standard.send_versions(30, 30)
    try:
        with pytest.raises(Interrupted):
            standard.land()
        wait_until(lambda: not receiver_threads(), "the end of its threads", 5)
    finally:  # it would disturb other tests
        monkeypatch.undo()
        made[0]._close()
        made[0]._holds.close()


# SQS away while a run ends.


@pytest.mark.usefixtures("quick_retries")
def test_a_run_ends_soon_when_sqs_is_away_for_good(standard: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """With much in its hands: nothing is asked for again and again once its patience is over."""
    monkeypatch.setattr(receive, "PATIENCE", 0.5)
    standard.send_versions(400, 400)
    real = Archive.put

    def put(self: Archive, *args: Any) -> Any:
        for operation in ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
            standard.proxy.inject(operation, "throttled")
        return real(self, *args)

    monkeypatch.setattr(Archive, "put", put)
    with pytest.raises(TransientError, match="SQS is busy or ill"):
        Run(standard.land).end(60)
    asked = standard.proxy.requests
    assert asked["DeleteMessageBatch"] + asked["ChangeMessageVisibilityBatch"] < 4 * 2 * 40
    monkeypatch.undo()


@pytest.mark.usefixtures("quick_retries")
def test_nothing_is_given_back_piece_by_piece_to_an_sqs_that_is_away(
    standard: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard.send_versions(300, 300)

    def fail(*_: Any) -> Any:
        standard.proxy.inject("ChangeMessageVisibilityBatch", "cut")
        raise OSError("the network is gone")

    monkeypatch.setattr(receive, "LINGER", 5.0)
    monkeypatch.setattr(receive, "BATCH_MESSAGES", 300)
    monkeypatch.setattr(Archive, "put", fail)
    with pytest.raises(OSError, match="network"):
        standard.land()
    assert report_received(standard) > 200
    assert standard.proxy.requests["ChangeMessageVisibilityBatch"] < 4 * 10


# Held while it lasts.


def slow_landing(monkeypatch: pytest.MonkeyPatch, wait: float | Callable[[], Any]) -> None:
    real = Archive.put

    def put(self: Archive, *args: Any) -> Any:
        wait() if callable(wait) else time.sleep(wait)
        return real(self, *args)

    monkeypatch.setattr(Archive, "put", put)


def received_by_others(queue: Counted) -> list[str]:
    found = queue.client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["MessageId"] for message in found.get("Messages", [])]


def test_a_landing_that_takes_longer_than_the_visibility_keeps_its_messages(
    fifo: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = fifo
    slow_landing(monkeypatch, 1.6 * VISIBILITY_SECONDS)
    queue.source = changed(queue.source, visibility_seconds=VISIBILITY_SECONDS)
    queue.send_versions(10, 10)
    run = Run(queue.land)
    wait_until(lambda: len(queue.proxy.ledger.delivered) == 10, "everything to be received")
    while not queue.proxy.ledger.gone and not run.failure:
        assert received_by_others(queue) == []
        time.sleep(0.05)
    run.end()
    assert set(queue.proxy.ledger.delivered.values()) == {1}
    queue.reconcile()


def test_a_hold_that_sqs_failed_to_extend_is_extended_again(standard: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial failure that is not our fault: the message is still ours."""
    slow_landing(monkeypatch, 1.6 * VISIBILITY_SECONDS)
    standard.source = changed(standard.source, visibility_seconds=VISIBILITY_SECONDS)
    standard.send_versions(10, 10)
    standard.proxy.inject("ChangeMessageVisibilityBatch", "partial_failure", times=1, share=1.0)
    run = Run(standard.land)
    wait_until(lambda: len(standard.proxy.ledger.delivered) == 10, "everything to be received")
    seen: set[str] = set()
    while not standard.proxy.ledger.gone and not run.failure:
        seen.update(received_by_others(standard))
        time.sleep(0.05)
    run.end()
    assert seen == set()


def test_what_sqs_failed_to_take_back_is_offered_again(standard: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    standard.send_versions(20, 20)
    standard.proxy.inject("ChangeMessageVisibilityBatch", "partial_failure", times=1)
    monkeypatch.setattr(Archive, "put", lambda *_: (_ for _ in ()).throw(Interrupted()))
    with pytest.raises(Interrupted):
        standard.land()
    assert standard.depth == Depth(20, 0, 0)


def test_holds_end_before_the_twelve_hours_of_sqs(standard: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve hours cut down to three seconds: nobody asks for more, and what comes again changes nothing."""
    allowed = VISIBILITY_SECONDS + 1
    ended = threading.Event()
    monkeypatch.setattr(holds, "LONGEST_HOLD", LAST_MINUTE + allowed)
    slow_landing(monkeypatch, ended.wait)
    standard.source = changed(standard.source, visibility_seconds=VISIBILITY_SECONDS)
    ends: list[float] = []
    real = Queue.hide

    def hide(self: Queue, messages: Any, seconds: int) -> Any:
        ends.extend(time.monotonic() + seconds - message.received_at for message in messages)
        return real(self, messages, seconds)

    monkeypatch.setattr(Queue, "hide", hide)
    standard.send_versions(5, 5)
    run = Run(standard.land)
    wait_until(lambda: len(standard.proxy.ledger.delivered) == 5, "everything to be received")
    wait_until(lambda: received_by_others(standard), "the end of the hold")
    ended.set()
    run.end()
    assert ends and VISIBILITY_SECONDS < max(ends) <= allowed
    standard.drain()
    assert len(standard.landed) == len(standard.archived) == 5
