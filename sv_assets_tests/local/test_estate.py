"""The servers' lives, seeding and ticking, on real servers."""

import csv
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pymongo
import pytest

from sv_assets.errors import ConfigurationError, SvError
from sv_assets.local import RunningServer, down, seed, start_mongo, start_sqs, status, tick, up
from sv_assets.local.generator import seed as seeding
from sv_assets.local.generator.legacy_schema import TABLES
from sv_assets.local.generator.rows import Message
from sv_assets.local.generator.sales import DELIVERIES
from sv_assets.local.generator.state import load_state, save_state
from sv_assets.local.generator.web import ACCOUNTS
from sv_assets.local.queues import dead_letter_name, ensure_queues, send, sqs_client

UNTIL = date(2026, 11, 20)
Dump = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = start_sqs(tmp_path_factory.mktemp("sqs") / "state")
    yield server
    server.stop()


@pytest.fixture
def urls(sqs: RunningServer, tmp_path: Path) -> dict[str, str]:
    return urls_in(tmp_path, sqs)


def urls_in(path: Path, sqs: RunningServer) -> dict[str, str]:
    systems = {f"{system.upper()}_SQLSERVER_URL": f"sqlite:///{path}/{system}.sqlite" for system in TABLES}
    return {"SQS_ENDPOINT_URL": sqs.url, **systems}


def dump(path: Path) -> Dump:
    tables: Dump = {}
    for system, names in TABLES.items():
        with sqlite3.connect(path / f"{system}.sqlite") as database:
            for name in names:
                tables[f"{system}.{name}".lower()] = database.execute(f'SELECT * FROM "{name}"').fetchall()
        database.close()
    return tables


def truth_of(path: Path) -> list[tuple[str, str, str]]:
    with (path / "truth.csv").open(encoding="utf-8", newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)]
    assert rows[0] == ("source", "key", "person")
    return [(source, key, person) for source, key, person in rows[1:]]


def described_people(tables: Dump, web_accounts: set[str]) -> set[tuple[str, str]]:
    """Every row that describes a person, by the rule in the brief."""
    return {
        *(("crm.customer", str(row[0])) for row in tables["crm.customer"]),
        *(("crm.loyaltycard", row[0]) for row in tables["crm.loyaltycard"]),
        *(("sales.account", str(row[0])) for row in tables["sales.account"]),
        *(("sales.orderheader", str(row[0])) for row in tables["sales.orderheader"] if row[2] is None),
        *(("contactcentre.call", str(row[0])) for row in tables["contactcentre.call"] if row[1] is None),
        *(("contactcentre.complaint", str(row[0])) for row in tables["contactcentre.complaint"]),
        *(("web.web_account_events", account) for account in web_accounts),
    }


def web_accounts(path: Path) -> set[str]:
    with sqlite3.connect(path / "generator.sqlite") as memory:
        accounts = {row[0] for row in memory.execute("SELECT id FROM web_account")}
    memory.close()
    return accounts


def depth(urls: dict[str, str], queue: str) -> int:
    client = sqs_client(urls)
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def received(urls: dict[str, str], queue: str) -> list[str]:
    client = sqs_client(urls)
    url, bodies = client.get_queue_url(QueueName=queue)["QueueUrl"], []
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            bodies.append(message["Body"])
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def test_mongo_keeps_its_data_over_a_kill_and_gets_its_port_back(tmp_path: Path) -> None:
    server = start_mongo(tmp_path / "mongo", sync_on_commit=True)
    try:
        with pymongo.MongoClient[dict[str, Any]](server.url) as client:
            client.test.things.insert_one({"_id": 1})
        assert server.kill()
        assert not server.is_alive
        assert not server.kill()
        server = start_mongo(tmp_path / "mongo", sync_on_commit=True, port=server.port)
        with pymongo.MongoClient[dict[str, Any]](server.url) as client:
            assert client.test.things.find_one({"_id": 1}) == {"_id": 1}
    finally:
        server.stop()


def test_a_taken_port_is_not_insisted_on(tmp_path: Path, sqs: RunningServer) -> None:
    mongo = start_mongo(tmp_path / "mongo", port=sqs.port)
    other = start_sqs(tmp_path / "other", port=sqs.port)
    ports = {sqs.port, mongo.port, other.port}
    assert mongo.stop()
    assert other.stop()
    assert len(ports) == 3
    assert sqs.is_alive


def test_servers_listen_on_loopback_only(sqs: RunningServer) -> None:
    listening = [c.laddr.ip for c in psutil.Process(sqs.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = start_mongo(tmp_path / "mongo")
    try:
        with pytest.raises(SvError, match=r"Its log .* ends"):
            start_mongo(tmp_path / "mongo", log=tmp_path / "second.log")
    finally:
        server.stop()


def test_only_our_own_process_is_ended(sqs: RunningServer) -> None:
    stranger = RunningServer("sqs", sqs.url, sqs.port, sqs.pid, sqs.created - 3_600, sqs.log)
    assert not stranger.is_alive
    assert not stranger.kill()
    assert sqs.is_alive


def test_messages_survive_an_orderly_stop_and_queues_a_kill(tmp_path: Path) -> None:
    server = start_sqs(tmp_path / "sqs")
    urls = {"SQS_ENDPOINT_URL": server.url}
    send(sqs_client(urls), [Message(ACCOUNTS, "1"), Message(DELIVERIES, "2", "g", "d")], nonce="n")
    assert server.stop()
    server = start_sqs(tmp_path / "sqs", port=server.port)
    try:
        assert depth(urls, ACCOUNTS) == depth(urls, DELIVERIES) == 1
        send(sqs_client(urls), [Message(ACCOUNTS, "3")], nonce="n")
        server.kill()
        server = start_sqs(tmp_path / "sqs", port=server.port)
        assert depth(urls, ACCOUNTS) == 1, "ministack saves on an orderly stop only: the third message is gone"
    finally:
        server.stop()


def test_a_message_refused_five_times_goes_to_the_dead_letter_queue(urls: dict[str, str]) -> None:
    client = sqs_client(urls)
    url = ensure_queues(client)[DELIVERIES]
    send(client, [Message(DELIVERIES, "x", "group", "once")], nonce="refused")
    for _ in range(5):
        assert client.receive_message(QueueUrl=url, VisibilityTimeout=0).get("Messages")
    assert not client.receive_message(QueueUrl=url, VisibilityTimeout=0).get("Messages")
    assert depth(urls, dead_letter_name(DELIVERIES)) == 1


def test_groups_keep_their_order_though_four_threads_send(urls: dict[str, str]) -> None:
    received(urls, DELIVERIES)
    messages = [Message(DELIVERIES, f"{n % 17}:{n}", f"g{n % 17}", str(n)) for n in range(400)]
    assert send(sqs_client(urls), messages, nonce="order")[DELIVERIES] == 400
    last: dict[str, int] = {}
    for body in received(urls, DELIVERIES):
        group, n = body.split(":")
        assert last.get(group, -1) < int(n)
        last[group] = int(n)
    assert len(last) == 17


def test_estate_comes_up_is_repaired_and_goes_down(tmp_path: Path) -> None:
    estate = up(tmp_path)
    try:
        assert estate.is_up
        assert estate.notes == ()
        assert up(tmp_path).servers == estate.servers, "up twice starts nothing"
        mongo, sqs = estate.servers
        mongo.kill()
        assert [server.name for server in status(tmp_path).servers] == ["sqs"]
        assert "mongo has died" in status(tmp_path).notes[0]
        repaired = up(tmp_path)
        assert repaired.is_up
        assert repaired.servers[1] == sqs, "the living server is left alone"
        assert repaired.urls == estate.urls
        assert repaired.notes == ("mongo had died and was started again.",)
        lines = dict(line.split("=", 1) for line in (tmp_path / "estate.env").read_text().splitlines())
        assert lines == estate.urls
        assert lines["CRM_SQLSERVER_URL"] == f"sqlite:///{tmp_path}/crm.sqlite"
        assert set(ensure_queues(sqs_client(lines))) >= {ACCOUNTS, DELIVERIES}
    finally:
        assert set(down(tmp_path)) == {"mongo", "sqs"}
    assert down(tmp_path) == []
    assert status(tmp_path).servers == ()
    assert status(tmp_path).notes == ()


def test_same_seed_gives_the_same_estate(tmp_path: Path, sqs: RunningServer) -> None:
    seen = []
    for name in ("one", "two"):
        path = tmp_path / name
        urls = urls_in(path, sqs)
        report = seed(path, urls, people=150, until=UNTIL)
        tick(path, urls, changes=60)
        bodies = sorted(received(urls, ACCOUNTS)), sorted(received(urls, DELIVERIES))
        assert len(bodies[0]) + len(bodies[1]) >= sum(report.messages.values())
        seen.append((dump(path), truth_of(path), bodies, load_state(path)))
    assert seen[0] == seen[1]


def test_truth_covers_exactly_the_rows_that_describe_a_person(tmp_path: Path, urls: dict[str, str]) -> None:
    report = seed(tmp_path, urls, people=2_300, until=UNTIL)
    truth = truth_of(tmp_path)
    keys = [(source, key) for source, key, _ in truth]
    tables = dump(tmp_path)
    assert len(keys) == len(set(keys)) == report.truth
    assert set(keys) == described_people(tables, web_accounts(tmp_path))
    assert {name: len(rows) for name, rows in tables.items()} == report.rows
    assert report.messages == {ACCOUNTS: depth(urls, ACCOUNTS), DELIVERIES: depth(urls, DELIVERIES)}
    assert 0.8 < sum(report.messages.values()) / 2_300 < 1.2
    assert 4.5 < report.rows["sales.orderheader"] / 2_300 < 5.5


def test_rowversions_rise_strictly_and_the_counter_is_ahead(tmp_path: Path, urls: dict[str, str]) -> None:
    seed(tmp_path, urls, people=100, until=UNTIL)
    before = dump(tmp_path)
    tick(tmp_path, urls, changes=80)
    after = dump(tmp_path)
    for table in ("crm.customer", "sales.orderline", "contactcentre.complaint"):
        old, new = ([row[-1] for row in tables[table]] for tables in (before, after))
        assert all(len(version) == 8 for version in new)
        assert len(set(new)) == len(new)
        assert all(version > max(old) for version in set(new) - set(old))


@pytest.mark.parametrize("changes", [1, 2, 7, 50, 333])
def test_a_tick_changes_exactly_as_many_rows_and_messages_as_asked(
    tmp_path: Path, urls: dict[str, str], changes: int
) -> None:
    seed(tmp_path, urls, people=400, until=UNTIL)
    before, queued = dump(tmp_path), depth(urls, ACCOUNTS) + depth(urls, DELIVERIES)
    clock = load_state(tmp_path)
    counts = tick(tmp_path, urls, changes=changes)
    after = dump(tmp_path)
    assert sum(sum(entry.values()) for entry in counts.values()) == changes
    keys = {name: 3 if name == "crm.contactpreference" else 2 if name == "sales.orderline" else 1 for name in before}
    for name, width in keys.items():
        old, new = ({row[:width]: row for row in tables[name]} for tables in (before, after))
        seen = {
            "inserted": len(new.keys() - old.keys()),
            "updated": sum(new[key] != old[key] for key in new.keys() & old.keys()),
            "deleted": len(old.keys() - new.keys()),
            "messages": 0,
        }
        assert counts.get(name, dict.fromkeys(seen, 0)) == seen, name
    messages = sum(entry["messages"] for entry in counts.values())
    assert depth(urls, ACCOUNTS) + depth(urls, DELIVERIES) == queued + messages
    state = load_state(tmp_path)
    assert clock is not None and state is not None and state.clock > clock.clock and state.complete


def test_many_ticks_keep_truth_totals_and_times_right(tmp_path: Path, urls: dict[str, str]) -> None:
    seed(tmp_path, urls, people=300, until=UNTIL)
    for _ in range(12):
        before = dump(tmp_path)
        tick(tmp_path, urls, changes=120)
        after = dump(tmp_path)
        for name, place in {
            "crm.customer": 12,
            "crm.customeraddress": -1,
            "sales.account": -1,
            "sales.payment": -1,
        }.items():
            newest = max(row[place] for row in before[name])
            assert all(row[place] > newest for row in set(after[name]) - set(before[name]))
    keys = [(source, key) for source, key, _ in truth_of(tmp_path)]
    assert len(keys) == len(set(keys))
    assert set(keys) == described_people(after, web_accounts(tmp_path))
    paid, lines = Counter[int](), Counter[int]()
    for row in after["sales.payment"]:
        paid[row[1]] += round(100 * row[4]) if row[5] != "failed" else 0
    for row in after["sales.orderline"]:
        lines[row[0]] += round(100 * row[6])
    for row in after["sales.orderheader"]:
        assert paid[row[0]] == round(100 * row[13])
        assert round(100 * row[13]) - lines[row[0]] in (0, 399, 699)
    customers = {row[0] for row in after["crm.customer"]}
    assert {row[1] for row in after["crm.customeraddress"]} <= customers
    assert {row[0] for row in after["crm.contactpreference"]} <= customers
    assert {row[2] for row in after["sales.account"]} - {None} <= customers
    assert {row[1] for row in after["contactcentre.call"]} - {None} <= customers


def test_a_killed_seed_is_seen_and_the_next_one_works(
    tmp_path: Path, urls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(seeding, "send", die)
    with pytest.raises(KeyboardInterrupt):
        seed(tmp_path, urls, people=50, until=UNTIL)
    monkeypatch.undo()
    assert status(tmp_path).seeded is None
    assert "interrupted" in status(tmp_path).notes[0]
    with pytest.raises(ConfigurationError, match="did not finish"):
        tick(tmp_path, urls)
    seed(tmp_path, urls, people=50, until=UNTIL)
    seeded = status(tmp_path).seeded
    assert seeded is not None and seeded["people"] == 50
    assert not list(tmp_path.glob("*.new"))


def test_seeding_again_leaves_nothing_of_the_old_estate(tmp_path: Path, urls: dict[str, str]) -> None:
    seed(tmp_path, urls, people=200, seed=1, until=UNTIL)
    tick(tmp_path, urls, 40)
    report = seed(tmp_path, urls, people=20, seed=2, until=UNTIL)
    assert {name: len(rows) for name, rows in dump(tmp_path).items()} == report.rows
    assert depth(urls, ACCOUNTS) == report.messages[ACCOUNTS]
    assert depth(urls, DELIVERIES) == report.messages[DELIVERIES]


def test_one_person_is_enough(tmp_path: Path, urls: dict[str, str]) -> None:
    seed(tmp_path, urls, people=1, until=UNTIL)
    assert sum(sum(entry.values()) for entry in tick(tmp_path, urls, changes=40).values()) == 40


def test_a_clock_that_caught_up_says_so(tmp_path: Path, urls: dict[str, str]) -> None:
    seed(tmp_path, urls, people=5, until=UNTIL)
    state = load_state(tmp_path)
    assert state is not None
    save_state(tmp_path, state.__class__(**{**state.__dict__, "clock": "2099-01-01T00:00:00+00:00"}))
    with pytest.raises(SvError, match="caught up"):
        tick(tmp_path, urls)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"people": 0}, "give at least 1"),
        ({"until": date(2199, 1, 1)}, "in the future"),
        ({"urls": {"CRM_SQLSERVER_URL": "mssql+pyodbc://crm"}}, "CRM_SQLSERVER_URL is not an absolute SQLite URL"),
    ],
)
def test_wrong_input_is_one_clear_sentence(
    tmp_path: Path, urls: dict[str, str], change: dict[str, Any], sentence: str
) -> None:
    arguments = {"people": 10, "until": UNTIL, **change, "urls": {**urls, **change.get("urls", {})}}
    with pytest.raises(ConfigurationError, match=sentence):
        seed(tmp_path, **arguments)
    with pytest.raises(ConfigurationError, match="run `sv estate seed`"):
        tick(tmp_path, urls)
