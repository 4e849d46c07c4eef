"""A FIFO queue: each group lands in the order in which it was sent, whatever fails in between."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.errors import TransientError
from sv_assets.landing.archive import Archive
from sv_assets.sources.messages import Message
from sv_assets.sources.sqs.queue import Depth, Queue
from sv_assets.sources.sqs.receive import Bounds
from sv_assets_tests.examples import examples
from sv_assets_tests.landing.crash import VISIBILITY_SECONDS
from sv_assets_tests.landing.queue_faults import (
    Counted,
    Run,
    fifo,
    hidden_again,
    make_queue,
    opened_by,
    proxy,
    quick_retries,
    standard,
)
from sv_assets_tests.landing.test_land_queue import sqs

__all__ = ["fifo", "make_queue", "proxy", "quick_retries", "sqs", "standard"]
pytestmark = pytest.mark.timeout(120)
SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]


def in_order(queue: Counted, group: str) -> bool:
    """Whether the messages of a group were deleted in the order in which they were sent."""
    gone = [message for message in queue.proxy.ledger.gone if message in set(queue.order[group])]
    return gone == [message for message in queue.order[group] if message in set(gone)]


def test_two_runs_keep_the_order_of_each_group(fifo: Counted) -> None:
    for n in range(6):
        fifo.send(*[{"id": f"k{n}", "v": v} for v in range(30)], group=f"g{n}")
    runs = [Run(fifo.land) for _ in range(2)]
    for run in runs:
        run.end()
    fifo.drain()
    fifo.reconcile()
    assert set(fifo.proxy.ledger.delivered.values()) == {1}


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(100, 140), marks=SOAK)])
def test_groups_keep_their_order_under_faults(make_queue: Callable[..., Counted], seeds: range) -> None:
    """Also those whose messages cannot be opened now, or ever."""
    for seed in seeds:
        chance = random.Random(seed)
        queue = make_queue(".fifo", visibility_seconds=VISIBILITY_SECONDS, wait_seconds=0)
        for n in range(4):
            bodies: list[Any] = [{"id": f"k{n}", "v": v} for v in range(10)]
            for _ in range(2):
                bodies.insert(chance.randrange(len(bodies)), f"poison {chance.random()}")
            queue.send(*bodies, group=f"g{n}")
        for operation in ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
            queue.proxy.inject(operation, "cut", probability=0.05, moment="either")
            queue.proxy.inject(operation, "error_500", probability=0.05, moment="either")
        queue.proxy.inject("*", "partial_failure", probability=0.1)
        failing = chance.sample(sorted(queue.sent), 4)

        def fail(message: Message, failing: list[str] = failing) -> None:
            if message.message_id in failing:
                failing.remove(message.message_id)
                raise TransientError("S3 does not answer")

        with opened_by(fail):
            for _ in range(200):
                queue.land()
                queue.check_order()
                if not queue.depth.total:
                    break
                queue.show_all()
        queue.proxy.calm()
        queue.reconcile()


def test_a_message_that_fails_for_now_stops_its_group_alone(fifo: Counted) -> None:
    for n in range(3):
        fifo.send(*[{"id": f"k{n}", "v": v} for v in range(12)], group=f"g{n}")
    stopped = fifo.order["g1"][4]

    def fail(message: Message) -> None:
        if message.message_id == stopped:
            raise TransientError("S3 does not answer")

    with opened_by(fail):
        report = fifo.land()
    left = fifo.order["g1"][4:]
    assert set(fifo.sent) - set(fifo.archived) == set(left)
    assert fifo.depth == Depth(len(left) - 1, 1, 0), "it is hidden, and those behind it are given back"
    assert report.findings.figures["messages_left_for_later"] == 1
    assert report.stopped == ""
    again = fifo.land()
    assert again.outcome.read == 0, "its group waits for it"
    fifo.show_all()
    fifo.land()
    fifo.reconcile()
    assert hidden_again(fifo.proxy.ledger) == []


def test_what_lies_behind_poison_lands_after_it(fifo: Counted) -> None:
    fifo.send({"id": "a", "v": 1}, "poison", {"id": "a", "v": 2}, {"id": "b", "v": 1}, group="g1")
    fifo.send({"id": "c", "v": 1}, group="g2")
    fifo.land()
    fifo.reconcile()
    assert in_order(fifo, "g1")


@pytest.mark.parametrize("receives", [1, 2, 3])
@pytest.mark.parametrize("good", [9, 5])
def test_much_poison_in_a_group_makes_no_dead_letters(
    make_queue: Callable[..., Counted], receives: int, good: int
) -> None:
    queue = make_queue(".fifo", receives=receives)
    bodies = [{"id": "good", "v": 1} if n == good else f"poison {n}" for n in range(10)]
    queue.send(*bodies, group="g1")
    queue.land()
    queue.drain()
    assert queue.dead == 0
    queue.reconcile()


def test_a_run_that_is_waiting_for_a_slow_answer_does_not_take_its_queue_for_drained(
    fifo: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One receiver's answer takes longer than the long polls of the others, which find the group locked."""
    slow = [True]
    real = Queue.receive

    def receive(self: Queue, *args: Any, **how: Any) -> Any:
        found = real(self, *args, **how)
        if found and slow:
            slow.clear()
            time.sleep(1.5)
        return found

    monkeypatch.setattr(Queue, "receive", receive)
    fifo.send(*[{"id": "k", "v": v} for v in range(40)])
    report = fifo.land()
    assert (report.stopped, report.outcome.read, fifo.depth.total) == ("", 40, 0)


def test_an_exact_number_of_messages_is_the_head_of_its_group(fifo: Counted) -> None:
    fifo.send(*[{"id": f"k{v}", "v": v} for v in range(30)])
    fifo.land(bounds=Bounds(messages=14))
    assert list(fifo.archived) == fifo.order["g"][:14]
    assert fifo.depth == Depth(16, 0, 0)
    fifo.land()
    fifo.reconcile()


def test_a_run_that_fails_leaves_the_rest_of_a_group_together(fifo: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo.send(*[{"id": "k", "v": v} for v in range(30)])
    real = Archive.put

    def fail(self: Archive, messages: Any, *args: Any) -> Any:
        if messages[0].message.message_id == fifo.order["g"][10]:
            raise OSError("the network is gone")
        return real(self, messages, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "put", fail)
        with pytest.raises(OSError, match="network"):
            fifo.land()
    assert fifo.depth.total == 20
    assert set(fifo.archived) == set(fifo.order["g"][:10])
    fifo.show_all()
    fifo.land()
    fifo.reconcile()


VERSIONS = st.tuples(st.sampled_from("abc"), st.integers(0, 5))


@settings(max_examples=examples(3), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(VERSIONS, min_size=1, max_size=8), min_size=1, max_size=3), st.booleans())
def test_any_versions_in_any_order_over_any_runs_leave_the_newest(
    standard: Counted, runs: list[list[tuple[str, int]]], doubled: bool
) -> None:
    first = len(standard.sent)
    if doubled:
        standard.proxy.inject("ReceiveMessage", "doubled_delivery", share=0.5)
    for versions in runs:
        standard.send(*[{"id": f"{first}{key}", "v": version, "n": f"{key}{version}"} for key, version in versions])
        standard.land()
    standard.proxy._faults.clear()
    standard.land()
    standard.proxy.calm()
    standard.reconcile()
    assert all(body["n"] == f"{key[-1]}{body['v']}" for key, body in standard.landed.items())
